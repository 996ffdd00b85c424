"""Normalisation, forward and backward, over whichever axes the mean and the variance are taken.

With x^ = (x - mean) / s and s = sqrt(variance + epsilon), the output is gamma x^ + beta. If mean and variance are constants,
dx = D gamma / s. If they are those of the input itself, a change of x also moves them, and with g = D gamma

    dx = (g - mean of g - x^ mean of (g x^)) / s        (Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Axes = tuple[int, ...]


def standardize(inputs: Array, axes: Axes, *, epsilon: float) -> tuple[Array, Array]:
    """Return (inputs - mean) / s and s, with mean and variance over some axes: batch norm in training, layer norm.

    Args:
        inputs: Any shape.
        axes: All but the channels for batch norm, the channels for layer norm.
        epsilon: Added to the variance.

    Returns:
        An array of the inputs' shape, and the deviations, with length 1 along `axes`.
    """
    deviation = np.sqrt(inputs.var(axis=axes, keepdims=True) + epsilon)
    return (inputs - inputs.mean(axis=axes, keepdims=True)) / deviation, deviation


def standardize_backward(standardized: Array, deviation: Array, above: Array, axes: Axes) -> Array:
    """Return the gradient of the inputs of `standardize`."""
    mean = above.mean(axis=axes, keepdims=True)
    along = (above * standardized).mean(axis=axes, keepdims=True)
    return np.asarray((above - mean - standardized * along) / deviation)


def update_moving(moving: Array, value: Array, *, momentum: float) -> Array:
    """Return a moving mean or variance after a batch: momentum x old + (1 - momentum) x new."""
    return momentum * moving + (1 - momentum) * value
