"""Activation functions in ONNX, by their names in Keras."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tlkit.exports.onnx_writer.elementwise import write_binary
from tlkit.exports.onnx_writer.graph import Graph, Value


def write_relu(
    graph: Graph, x: Value, *, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0
) -> Value | None:
    """Write a rectifier; None if ONNX has none with these settings."""
    if threshold or (negative_slope and max_value is not None):
        return None
    if negative_slope:
        return graph.add_like("LeakyRelu", x, alpha=float(negative_slope))
    return graph.add_like("Relu", x) if max_value is None else write_clip(graph, x, 0.0, max_value)


def write_clip(graph: Graph, x: Value, low: float, high: float) -> Value:
    """Write a limit to low..high."""
    bounds = [graph.add_constant(np.float32(bound), suffix) for bound, suffix in ((low, "min"), (high, "max"))]
    return graph.add_like("Clip", x, *bounds)


def write_silu(graph: Graph, x: Value) -> Value:
    """Write x * sigmoid(x)."""
    return write_binary(graph, "Mul", x, graph.add_like("Sigmoid", x))


def write_gelu(graph: Graph, x: Value) -> Value:
    """Write x * (1 + erf(x / √2)) / 2, in the order of operations that runtimes replace by one of their own."""
    erf = graph.add_like("Erf", write_binary(graph, "Div", x, math.sqrt(2.0)))
    return write_binary(graph, "Mul", write_binary(graph, "Mul", x, write_binary(graph, "Add", erf, 1.0)), 0.5)


def write_softmax(graph: Graph, x: Value, axis: int = -1) -> Value | None:
    """Write a softmax over the last axis; None for another axis."""
    if axis not in (-1, len(x.shape) - 1):
        return None
    return graph.add_like("Softmax", x, axis=1 if x.channels_first else -1)


def _named(kind: str, **attributes: float) -> Callable[[Graph, Value], Value]:
    return lambda graph, x: graph.add_like(kind, x, **attributes)


ACTIVATIONS: dict[str, Callable[[Graph, Value], Value | None]] = {
    "linear": lambda graph, x: x,
    "relu": write_relu,
    "relu6": lambda graph, x: write_clip(graph, x, 0.0, 6.0),
    "sigmoid": _named("Sigmoid"),
    "tanh": _named("Tanh"),
    "exponential": _named("Exp"),
    "softplus": _named("Softplus"),
    "softsign": _named("Softsign"),
    "elu": _named("Elu", alpha=1.0),
    "silu": write_silu,
    "hard_sigmoid": _named("HardSigmoid", alpha=1 / 6, beta=0.5),
    "hard_silu": _named("HardSwish"),
    "gelu": write_gelu,
    "softmax": write_softmax,
}
"""Each writes one activation with Keras' default settings."""
