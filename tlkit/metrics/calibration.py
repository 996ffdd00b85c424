"""Do probabilities mean what they say? One temperature that fixes them, and the figure and bins that show it.

Dividing all logits by one number changes no answer, only how sure the model says that it is (Guo et al. 2017, "On
Calibration of Modern Neural Networks"). It is chosen on validation images by their likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUM_BINS = 15
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.2, 20.0
_NUM_HALVINGS = 60
_SMALLEST = 1e-30


@dataclass(frozen=True)
class CalibrationBin:
    """Some images of similar confidence: mean confidence, accuracy, and how many there are."""

    confidence: float
    accuracy: float
    num_images: int


@dataclass(frozen=True)
class Calibration:
    """How far confidence and accuracy lie apart.

    Attributes:
        error: Expected calibration error, 0..1: their mean difference over the bins, weighted by images.
        bins: With equally many images each, the least confident first.
    """

    error: float
    bins: tuple[CalibrationBin, ...]


def compute_calibration(
    labels: NDArray[np.integer[Any]], probabilities: NDArray[np.floating[Any]], *, num_bins: int = NUM_BINS
) -> Calibration:
    """Hold the confidence in the answers against how often they are right.

    Bins with equally many images make the error less a matter of luck than bins of equal width (Nixon et al. 2019,
    "Measuring Calibration in Deep Learning"); there are fewer where a bin would have less than ten images.

    Args:
        labels: Integer (n,), n >= 1.
        probabilities: Float (n, classes), 0..1.
        num_bins: The most bins.
    """
    confidences = probabilities.max(axis=1).astype(np.float64)
    is_right = probabilities.argmax(axis=1) == labels
    order = np.argsort(confidences, kind="stable")
    bins = tuple(
        CalibrationBin(float(confidences[part].mean()), float(is_right[part].mean()), len(part))
        for part in np.array_split(order, max(1, min(num_bins, len(order) // 10)))
    )
    gaps = sum(each.num_images * abs(each.confidence - each.accuracy) for each in bins)
    return Calibration(gaps / len(labels), bins)


def fit_temperature(labels: NDArray[np.integer[Any]], probabilities: NDArray[np.floating[Any]]) -> float:
    """Return the temperature under which the true labels are most likely.

    The likelihood is concave in the inverse temperature, so halving an interval by the sign of its slope finds it.

    Args:
        labels: Integer (n,), n >= 1.
        probabilities: Float (n, classes), 0..1, at temperature 1.

    Returns:
        0.2..20: above 1 where the model was too sure. A model that is always right gets 0.2.
    """
    logits = np.log(np.maximum(probabilities.astype(np.float64), _SMALLEST))
    true = logits[np.arange(len(labels)), labels]
    low, high = 1 / HIGHEST_TEMPERATURE, 1 / LOWEST_TEMPERATURE
    for _ in range(_NUM_HALVINGS):
        middle = (low + high) / 2
        weights = np.exp(middle * (logits - logits.max(axis=1, keepdims=True)))
        expected = (weights * logits).sum(axis=1) / weights.sum(axis=1)
        if (true - expected).mean() > 0:
            low = middle
        else:
            high = middle
    return 2 / (low + high)
