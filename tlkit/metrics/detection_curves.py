"""Precision by recall, and F1 by score, of the detections of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.detection_matches import DetectionMatches
from tlkit.metrics.detection_precision import RECALLS, interpolate_precision, rank_by_class, trace_precision

THRESHOLDS = np.linspace(0.01, 1, 100)


@dataclass(frozen=True, eq=False)
class DetectionCurves:
    """The curves of all classes at the lowest overlap; NaN for a class without objects.

    Attributes:
        recalls: 0, 0.01 ... 1, float64 (101,).
        precision: The highest precision at each recall or above, float64 (classes, 101).
        thresholds: Scores, 0.01 ... 1, float64 (100,).
        f1: F1 of the detections from each score on, float64 (classes, 100).
    """

    recalls: NDArray[np.float64]
    precision: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    f1: NDArray[np.float64]

    def to_payload(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Return the recalls, and the precision of each class with objects, as JSON values."""
        has_objects = ~np.isnan(self.precision[:, 0])
        classes = {
            name: values.tolist()
            for name, values, is_defined in zip(class_names, self.precision, has_objects, strict=True)
            if is_defined
        }
        return {"recall": self.recalls.tolist(), "classes": classes}


def trace_curves(matches: DetectionMatches) -> DetectionCurves:
    """Return the curves of all classes."""
    precision = np.full((matches.num_classes, len(RECALLS)), np.nan)
    f1 = np.full((matches.num_classes, len(THRESHOLDS)), np.nan)
    support, order = matches.count_objects(), rank_by_class(matches)
    is_right, is_neutral = matches.find_right(), matches.find_neutral()
    for label in np.flatnonzero(support).tolist():
        own = order[label]
        steps = trace_precision(is_right[own], is_neutral[own], int(support[label]))
        precision[label] = interpolate_precision(*steps)
        counted = own[~is_neutral[own]]
        f1[label] = _trace_f1(matches.detected.scores[counted], is_right[counted], int(support[label]))
    return DetectionCurves(RECALLS, precision, THRESHOLDS, f1)


def _trace_f1(scores: NDArray[np.float32], is_right: NDArray[np.bool_], support: int) -> NDArray[np.float64]:
    num_shown, num_right = (
        len(part) - np.searchsorted(np.sort(part), THRESHOLDS.astype(np.float32), side="left")
        for part in (scores, scores[is_right])
    )
    f1: NDArray[np.float64] = 2 * num_right / (num_shown + support)
    return f1
