"""A network by hand: layers in running order, the gradients by the chain rule in the opposite one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tlkit.reference.layers import Layer

Array = NDArray[np.floating]

INPUT = "input"


@dataclass(frozen=True)
class Node:
    """A layer in a network.

    Attributes:
        name: The name of its output.
        layer: What it computes.
        inputs: Names of the outputs that it takes, INPUT for the images.
    """

    name: str
    layer: Layer
    inputs: tuple[str, ...]


@dataclass
class Network:
    """Layers in an order in which each comes after its inputs; the last gives the output.

    Attributes:
        nodes: The layers.
        outputs: What each computed when the network last ran, by name.
    """

    nodes: Sequence[Node]
    outputs: dict[str, Array] = field(default_factory=dict)

    def forward(self, images: Array) -> Array:
        """Return the output for images (n, ...)."""
        self.outputs = {INPUT: images}
        for node in self.nodes:
            self.outputs[node.name] = node.layer.forward(*(self.outputs[name] for name in node.inputs))
        return self.outputs[self.nodes[-1].name]

    def backward(self, above: Array) -> tuple[Array, dict[tuple[str, str], Array]]:
        """Return the gradients of the images and of each weight, (node, weight), of the last run.

        An output that several layers take gets the sum of what they hand down.

        Args:
            above: Gradient of the output, in its shape.
        """
        gradients = {self.nodes[-1].name: above}
        of_weights = {}
        for node in reversed(self.nodes):
            if node.name not in gradients:  # nothing that the loss depends on takes it
                continue
            taken = [self.outputs[name] for name in node.inputs]
            found = node.layer.backward(taken, self.outputs[node.name], gradients[node.name])
            of_weights.update({(node.name, name): value for name, value in found.weights.items()})
            for name, gradient in zip(node.inputs, found.inputs, strict=True):
                gradients[name] = gradients[name] + gradient if name in gradients else gradient
        return gradients[INPUT], of_weights

    def weights(self) -> Iterator[tuple[tuple[str, str], Array]]:
        """Yield each weight with its place, (node, weight)."""
        for node in self.nodes:
            for name, value in node.layer.weights.items():
                yield (node.name, name), value
