"""Arithmetic on two operands that are broadcast as in Keras, whatever their layout."""

from __future__ import annotations

from typing import Any

import numpy as np

from tlkit.exports.onnx_writer.graph import TO_FIRST, Graph, Value


def write_binary(graph: Graph, kind: str, first: Any, second: Any) -> Value:
    """Write an operation such as Add on two operands; at least one is a `Value`, the other may be a number or an array."""
    values = [each for each in (first, second) if isinstance(each, Value)]
    in_first = any(value.channels_first for value in values) and all(len(value.shape) == 4 for value in values)
    operands: list[Value | str] = [
        _prepare_value(graph, each, in_first) if isinstance(each, Value) else _write_constant(graph, each, in_first)
        for each in (first, second)
    ]
    shapes = [each.shape if isinstance(each, Value) else np.shape(each) for each in (first, second)]
    return graph.add(kind, operands, _broadcast(*shapes), channels_first=in_first)


def write_scale_and_shift(graph: Graph, x: Value, scale: Any, shift: Any) -> Value:
    """Write x * scale + shift, without what changes nothing."""
    if np.any(np.asarray(scale) != 1.0):
        x = write_binary(graph, "Mul", x, scale)
    return write_binary(graph, "Add", x, shift) if np.any(np.asarray(shift) != 0.0) else x


def _prepare_value(graph: Graph, value: Value, in_first: bool) -> Value:
    return graph.to_channels_first(value) if in_first else graph.to_channels_last(value)


def _write_constant(graph: Graph, operand: Any, in_first: bool) -> str:
    """Add a constant whose axes are in the order of the other operand's."""
    array = np.asarray(operand, np.float32)
    if in_first and array.ndim:
        array = array.reshape((1,) * (4 - array.ndim) + array.shape).transpose(TO_FIRST)
    return graph.add_constant(array, "constant")


def _broadcast(first: tuple[int | None, ...], second: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """Return the shape of two operands together; None is the size of the batch."""
    length = max(len(first), len(second))
    padded = [(1,) * (length - len(shape)) + shape for shape in (first, second)]
    return tuple(b if a == 1 else a for a, b in zip(*padded, strict=True))
