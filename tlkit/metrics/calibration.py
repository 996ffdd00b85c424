"""Calibration: temperature scaling, and the expected calibration error with its bins.

Dividing all logits by one temperature changes the confidence but not the predicted class (Guo et al. 2017, "On
Calibration of Modern Neural Networks"). The temperature maximizes the likelihood of the validation images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.intervals import Interval, compute_bootstrap_interval

NUM_BINS = 15
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.2, 20.0
_NUM_HALVINGS = 60
_SMALLEST = 1e-30


@dataclass(frozen=True)
class CalibrationBin:
    """A bin of images of similar confidence."""

    confidence: float
    accuracy: float
    num_images: int


@dataclass(frozen=True)
class Calibration:
    """The gap between confidence and accuracy.

    Attributes:
        error: Expected calibration error, 0..1: the mean absolute gap over the bins, weighted by images.
        bins: Bins of equally many images, least confident first.
    """

    error: float
    bins: tuple[CalibrationBin, ...]


def compute_calibration(
    labels: NDArray[np.integer[Any]], probabilities: NDArray[np.floating[Any]], *, num_bins: int = NUM_BINS
) -> Calibration:
    """Compare confidence with accuracy.

    Bins with equally many images give a less noisy error than bins of equal width (Nixon et al. 2019, "Measuring
    Calibration in Deep Learning"). There are fewer bins if they would have fewer than ten images.

    Args:
        labels: Integer (n,), n >= 1.
        probabilities: Float (n, classes), 0..1.
        num_bins: Maximum number of bins.
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


def measure_calibration_error(
    labels: NDArray[np.integer[Any]], probabilities: NDArray[np.floating[Any]], calibration: Calibration
) -> Interval:
    """Return the expected calibration error with its 95% bootstrap interval over images.

    The absolute gaps of a resample are larger than those of the images themselves, so the interval is moved by the
    mean difference (Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 10).

    Args:
        labels: Integer (n,), n >= 1.
        probabilities: Float (n, classes), 0..1.
        calibration: What `compute_calibration` gives for them.
    """
    confidences = probabilities.max(axis=1).astype(np.float64)
    order = np.argsort(confidences, kind="stable")
    gaps = (confidences - (probabilities.argmax(axis=1) == labels))[order]
    starts = np.cumsum([0, *(each.num_images for each in calibration.bins[:-1])])

    def compute(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        errors: NDArray[np.float64] = np.abs(np.add.reduceat(counts[order] * gaps[:, None], starts, axis=0)).sum(axis=0)
        return errors / len(gaps)

    interval = compute_bootstrap_interval(calibration.error, compute, len(gaps), is_biased=True)
    return Interval(interval.value, max(0.0, interval.low), interval.high)


def fit_temperature(labels: NDArray[np.integer[Any]], probabilities: NDArray[np.floating[Any]]) -> float:
    """Return the temperature that maximizes the likelihood of the true labels.

    The log-likelihood is concave in the inverse temperature, so bisection on its slope finds the maximum.

    Args:
        labels: Integer (n,), n >= 1.
        probabilities: Float (n, classes), 0..1, at temperature 1.

    Returns:
        0.2..20: above 1 if the model is overconfident. A model that is always right gets 0.2.
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
