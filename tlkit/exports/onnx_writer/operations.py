"""Operations of `keras.ops` in ONNX: one function per kind of operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tlkit.exports.onnx_writer.activations import ACTIVATIONS, write_clip, write_gelu, write_softmax
from tlkit.exports.onnx_writer.elementwise import write_binary
from tlkit.exports.onnx_writer.graph import Graph, Value
from tlkit.exports.onnx_writer.layers import write_joined, write_reshape
from tlkit.exports.onnx_writer.pooling import write_global_pool


def _write_flip(graph: Graph, operation: Any, x: Value) -> Value | None:
    """Write the channels in reverse order."""
    if operation.axis not in (-1, len(x.shape) - 1):
        return None
    order = graph.add_constant(np.arange(x.shape[-1] or 0)[::-1].astype(np.int64), "order")
    x = graph.to_channels_first(x)
    return graph.add("Gather", [x, order], x.shape, channels_first=x.channels_first, axis=1 if x.channels_first else -1)


def _write_mean(graph: Graph, operation: Any, x: Value) -> Value | None:
    axes = _axes(operation, x)
    if len(x.shape) == 4 and axes == [1, 2]:
        return write_global_pool(graph, x, "GlobalAveragePool", keepdims=operation.keepdims)
    return _write_reduced(graph, operation, x, "ReduceMean", axes=axes)


def _write_sum(graph: Graph, operation: Any, x: Value) -> Value:
    axes = graph.add_constant(np.array(_axes(operation, x), np.int64), "axes")
    return _write_reduced(graph, operation, x, "ReduceSum", axes)


def _write_max(graph: Graph, operation: Any, x: Value) -> Value:
    return _write_reduced(graph, operation, x, "ReduceMax", axes=_axes(operation, x))


def _write_reduced(graph: Graph, operation: Any, x: Value, kind: str, *constants: str, **attributes: Any) -> Value:
    removed = _axes(operation, x)
    sizes = [1 if axis in removed else size for axis, size in enumerate(x.shape)]
    shape = sizes if operation.keepdims else [size for axis, size in enumerate(x.shape) if axis not in removed]
    x = graph.to_channels_last(x)
    return graph.add(kind, [x, *constants], shape, keepdims=int(operation.keepdims), **attributes)


def _axes(operation: Any, x: Value) -> list[int]:
    """Return the axes over which an operation reduces, in ascending order; without one, all of them."""
    given = range(len(x.shape)) if operation.axis is None else np.atleast_1d(operation.axis)
    return sorted(int(axis) % len(x.shape) for axis in given)


def _write_matmul(graph: Graph, operation: Any, first: Any, second: Any) -> Value | None:
    """Write a product with a constant matrix on the right."""
    if not isinstance(first, Value) or isinstance(second, Value) or np.ndim(second) != 2:
        return None
    first = graph.to_channels_last(first)
    matrix = np.asarray(second, np.float32)
    return graph.add("MatMul", [first, graph.add_constant(matrix, "matrix")], (*first.shape[:-1], matrix.shape[1]))


def _write_cast(graph: Graph, operation: Any, x: Value) -> Value | None:
    return x if operation.dtype in (None, "float32") else None


def _write_reshape(graph: Graph, operation: Any, x: Value) -> Value | None:
    sizes = tuple(operation.newshape)[1:]
    return write_reshape(graph, x, sizes) if operation.newshape[0] == -1 and -1 not in sizes else None


def _write_transpose(graph: Graph, operation: Any, x: Value) -> Value:
    x = graph.to_channels_last(x)
    order = [axis % len(x.shape) for axis in operation.axes]
    return graph.add("Transpose", [x], [x.shape[axis] for axis in order], perm=order)


def _write_expand_dims(graph: Graph, operation: Any, x: Value) -> Value | None:
    if not isinstance(operation.axis, int):
        return None
    axis = operation.axis % (len(x.shape) + 1)
    x = graph.to_channels_last(x)
    name = graph.add_constant(np.array([axis], np.int64), "axis")
    return graph.add("Unsqueeze", [x, name], (*x.shape[:axis], 1, *x.shape[axis:]))


def _write_squeeze(graph: Graph, operation: Any, x: Value) -> Value | None:
    if not isinstance(operation.axis, int):
        return None
    axis = operation.axis % len(x.shape)
    x = graph.to_channels_last(x)
    name = graph.add_constant(np.array([axis], np.int64), "axis")
    return graph.add("Squeeze", [x, name], (*x.shape[:axis], *x.shape[axis + 1 :]))


def _write_concatenate(graph: Graph, operation: Any, xs: Sequence[Value]) -> Value | None:
    return write_joined(graph, xs, operation.axis)


def _write_clip(graph: Graph, operation: Any, x: Value) -> Value:
    return write_clip(graph, x, operation.x_min, operation.x_max)


def _write_square(graph: Graph, operation: Any, x: Value) -> Value:
    return write_binary(graph, "Mul", x, x)


def _write_gelu(graph: Graph, operation: Any, x: Value) -> Value | None:
    return None if operation.approximate else write_gelu(graph, x)


def _binary(kind: str) -> Callable[[Graph, Any, Any, Any], Value]:
    return lambda graph, operation, first, second: write_binary(graph, kind, first, second)


def _unary(kind: str) -> Callable[[Graph, Any, Value], Value]:
    return lambda graph, operation, x: graph.add_like(kind, x)


def _activation(name: str) -> Callable[[Graph, Any, Value], Value | None]:
    return lambda graph, operation, x: ACTIVATIONS[name](graph, x)


OPERATIONS: dict[str, Callable[..., Value | None]] = {
    "Absolute": _unary("Abs"),
    "Add": _binary("Add"),
    "Cast": _write_cast,
    "Clip": _write_clip,
    "Concatenate": _write_concatenate,
    "ConvertToTensor": _write_cast,
    "Divide": _binary("Div"),
    "Exp": _unary("Exp"),
    "ExpandDims": _write_expand_dims,
    "Flip": _write_flip,
    "Gelu": _write_gelu,
    "HardSigmoid": _activation("hard_sigmoid"),
    "HardSilu": _activation("hard_silu"),
    "Log": _unary("Log"),
    "Matmul": _write_matmul,
    "Max": _write_max,
    "Maximum": _binary("Max"),
    "Mean": _write_mean,
    "Minimum": _binary("Min"),
    "Multiply": _binary("Mul"),
    "Negative": _unary("Neg"),
    "Relu": _activation("relu"),
    "Relu6": _activation("relu6"),
    "Reshape": _write_reshape,
    "Sigmoid": _activation("sigmoid"),
    "Silu": _activation("silu"),
    "Softmax": lambda graph, operation, x: write_softmax(graph, x, operation.axis),
    "Sqrt": _unary("Sqrt"),
    "Square": _write_square,
    "Squeeze": _write_squeeze,
    "Subtract": _binary("Sub"),
    "Sum": _write_sum,
    "Tanh": _activation("tanh"),
    "Transpose": _write_transpose,
    "TrueDivide": _binary("Div"),
}
"""Writes an operation of each kind, given its inputs; None if it cannot with the operation's settings."""
