"""Gradients by finite differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


def check_gradient(loss: Callable[[Array], float], point: Array, gradient: Array, *, step: float = 1e-5) -> None:
    """Assert that a gradient gives the slopes of a loss in some directions, (f(x + h d) - f(x - h d)) / 2h."""
    assert gradient.shape == point.shape
    for seed in range(5):
        direction = np.random.default_rng(seed).normal(size=point.shape)
        slope = (loss(point + step * direction) - loss(point - step * direction)) / (2 * step)
        np.testing.assert_allclose((gradient * direction).sum(), slope, rtol=1e-5, atol=1e-7)
