"""The score from which a detection is shown, for each class, chosen on validation images.

A detection is shown if its score, as float32, is at least the threshold of its class. The threshold of a class gives the
highest F1 of its own objects together with a number of objects of all classes. So a class with hundreds of objects has
its own threshold, and one with few or none nearly that of all classes. A hundredth of F1 is given for fewer wrong boxes:
near its top F1 is flat, and a box on an empty picture is what people notice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.detection_matches import ALL_SIZES, DetectionMatches, match_detections

DEFAULT_THRESHOLD = 0.5
NUM_OBJECTS_OF_ALL = 10
"""How many objects of all classes count beside those of the class."""
MAX_F1_GIVEN = 0.01
GOOD_OVERLAP = 0.5


def choose_detection_thresholds(
    targets: NDArray[np.floating[Any]], detections: NDArray[np.floating[Any]], num_classes: int
) -> tuple[float, ...]:
    """Return the threshold of each class, above 0 and below 1; 0.5 if nothing is detected rightly.

    Args:
        targets: Float (n, m, 6): left, top, right, bottom in pixels, class + 1 (0 for padding), and 1 if ignored.
        detections: Float (n, k, 6): left, top, right, bottom in pixels, score 0..1 (0 for padding), and class. Scores
            on these same images are optimistic.
        num_classes: Number of classes.

    Raises:
        ValueError: The shapes do not match.
    """
    matches = match_detections(targets, detections, num_classes, overlaps=(GOOD_OVERLAP,), sizes=(ALL_SIZES,))
    everything = np.ones(len(matches.detected), bool)
    pooled = _Scores.find(matches, everything, int(matches.count_objects().sum()))
    if not len(pooled.right):
        return (DEFAULT_THRESHOLD,) * num_classes
    return tuple(
        _choose(_Scores.find(matches, matches.detected.labels == label, int(support)), pooled)
        for label, support in enumerate(matches.count_objects())
    )


def apply_detection_thresholds(detections: NDArray[np.floating[Any]], thresholds: Sequence[float]) -> NDArray[np.bool_]:
    """Return which detections are shown; padding is not.

    Args:
        detections: Float (..., 6) as above.
        thresholds: One per class, 0..1.

    Returns:
        Bool, of the detections' shape without its last axis.
    """
    return find_shown(detections[..., 4], detections[..., 5].astype(np.int64), thresholds)


def find_shown(
    scores: NDArray[np.floating[Any]], labels: NDArray[np.int64], thresholds: Sequence[float]
) -> NDArray[np.bool_]:
    """Return which detections are shown; those with a score of 0 are not.

    Args:
        scores: Float (...), 0..1.
        labels: The class of each, int64 (...).
        thresholds: One per class, 0..1.

    Returns:
        Bool, of the same shape.
    """
    limits = np.array(thresholds, np.float32)[labels]
    is_shown: NDArray[np.bool_] = (scores > 0) & (scores.astype(np.float32) >= limits)
    return is_shown


@dataclass(frozen=True, eq=False)
class _Scores:
    """The scores of some detections that count, ascending float32, and the number of objects.

    Attributes:
        all: Of all of them.
        right: Of the right ones.
        support: Number of objects.
    """

    all: NDArray[np.float32]
    right: NDArray[np.float32]
    support: int

    @classmethod
    def find(cls, matches: DetectionMatches, is_taken: NDArray[np.bool_], support: int) -> _Scores:
        scores = matches.detected.scores
        counted = is_taken & ~matches.find_neutral()
        return cls(np.sort(scores[counted]), np.sort(scores[counted & matches.find_right()]), support)

    def count(self, thresholds: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the numbers of right detections, of wrong ones and of missed objects, int64 (3, t)."""
        num_right = len(self.right) - np.searchsorted(self.right, thresholds, side="left")
        num_shown = len(self.all) - np.searchsorted(self.all, thresholds, side="left")
        return np.stack([num_right, num_shown - num_right, self.support - num_right])


def _choose(own: _Scores, pooled: _Scores) -> float:
    candidates = _find_candidates(own, pooled)
    weight = NUM_OBJECTS_OF_ALL / pooled.support
    num_right, num_wrong, num_missed = own.count(candidates) + weight * pooled.count(candidates)
    f1 = 2 * num_right / (2 * num_right + num_wrong + num_missed)
    near = f1 >= f1.max() - MAX_F1_GIVEN
    least = near & (num_wrong == num_wrong[near].min())
    best = candidates[least & (f1 == f1[least].max())]
    return float(str(best[np.argmin(np.abs(best - DEFAULT_THRESHOLD))]))


def _find_candidates(own: _Scores, pooled: _Scores) -> NDArray[np.float32]:
    """Return thresholds in (0, 1), float32: below each right detection, midway to the next score of the class.

    F1 is highest there: to go further down adds only wrong detections until the next right one.
    """
    parts = []
    for scores in (own, pooled):
        edges = np.append(np.float32(0), scores.all)
        right = np.unique(scores.right)
        below = edges[np.searchsorted(edges, right, side="left") - 1]
        midway = ((below.astype(np.float64) + right) / 2).astype(np.float32)
        # Adjacent float32 numbers have no midpoint; the upper one divides them as well.
        parts.append(np.where(midway > below, midway, right))
    candidates = np.unique(np.concatenate(parts))
    return candidates[(candidates > 0) & (candidates < 1)]
