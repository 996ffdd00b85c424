"""Decision thresholds of labels, chosen on validation images.

A label is predicted if its probability, as float32, is at least its threshold.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DEFAULT_THRESHOLD = 0.5


def choose_thresholds(labels: NDArray[np.generic], probabilities: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return the threshold with the highest F1 on these images for each label.

    It is midway between two neighbouring probabilities; among equally good ones, the nearest to 0.5. A label that all
    images or no images have gets 0.5.

    Args:
        labels: (n, labels) of 0 and 1, n >= 1: the true labels.
        probabilities: Float (n, labels), 0..1. Scores on these same images are optimistic.

    Returns:
        float32 (labels,), above 0 and below 1.
    """
    thresholds = [
        _choose_threshold(is_true, column) if is_true.any() and not is_true.all() else DEFAULT_THRESHOLD
        for is_true, column in zip(labels.T.astype(bool), probabilities.T.astype(np.float32), strict=True)
    ]
    return np.array(thresholds, np.float32)


def apply_thresholds(
    probabilities: NDArray[np.floating[Any]], thresholds: NDArray[np.floating[Any]]
) -> NDArray[np.bool_]:
    """Return which labels are predicted.

    Args:
        probabilities: Float (..., labels), 0..1.
        thresholds: Float (labels,).

    Returns:
        Bool, of the probabilities' shape.
    """
    is_predicted: NDArray[np.bool_] = probabilities.astype(np.float32) >= thresholds.astype(np.float32)
    return is_predicted


def _choose_threshold(is_true: NDArray[np.bool_], probabilities: NDArray[np.float32]) -> float:
    candidates = _find_candidates(probabilities)
    num_below = np.searchsorted(np.sort(probabilities), candidates, side="left")
    num_bearers_below = np.searchsorted(np.sort(probabilities[is_true]), candidates, side="left")
    num_bearers = int(is_true.sum())
    f1 = 2 * (num_bearers - num_bearers_below) / (len(probabilities) - num_below + num_bearers)
    best = candidates[f1 == f1.max()]
    return float(best[np.argmin(np.abs(best - DEFAULT_THRESHOLD))])


def _find_candidates(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return one threshold for every way to divide the images by probability, ascending float32 in (0, 1)."""
    edges = np.unique(np.concatenate([probabilities, np.array([0, 1], np.float32)]))
    midway = ((edges[:-1].astype(np.float64) + edges[1:]) / 2).astype(np.float32)
    # Adjacent float32 numbers have no midpoint; the upper one divides them as well.
    midway = np.where(midway > edges[:-1], midway, edges[1:])
    return midway[(midway > 0) & (midway < 1)]
