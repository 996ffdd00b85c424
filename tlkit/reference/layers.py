"""Layers with weights: what each computes of its inputs, and what gradients it hands down.

`forward` takes the inputs and returns the output. `backward` takes the inputs, the output and the gradient of the output, and
returns the gradient of each input and of each weight. Shapes are written without their first axis, the images.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tlkit.reference.convolution import (
    convolve,
    convolve_backward,
    convolve_depthwise,
    convolve_depthwise_backward,
)
from tlkit.reference.normalization import standardize, standardize_backward
from tlkit.reference.patches import Window

Array = NDArray[np.floating]
Weights = Mapping[str, Array]


class Gradients(NamedTuple):
    """What a layer hands down.

    Attributes:
        inputs: The gradient of each input, in its shape.
        weights: The gradient of each weight, by its name.
    """

    inputs: tuple[Array, ...]
    weights: dict[str, Array]


class Layer(ABC):
    """A layer; `weights` are its arrays, by Keras' names, which training replaces."""

    weights: Weights

    @abstractmethod
    def forward(self, *inputs: Array) -> Array:
        """Return the output for inputs (n, ...)."""

    @abstractmethod
    def backward(self, inputs: Sequence[Array], output: Array, above: Array) -> Gradients:
        """Return the gradients, given that of the output."""


@dataclass
class Convolution(Layer):
    """A convolution: (height, width, channels) to (down, right, outputs).

    Attributes:
        weights: `kernel`, (height, width, channels / groups, outputs), and perhaps `bias`, (outputs,).
        window: How the kernel slides.
        groups: Groups of channels that see only each other.
    """

    weights: Weights
    window: Window
    groups: int = 1

    def forward(self, *inputs: Array) -> Array:
        """Return P K + b; see `tlkit.reference.convolution`."""
        (maps,) = inputs
        return _add_bias(convolve(maps, self.weights["kernel"], self.window, groups=self.groups), self.weights)

    def backward(self, inputs: Sequence[Array], output: Array, above: Array) -> Gradients:
        """Return the gradients of the maps, the kernel and the bias."""
        of_maps, of_kernel = convolve_backward(
            inputs[0], self.weights["kernel"], above, self.window, groups=self.groups
        )
        return Gradients((of_maps,), {"kernel": of_kernel, **_differentiate_bias(self.weights, above)})


@dataclass
class DepthwiseConvolution(Layer):
    """A depthwise convolution: (height, width, channels) to (down, right, channels x multiplier).

    Attributes:
        weights: `kernel`, (height, width, channels, multiplier), and perhaps `bias`.
        window: How the kernel slides.
    """

    weights: Weights
    window: Window

    def forward(self, *inputs: Array) -> Array:
        """Return each channel's convolution with its own kernels."""
        return _add_bias(convolve_depthwise(inputs[0], self.weights["kernel"], self.window), self.weights)

    def backward(self, inputs: Sequence[Array], output: Array, above: Array) -> Gradients:
        """Return the gradients of the maps, the kernel and the bias."""
        of_maps, of_kernel = convolve_depthwise_backward(inputs[0], self.weights["kernel"], above, self.window)
        return Gradients((of_maps,), {"kernel": of_kernel, **_differentiate_bias(self.weights, above)})


@dataclass
class SeparableConvolution(Layer):
    """A depthwise convolution, and a 1 x 1 convolution of its outputs.

    Attributes:
        weights: `depthwise_kernel`, (height, width, channels, multiplier); `pointwise_kernel`, (1, 1, channels x multiplier,
            outputs); perhaps `bias`.
        window: How the depthwise kernel slides.
    """

    weights: Weights
    window: Window

    def forward(self, *inputs: Array) -> Array:
        """Return both convolutions, one after the other."""
        return _add_bias(convolve(self._filter(inputs[0]), self.weights["pointwise_kernel"], _ONE), self.weights)

    def backward(self, inputs: Sequence[Array], output: Array, above: Array) -> Gradients:
        """Return the gradients of the maps, both kernels and the bias."""
        (maps,) = inputs
        of_filtered, of_pointwise = convolve_backward(self._filter(maps), self.weights["pointwise_kernel"], above, _ONE)
        of_maps, of_depthwise = convolve_depthwise_backward(
            maps, self.weights["depthwise_kernel"], of_filtered, self.window
        )
        kernels = {"depthwise_kernel": of_depthwise, "pointwise_kernel": of_pointwise}
        return Gradients((of_maps,), {**kernels, **_differentiate_bias(self.weights, above)})

    def _filter(self, maps: Array) -> Array:
        return convolve_depthwise(maps, self.weights["depthwise_kernel"], self.window)


_ONE = Window((1, 1))


@dataclass
class Dense(Layer):
    """A fully connected layer: x K + b along the last axis.

    Attributes:
        weights: `kernel`, (inputs, outputs), and perhaps `bias`, (outputs,).
    """

    weights: Weights

    def forward(self, *inputs: Array) -> Array:
        """Return the products of the last axis, (..., outputs)."""
        return _add_bias(inputs[0] @ self.weights["kernel"], self.weights)

    def backward(self, inputs: Sequence[Array], output: Array, above: Array) -> Gradients:
        """Return dx = D K^T, dK = x^T D and db, the sum of D."""
        kernel = self.weights["kernel"]
        rows = inputs[0].reshape(-1, len(kernel))
        of_kernel = rows.T @ above.reshape(-1, above.shape[-1])
        return Gradients((above @ kernel.T,), {"kernel": of_kernel, **_differentiate_bias(self.weights, above)})


def _add_bias(outputs: Array, weights: Weights) -> Array:
    return outputs + weights["bias"] if "bias" in weights else outputs


def _differentiate_bias(weights: Weights, above: Array) -> dict[str, Array]:
    """Return the gradient of a bias, which is added everywhere: the sum of D over all axes but the last."""
    return {"bias": above.reshape(-1, above.shape[-1]).sum(axis=0)} if "bias" in weights else {}


@dataclass
class Normalization(Layer):
    """Batch norm or layer norm; see `tlkit.reference.normalization`.

    Attributes:
        weights: Perhaps `gamma` and `beta`, (channels,); and for `fixed`, `moving_mean` and `moving_variance`.
        epsilon: Added to the variance.
        axes: Axes of the mean and variance, if they are those of the input: for batch norm in training all but the last, for
            layer norm the last. None for the moving ones.
    """

    weights: Weights
    epsilon: float
    axes: tuple[int, ...] | None = None

    def forward(self, *inputs: Array) -> Array:
        """Return gamma x^ + beta."""
        standardized, _ = self._standardize(inputs[0])
        return standardized * self.weights.get("gamma", 1.0) + self.weights.get("beta", 0.0)

    def backward(self, inputs: Sequence[Array], output: Array, above: Array) -> Gradients:
        """Return the gradients of the inputs, and of gamma and beta where there are such."""
        standardized, deviation = self._standardize(inputs[0])
        scaled = above * self.weights.get("gamma", 1.0)
        if self.axes is None:
            of_inputs: Array = scaled / deviation
        else:
            of_inputs = standardize_backward(standardized, deviation, scaled, self.axes)
        rest = tuple(range(above.ndim - 1))
        found = {"gamma": (above * standardized).sum(axis=rest), "beta": above.sum(axis=rest)}
        return Gradients((of_inputs,), {name: value for name, value in found.items() if name in self.weights})

    def _standardize(self, inputs: Array) -> tuple[Array, Array]:
        if self.axes is not None:
            return standardize(inputs, self.axes, epsilon=self.epsilon)
        deviation = np.sqrt(self.weights["moving_variance"] + self.epsilon)
        return (inputs - self.weights["moving_mean"]) / deviation, deviation


@dataclass
class Scale(Layer):
    """Each channel multiplied by a weight and shifted by a constant: layer scale, or the rescaling of pixels.

    Attributes:
        weights: Perhaps `gamma`, (channels,).
        factor: A constant, or one for each channel.
        shift: A constant, or one for each channel.
    """

    weights: Weights = field(default_factory=dict)
    factor: Array | float = 1.0
    shift: Array | float = 0.0

    def forward(self, *inputs: Array) -> Array:
        """Return gamma x factor x input + shift."""
        return np.asarray(inputs[0] * self.weights.get("gamma", 1.0) * self.factor + self.shift)

    def backward(self, inputs: Sequence[Array], output: Array, above: Array) -> Gradients:
        """Return the gradients of the input and of gamma."""
        of_inputs = np.asarray(above * self.weights.get("gamma", 1.0) * self.factor)
        rest = tuple(range(above.ndim - 1))
        of_gamma = (above * inputs[0] * self.factor).sum(axis=rest)
        return Gradients((of_inputs,), {"gamma": of_gamma} if "gamma" in self.weights else {})
