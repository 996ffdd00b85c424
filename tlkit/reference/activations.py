"""Activations and their derivatives, softmax and the cross-entropy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Activation:
    """A function of each number alone.

    Attributes:
        compute: f(x), in the shape of x.
        derive: f'(x); at a corner, the slope of the flat side, as in TensorFlow.
    """

    compute: Callable[[Array], Array]
    derive: Callable[[Array], Array]


def _sigmoid(inputs: Array) -> Array:
    # 1 / (1 + e^-x), written so that e^x never overflows.
    positive = 1 / (1 + np.exp(-np.abs(inputs)))
    return np.where(inputs >= 0, positive, 1 - positive)


def _hard_sigmoid(inputs: Array) -> Array:
    return np.asarray(np.clip(inputs / 6 + 0.5, 0, 1))


def _normal_share(inputs: Array) -> Array:
    """Return the share of the standard normal distribution below each number."""
    return np.asarray(0.5 * (1 + np.vectorize(math.erf, otypes=[float])(inputs / math.sqrt(2))), inputs.dtype)


def _normal_density(inputs: Array) -> Array:
    return np.asarray(np.exp(-(inputs**2) / 2) / math.sqrt(2 * math.pi))


def _silu_slope(inputs: Array) -> Array:
    share = _sigmoid(inputs)
    return share * (1 + inputs * (1 - share))


def _between(inputs: Array, low: float, high: float) -> Array:
    return ((inputs > low) & (inputs < high)).astype(inputs.dtype)


ACTIVATIONS = {
    "linear": Activation(lambda x: x, np.ones_like),
    "relu": Activation(lambda x: np.maximum(x, 0), lambda x: (x > 0).astype(x.dtype)),
    "relu6": Activation(lambda x: np.clip(x, 0, 6), lambda x: _between(x, 0, 6)),
    "sigmoid": Activation(_sigmoid, lambda x: _sigmoid(x) * (1 - _sigmoid(x))),
    "tanh": Activation(np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "silu": Activation(lambda x: x * _sigmoid(x), _silu_slope),
    "gelu": Activation(lambda x: x * _normal_share(x), lambda x: _normal_share(x) + x * _normal_density(x)),
    "hard_sigmoid": Activation(_hard_sigmoid, lambda x: _between(x, -3, 3) / 6),
    "hard_silu": Activation(lambda x: x * _hard_sigmoid(x), lambda x: _hard_sigmoid(x) + x * _between(x, -3, 3) / 6),
}
"""By Keras' name. GELU is the exact one, x times the share of the standard normal distribution below x."""


def softmax(logits: Array) -> Array:
    """Return e^z / (sum of e^z) of each row: logits (n, classes), probabilities (n, classes) that add up to 1."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))  # the same after subtracting a constant
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def softmax_backward(probabilities: Array, above: Array) -> Array:
    """Return the gradient of the logits: p_i (d_i - sum of p_j d_j)."""
    return np.asarray(probabilities * (above - (probabilities * above).sum(axis=-1, keepdims=True)))


def cross_entropy(logits: Array, targets: Array) -> tuple[float, Array]:
    """Return the mean over the images of -sum of t log p, and its gradient for the logits, (p - t) / n.

    Args:
        logits: (n, classes), before the softmax.
        targets: (n, classes), 0..1, each row adding up to 1.
    """
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    loss = -(targets * log_probabilities).sum(axis=-1).mean()
    return float(loss), (np.exp(log_probabilities) - targets) / len(logits)
