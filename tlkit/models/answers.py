"""Outputs in other terms: probabilities at another temperature, values in their own unit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.outputs import CLASSIFICATION, Target
from tlkit.tasks import find_task


def cool(probabilities: NDArray[np.floating[Any]], temperature: float) -> NDArray[np.float32]:
    """Return the probabilities of classes, float (n, classes), 0..1, that another temperature than 1 gives: float32."""
    logits = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)).astype(np.float32)
    return find_task(CLASSIFICATION).activate(logits, temperature=temperature)


def to_deviations(target: Target, values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return values in deviations from the mean, as a model learns them: float32, the same shape."""
    numbers = np.log(values) if target.is_log else values
    return ((numbers - target.mean) / target.scale).astype(np.float32)


def to_values(target: Target, deviations: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the values that deviations stand for, in the target's own unit: float64, the same shape."""
    numbers = deviations.astype(np.float64) * target.scale + target.mean
    return np.exp(numbers) if target.is_log else numbers
