"""An ONNX graph under construction: nodes, constants, and values that know their shape and layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

OPSET = 17
"""The lowest with LayerNormalization. Runtimes on phones and in browsers lag behind the newest."""
TO_FIRST = (0, 3, 1, 2)
TO_LAST = (0, 2, 3, 1)


@dataclass(frozen=True)
class Value:
    """A tensor of the graph.

    Attributes:
        name: Its name in the graph.
        shape: Its shape in Keras, so with the channels last; None for the batch.
        channels_first: Whether the graph has it as (batch, channels, height, width). Only feature maps can be.
    """

    name: str
    shape: tuple[int | None, ...]
    channels_first: bool = False


@dataclass(frozen=True)
class Node:
    """An operation with one output.

    Attributes:
        kind: Its name in ONNX, such as Conv.
        inputs: Names of values and constants; empty for an optional input that is left out.
        attributes: As `onnx.helper.make_node` takes them.
    """

    kind: str
    inputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass
class Graph:
    """A graph under construction.

    Attributes:
        inputs: The inputs, float32.
        outputs: The outputs by name, float32.
        nodes: The nodes by the name of their output, in an order in which they can run.
        constants: Weights and parameters by name.
        scope: Name of the layer that is being written, with which names begin.
    """

    inputs: list[Value] = field(default_factory=list)
    outputs: dict[str, Value] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    scope: str = ""
    _sources: dict[str, Value] = field(default_factory=dict)
    _transposed: dict[str, Value] = field(default_factory=dict)
    _num_uses: Counter[str] = field(default_factory=Counter)

    def add_input(self, name: str, shape: tuple[int | None, ...]) -> Value:
        """Add an input of the graph."""
        value = Value(name, shape)
        self.inputs.append(value)
        return value

    def add_output(self, name: str, value: Value) -> None:
        """Make a value an output of the graph, in Keras' layout, under this name."""
        last = self.to_channels_last(value)
        self.nodes[name] = Node("Identity", (last.name,), {})
        self.outputs[name] = Value(name, last.shape)

    def add_constant(self, array: Any, suffix: str) -> str:
        """Add a constant, and return its name."""
        name = self._unique(suffix)
        self.constants[name] = np.asarray(array)
        return name

    def add(
        self,
        kind: str,
        inputs: Sequence[Value | str],
        shape: Sequence[int | None],
        *,
        channels_first: bool = False,
        **attributes: Any,
    ) -> Value:
        """Add a node, and return its output.

        Args:
            kind: Name of the operation in ONNX.
            inputs: Values, names of constants, or "" for an input that is left out.
            shape: Shape of the output in Keras.
            channels_first: Layout of the output.
            attributes: Attributes of the operation.
        """
        value = Value(self._unique(kind.lower()), tuple(shape), channels_first)
        names = tuple(each.name if isinstance(each, Value) else each for each in inputs)
        self.nodes[value.name] = Node(kind, names, attributes)
        if inputs and isinstance(inputs[0], Value):
            self._sources[value.name] = inputs[0]
        return value

    def add_like(self, kind: str, value: Value, *constants: str, **attributes: Any) -> Value:
        """Add a node whose output has the shape and the layout of its first input."""
        return self.add(kind, [value, *constants], value.shape, channels_first=value.channels_first, **attributes)

    def made_by(self, value: Value, kind: str) -> tuple[Node, Value] | None:
        """Return the node that makes a value, and its first input, if it is of this kind."""
        node = self.nodes.get(value.name)
        return (node, self._sources[value.name]) if node is not None and node.kind == kind else None

    def to_channels_first(self, value: Value) -> Value:
        """Return a feature map as (batch, channels, height, width); anything else unchanged."""
        return value if value.channels_first or len(value.shape) != 4 else self._transpose(value, TO_FIRST)

    def to_channels_last(self, value: Value) -> Value:
        """Return a feature map as (batch, height, width, channels); anything else unchanged."""
        return self._transpose(value, TO_LAST) if value.channels_first else value

    def to_layout_of(self, value: Value, other: Value) -> Value:
        """Return a feature map in the layout of another."""
        return self.to_channels_first(value) if other.channels_first else self.to_channels_last(value)

    def _transpose(self, value: Value, order: tuple[int, ...]) -> Value:
        if value.name not in self._transposed:
            turned = self.add("Transpose", [value], value.shape, channels_first=order == TO_FIRST, perm=order)
            self._transposed |= {value.name: turned, turned.name: value}
        return self._transposed[value.name]

    def _unique(self, suffix: str) -> str:
        name = f"{self.scope}/{suffix}" if self.scope else suffix
        self._num_uses[name] += 1
        return name if self._num_uses[name] == 1 else f"{name}_{self._num_uses[name]}"


def count_readers(graph: Graph) -> Counter[str]:
    """Return how often each value or constant is read."""
    return Counter(name for node in graph.nodes.values() for name in node.inputs)


def find_needed(graph: Graph, names: Iterable[str]) -> set[str]:
    """Return the names of some values, and of all values and constants on which they depend."""
    needed = set(names)
    for output in reversed(graph.nodes):
        if output in needed:
            needed.update(graph.nodes[output].inputs)
    return needed


def drop_unread(graph: Graph) -> None:
    """Remove nodes and constants that no output depends on."""
    needed = find_needed(graph, graph.outputs)
    graph.nodes = {output: node for output, node in graph.nodes.items() if output in needed}
    graph.constants = {name: array for name, array in graph.constants.items() if name in needed}


def fold_norms(graph: Graph) -> None:
    """Fold every batch norm into the convolution or dense layer before it, if nothing else reads that one's output."""
    readers = count_readers(graph)
    for output, node in list(graph.nodes.items()):
        before = graph.nodes.get(node.inputs[0]) if node.kind == "BatchNormalization" else None
        if before is None or before.kind not in ("Conv", "Gemm") or readers[node.inputs[0]] != 1:
            continue
        scale, shift = _affine(graph, node)
        weight, bias = before.inputs[1], before.inputs[2]
        factor = scale.reshape(-1, 1, 1, 1) if before.kind == "Conv" else scale
        graph.constants[weight] = (graph.constants[weight] * factor).astype(np.float32)
        graph.constants[bias] = (graph.constants[bias] * scale + shift).astype(np.float32)
        del graph.nodes[node.inputs[0]]
        graph.nodes[output] = replace(before)


def _affine(graph: Graph, node: Node) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return batch norm as a scale and a shift per channel."""
    gamma, beta, mean, variance = (graph.constants[name].astype(np.float64) for name in node.inputs[1:])
    scale = gamma / np.sqrt(variance + node.attributes["epsilon"])
    return scale, beta - mean * scale
