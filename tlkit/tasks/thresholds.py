"""The probability from which on a label is said to be there: one for each label, chosen on validation images.

A label is there where its probability, as float32, is at least its threshold.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DEFAULT_THRESHOLD = 0.5


def choose_thresholds(labels: NDArray[np.generic], probabilities: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return for each label the threshold with the greatest F1 on these images.

    It lies midway between two neighbouring probabilities. Of several that are equally good it is the one nearest 0.5.
    A label that all images bear, or none, gets 0.5.

    Args:
        labels: (n, labels) of 0 and 1, n >= 1: the labels that each image bears.
        probabilities: Float (n, labels), 0..1. Scores on the images that the thresholds were chosen on flatter.

    Returns:
        float32 (labels,), above 0 and below 1.
    """
    thresholds = [
        _choose_threshold(is_borne, column) if is_borne.any() and not is_borne.all() else DEFAULT_THRESHOLD
        for is_borne, column in zip(labels.T.astype(bool), probabilities.T.astype(np.float32), strict=True)
    ]
    return np.array(thresholds, np.float32)


def apply_thresholds(
    probabilities: NDArray[np.floating[Any]], thresholds: NDArray[np.floating[Any]]
) -> NDArray[np.bool_]:
    """Return which labels are said to be there.

    Args:
        probabilities: Float (..., labels), 0..1.
        thresholds: Float (labels,).

    Returns:
        Bool, of the probabilities' shape.
    """
    is_said: NDArray[np.bool_] = probabilities.astype(np.float32) >= thresholds.astype(np.float32)
    return is_said


def _choose_threshold(is_borne: NDArray[np.bool_], probabilities: NDArray[np.float32]) -> float:
    candidates = _find_candidates(probabilities)
    num_below = np.searchsorted(np.sort(probabilities), candidates, side="left")
    num_bearers_below = np.searchsorted(np.sort(probabilities[is_borne]), candidates, side="left")
    num_bearers = int(is_borne.sum())
    f1 = 2 * (num_bearers - num_bearers_below) / (len(probabilities) - num_below + num_bearers)
    best = candidates[f1 == f1.max()]
    return float(best[np.argmin(np.abs(best - DEFAULT_THRESHOLD))])


def _find_candidates(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return float32, rising, within (0, 1): a threshold for every way to part the images by their probability."""
    edges = np.unique(np.concatenate([probabilities, np.array([0, 1], np.float32)]))
    midway = ((edges[:-1].astype(np.float64) + edges[1:]) / 2).astype(np.float32)
    # Between neighbouring float32 there is none midway; the upper of the two parts them as well.
    midway = np.where(midway > edges[:-1], midway, edges[1:])
    return midway[(midway > 0) & (midway < 1)]
