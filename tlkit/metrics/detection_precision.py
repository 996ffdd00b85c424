"""Mean average precision and recall of detections, as the evaluation of COCO defines them.

The average precision of a class is the mean, over the recalls 0, 0.01 … 1, of the highest precision at that recall or
above. AP is its mean over ten intersections over union, 0.5 to 0.95, and over the classes with objects; AP50 and AP75
are those at 0.5 and 0.75. https://cocodataset.org/#detection-eval
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.average_precision import mean_of_defined
from tlkit.metrics.detection_matches import ALL_SIZES, DetectionMatches, match_detections

RECALLS = np.linspace(0, 1, 101)
MAX_DETECTIONS = (1, 10, 100)
AP50, AP75 = 0, 5
"""Index of an intersection over union of 0.5 and 0.75 in `COCO_OVERLAPS`."""


@dataclass(frozen=True, eq=False)
class DetectionScores:
    """Average precision and recall; NaN where there are no objects.

    Attributes:
        precision: Average precision by size, class and overlap, float64 (sizes, classes, overlaps).
        recall: Share of the objects found by the same, with the 100 best detections of an image and class.
        recall_of_best: Share found by the 1, 10 and 100 best, of all sizes, float64 (3, classes, overlaps).
        sizes: Names of the sizes, "all" first.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    recall_of_best: NDArray[np.float64]
    sizes: tuple[str, ...]

    def mean_precision(self, *, size: str = ALL_SIZES, overlap: int | None = None) -> float | None:
        """Return the mean over the classes with objects, and over all overlaps or of one; None without objects."""
        return _mean(_take(self.precision[self.sizes.index(size)], overlap))

    def mean_recall(self, *, size: str = ALL_SIZES) -> float | None:
        """Return the average recall, likewise."""
        return _mean(self.recall[self.sizes.index(size)])

    def mean_recall_of_best(self, number: int) -> float | None:
        """Return the average recall of the 1, 10 or 100 best detections, likewise."""
        return _mean(self.recall_of_best[MAX_DETECTIONS.index(number)])

    def class_precision(self, label: int, *, overlap: int | None = None) -> float | None:
        """Return the average precision of a class; None if it has no objects."""
        return _mean(_take(self.precision[0, label], overlap))


def compute_detection_scores(matches: DetectionMatches) -> DetectionScores:
    """Compute average precision and recall by size, class and overlap."""
    shape = (len(matches.sizes), matches.num_classes, len(matches.overlaps))
    precision, recall = np.full(shape, np.nan), np.full(shape, np.nan)
    recall_of_best = np.full((len(MAX_DETECTIONS), *shape[1:]), np.nan)
    order = rank_by_class(matches)
    ranks = _rank_in_image(matches)
    for number, size in enumerate(matches.sizes):
        support = matches.count_objects(size)
        for overlap in range(len(matches.overlaps)):
            is_right, is_neutral = matches.find_right(overlap, size), matches.find_neutral(overlap, size)
            for label in np.flatnonzero(support).tolist():
                own = order[label]
                hits = is_right[own]
                precision[number, label, overlap] = compute_area(hits, is_neutral[own], int(support[label]))
                recall[number, label, overlap] = (hits & (ranks[own] < MAX_DETECTIONS[-1])).sum() / support[label]
                if not number:
                    recall_of_best[:, label, overlap] = [
                        (hits & (ranks[own] < best)).sum() / support[label] for best in MAX_DETECTIONS
                    ]
    return DetectionScores(precision, recall, recall_of_best, matches.sizes)


def compute_map50(targets: NDArray[np.floating[Any]], detections: NDArray[np.floating[Any]]) -> float:
    """Return the mean average precision at an intersection over union of 0.5, 0..1; 0 if no image has an object.

    Args:
        targets: Float (n, m, 6): left, top, right, bottom in pixels, class + 1 (0 for padding), and 1 if ignored.
        detections: Float (n, k, 6): left, top, right, bottom in pixels, score 0..1 (0 for padding), and class.

    Raises:
        ValueError: The shapes do not match.
    """
    num_classes = count_classes(targets, detections)
    matches = match_detections(targets, detections, num_classes, overlaps=(0.5,), sizes=(ALL_SIZES,))
    order, support = rank_by_class(matches), matches.count_objects()
    is_right, is_neutral = matches.find_right(), matches.find_neutral()
    areas = [
        compute_area(is_right[order[label]], is_neutral[order[label]], int(support[label]))
        for label in np.flatnonzero(support).tolist()
    ]
    return mean_of_defined(areas) or 0.0


def compute_map50_by_image(
    targets: NDArray[np.floating[Any]], detections: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Return AP50 of each image by itself, float64 (n,): without objects, 1 minus the highest score that is found in it.

    Arguments as for `compute_map50`.
    """
    is_true = (targets[..., 4] > 0) & (targets[..., 5] == 0)
    each = [
        compute_map50(targets[image : image + 1], detections[image : image + 1])
        if is_true[image].any()
        else 1.0 - float(detections[image, :, 4].max(initial=0.0))
        for image in range(len(targets))
    ]
    return np.array(each)


def count_classes(targets: NDArray[np.floating[Any]], detections: NDArray[np.floating[Any]]) -> int:
    """Return the least number of classes that has room for all; arguments as for `compute_map50`."""
    return 1 + int(max(targets[..., 4].max(initial=1) - 1, detections[..., 5].max(initial=0)))


def rank_by_class(matches: DetectionMatches) -> list[NDArray[np.intp]]:
    """Return the detections of each class, the highest score first, those of the first image first among equals."""
    return rank_within(matches.detected.scores, matches.detected.labels, matches.num_classes)


def rank_within(
    scores: NDArray[np.floating[Any]], labels: NDArray[np.int64], num_classes: int
) -> list[NDArray[np.intp]]:
    """Return the indices of each class, those with the highest scores first.

    Args:
        scores: Float (d,).
        labels: Class of each, int64 (d,).
        num_classes: Number of classes.
    """
    order = np.lexsort((-scores, labels))
    edges = np.searchsorted(labels[order], np.arange(num_classes + 1))
    return [order[start:stop] for start, stop in itertools.pairwise(edges.tolist())]


def trace_precision(
    is_right: NDArray[np.bool_], is_neutral: NDArray[np.bool_], support: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return recall, and the highest precision at that recall or above, at each right detection, float64 (right,).

    Args:
        is_right: Whether each detection of one class is right, bool (d,), the highest score first.
        is_neutral: Whether it does not count, bool (d,).
        support: Number of objects, at least 1.
    """
    num_claimed = np.cumsum(~is_neutral)[is_right]
    num_right = np.arange(1, len(num_claimed) + 1)
    envelope: NDArray[np.float64] = np.maximum.accumulate((num_right / num_claimed)[::-1])[::-1]
    return num_right / support, envelope


def compute_area(is_right: NDArray[np.bool_], is_neutral: NDArray[np.bool_], support: int) -> float:
    """Return the average precision; arguments as for `trace_precision`."""
    return float(interpolate_precision(*trace_precision(is_right, is_neutral, support)).mean())


def interpolate_precision(recall: NDArray[np.float64], envelope: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the precision at each of `RECALLS`, float64 (101,), 0 above the highest recall."""
    places = np.searchsorted(recall, RECALLS, side="left")
    return np.append(envelope, 0.0)[places]


def _rank_in_image(matches: DetectionMatches) -> NDArray[np.int64]:
    """Return the rank of each detection among those of its image and class, int64 (d,), 0 for the best."""
    keys = matches.detected.images * matches.num_classes + matches.detected.labels
    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    ranks = np.empty(len(keys), np.int64)
    ranks[order] = np.arange(len(keys)) - np.searchsorted(ranked, ranked, side="left")
    return ranks


def _take(values: NDArray[np.float64], overlap: int | None) -> NDArray[np.float64]:
    return values if overlap is None else values[..., overlap]


def _mean(values: NDArray[np.float64]) -> float | None:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else None
