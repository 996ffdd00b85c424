"""Layers without weights: activations, poolings, and what joins, cuts and reorders maps; see `tlkit.reference.layers`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tlkit.reference.activations import ACTIVATIONS, softmax, softmax_backward
from tlkit.reference.layers import Gradients, Layer, Weights
from tlkit.reference.patches import Pair, Window
from tlkit.reference.pooling import pool_max, pool_max_backward, pool_mean, pool_mean_backward

Array = NDArray[np.floating]


@dataclass
class Elementwise(Layer):
    """An activation: f(x), and D f'(x) for its gradient.

    Attributes:
        name: One of `tlkit.reference.activations.ACTIVATIONS`.
    """

    name: str
    weights: Weights = field(default_factory=dict)

    def forward(self, *inputs: Array) -> Array:
        """Return f(x)."""
        return ACTIVATIONS[self.name].compute(inputs[0])

    def backward(self, inputs: Sequence[Array], output: Array, above: Array) -> Gradients:
        """Return D f'(x)."""
        return Gradients((above * ACTIVATIONS[self.name].derive(inputs[0]),), {})


@dataclass
class Softmax(Layer):
    """Probabilities of the last axis."""

    weights: Weights = field(default_factory=dict)

    def forward(self, *inputs: Array) -> Array:
        """Return the probabilities."""
        return softmax(inputs[0])

    def backward(self, inputs: Sequence[Array], output: Array, above: Array) -> Gradients:
        """Return the gradient of the logits."""
        return Gradients((softmax_backward(output, above),), {})


@dataclass
class Pooling(Layer):
    """A pooling of each window; see `tlkit.reference.pooling`.

    Attributes:
        kind: `max` or `mean`.
        window: What is pooled.
    """

    kind: str
    window: Window
    weights: Weights = field(default_factory=dict)

    def forward(self, *inputs: Array) -> Array:
        """Return (down, right, channels)."""
        return {"max": pool_max, "mean": pool_mean}[self.kind](inputs[0], self.window)

    def backward(self, inputs: Sequence[Array], output: Array, above: Array) -> Gradients:
        """Return the gradient of the maps."""
        backward = {"max": pool_max_backward, "mean": pool_mean_backward}[self.kind]
        return Gradients((backward(inputs[0], above, self.window),), {})


@dataclass
class GlobalMean(Layer):
    """The mean of each channel over all places: (height, width, channels) to (channels,), or to (1, 1, channels)."""

    keeps_axes: bool = False
    weights: Weights = field(default_factory=dict)

    def forward(self, *inputs: Array) -> Array:
        """Return the means."""
        return np.asarray(inputs[0].mean(axis=(1, 2), keepdims=self.keeps_axes))

    def backward(self, inputs: Sequence[Array], output: Array, above: Array) -> Gradients:
        """Return the gradient of the maps: each place gets an equal part."""
        shape = inputs[0].shape
        part = above.reshape(shape[0], 1, 1, shape[3]) / (shape[1] * shape[2])
        return Gradients((np.broadcast_to(part, shape).copy(),), {})


@dataclass
class Border(Layer):
    """A border of zeros around maps, or, with negative numbers, places cut off.

    Attributes:
        rows: Rows above and below.
        columns: Columns on the left and on the right.
    """

    rows: Pair
    columns: Pair
    weights: Weights = field(default_factory=dict)

    def forward(self, *inputs: Array) -> Array:
        """Return the larger or smaller maps."""
        return _resize(inputs[0], self.rows, self.columns)

    def backward(self, inputs: Sequence[Array], output: Array, above: Array) -> Gradients:
        """Return the gradient of the maps: what was added is cut off, what was cut off is 0."""
        rows, columns = ((-before, -after) for before, after in (self.rows, self.columns))
        return Gradients((_resize(above, rows, columns),), {})


def _resize(maps: Array, rows: Pair, columns: Pair) -> Array:
    """Add zeros where the numbers are positive, and cut places off where they are negative."""
    added = [tuple(max(number, 0) for number in pair) for pair in (rows, columns)]
    larger = np.pad(maps, ((0, 0), *added, (0, 0)))
    top, bottom, left, right = (max(-number, 0) for number in (*rows, *columns))
    return larger[:, top : larger.shape[1] - bottom, left : larger.shape[2] - right]


@dataclass
class Sum(Layer):
    """Inputs added up, each multiplied by a constant; smaller shapes are repeated, as (1, 1, channels) over maps.

    Attributes:
        factors: One for each input; none for 1.
    """

    factors: Sequence[float] = ()
    weights: Weights = field(default_factory=dict)

    def forward(self, *inputs: Array) -> Array:
        """Return the sum."""
        return np.asarray(sum(factor * each for factor, each in zip(self._all(inputs), inputs, strict=True)))

    def backward(self, inputs: Sequence[Array], output: Array, above: Array) -> Gradients:
        """Return D times the factor for each input."""
        pairs = zip(self._all(inputs), inputs, strict=True)
        return Gradients(tuple(_unrepeat(factor * above, each) for factor, each in pairs), {})

    def _all(self, inputs: Sequence[Array]) -> Sequence[float]:
        return self.factors or [1.0] * len(inputs)


@dataclass
class Product(Layer):
    """Two inputs multiplied; a smaller shape is repeated, as a gate (1, 1, channels) over maps."""

    weights: Weights = field(default_factory=dict)

    def forward(self, *inputs: Array) -> Array:
        """Return the product."""
        first, second = inputs
        return np.asarray(first * second)

    def backward(self, inputs: Sequence[Array], output: Array, above: Array) -> Gradients:
        """Return D times the other input for each."""
        first, second = inputs
        return Gradients((_unrepeat(above * second, first), _unrepeat(above * first, second)), {})


def _unrepeat(gradient: Array, array: Array) -> Array:
    """Return the gradient of an array that was repeated along axes of length 1: the sum over its copies."""
    repeated = tuple(axis for axis, length in enumerate(array.shape) if length == 1 and gradient.shape[axis] > 1)
    return np.asarray(gradient.sum(axis=repeated, keepdims=True)) if repeated else gradient


@dataclass
class Concatenation(Layer):
    """Inputs side by side along the last axis."""

    weights: Weights = field(default_factory=dict)

    def forward(self, *inputs: Array) -> Array:
        """Return (..., the sum of the channels)."""
        return np.concatenate(inputs, axis=-1)

    def backward(self, inputs: Sequence[Array], output: Array, above: Array) -> Gradients:
        """Return for each input its part of D."""
        edges = np.cumsum([each.shape[-1] for each in inputs])[:-1]
        return Gradients(tuple(np.split(above, edges, axis=-1)), {})


@dataclass
class Reorder(Layer):
    """The same numbers in another order or shape: flattening, reshaping, channels turned from RGB to BGR.

    Attributes:
        apply: Returns the output for an array (n, ...).
    """

    apply: Callable[[Array], Array]
    weights: Weights = field(default_factory=dict)

    def forward(self, *inputs: Array) -> Array:
        """Return the reordered numbers."""
        return self.apply(inputs[0])

    def backward(self, inputs: Sequence[Array], output: Array, above: Array) -> Gradients:
        """Return each number's gradient in the place that it came from."""
        shape = inputs[0].shape
        came_from = self.apply(np.arange(float(inputs[0].size)).reshape(shape)).astype(np.int64)
        gradient = np.zeros(inputs[0].size, above.dtype)
        gradient[came_from.reshape(-1)] = above.reshape(-1)
        return Gradients((gradient.reshape(shape),), {})
