"""Intervals of the average precision of detections, by resampling images.

The matches of an image do not depend on the other images, so a resample only counts each image's detections as often as
it contains the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.detection_matches import ALL_SIZES, DetectionMatches, match_detections
from tlkit.metrics.detection_precision import AP50, AP75, DetectionScores, count_classes, rank_by_class
from tlkit.metrics.intervals import Interval, compute_bootstrap_intervals, widen_interval

_MAX_COUNTS_AT_ONCE = 2**19
_ROUNDING = 1e-4


@dataclass(frozen=True)
class PrecisionIntervals:
    """Average precision with its intervals; None without objects.

    Attributes:
        mean: AP, over the overlaps 0.5 to 0.95 and the classes with objects.
        at_50: AP50.
        at_75: AP75.
        classes: The AP of each class.
        classes_at_50: The AP50 of each class.
    """

    mean: Interval | None
    at_50: Interval | None
    at_75: Interval | None
    classes: tuple[Interval | None, ...]
    classes_at_50: tuple[Interval | None, ...]


def measure_precision(matches: DetectionMatches, scores: DetectionScores) -> PrecisionIntervals:
    """Return average precision with its 95 % bootstrap intervals over images.

    A class without objects in a resample is left out of its means. There are 2000 resamples, or as few as 200 if more
    would take several seconds. Few images have a higher AP on average than many, since the highest precision at each
    recall is taken; the intervals are moved by as much as the resamples show. Where all resamples agree, the interval is
    the Wilson interval of a share of as many images as have objects.

    Args:
        matches: Of at least one image, at the overlaps of COCO.
        scores: What `compute_detection_scores` gives for them.
    """
    steps = [_ClassSteps.find(matches, own, label) for label, own in _iterate_classes(matches)]
    num_classes = len(steps)
    if not num_classes:
        nothing = (None,) * matches.num_classes
        return PrecisionIntervals(None, None, None, nothing, nothing)

    def compute(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        areas = np.stack([each.resample(counts) for each in steps])
        by_class = [areas.mean(axis=1), areas[:, AP50], areas[:, AP75]]
        return np.concatenate([*(_mean_of_defined(figures)[None] for figures in by_class), *by_class[:2]])

    precision = scores.precision[0, [each.label for each in steps]]
    by_class = [precision.mean(axis=1), precision[:, AP50], precision[:, AP75]]
    values = [*(float(each.mean()) for each in by_class), *by_class[0].tolist(), *by_class[1].tolist()]
    work = len(matches.detected) + len(matches.overlaps) * sum(len(each.ends) for each in steps)
    num_bearing = [len(np.unique(each.true_images)) for each in steps]
    num_bearing_any = len(np.unique(np.concatenate([each.true_images for each in steps])))
    mean, at_50, at_75, *others = map(
        widen_interval,
        compute_bootstrap_intervals(values, compute, matches.num_images, num_passes=1 + work // matches.num_images),
        [num_bearing_any] * 3 + num_bearing * 2,
    )
    classes: list[Interval | None] = [None] * matches.num_classes
    classes_at_50 = list(classes)
    for place, each in enumerate(steps):
        classes[each.label], classes_at_50[each.label] = others[place], others[num_classes + place]
    return PrecisionIntervals(mean, at_50, at_75, tuple(classes), tuple(classes_at_50))


@dataclass(frozen=True, eq=False)
class PrecisionResampling:
    """What AP50 of resampled images is computed from.

    Attributes:
        num_passes: How much work a resample is, in passes over the images.
    """

    num_passes: int
    _steps: tuple[_ClassSteps, ...]

    @classmethod
    def of(cls, targets: NDArray[np.floating[Any]], detections: NDArray[np.floating[Any]]) -> PrecisionResampling:
        """Match detections with objects; arguments as for `tlkit.metrics.detection_matches.match_detections`."""
        num_classes = count_classes(targets, detections)
        matches = match_detections(targets, detections, num_classes, overlaps=(0.5,), sizes=(ALL_SIZES,))
        steps = tuple(_ClassSteps.find(matches, own, label) for label, own in _iterate_classes(matches))
        work = len(matches.detected) + sum(len(each.ends) for each in steps)
        return cls(1 + work // max(matches.num_images, 1), steps)

    def resample(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return AP50 in resamples, float64 (r,); NaN in one without objects.

        Args:
            counts: float64 (images, r), how often each resample contains each image.
        """
        if not self._steps:
            return np.full(counts.shape[1], np.nan)
        return _mean_of_defined(np.stack([each.resample(counts)[0] for each in self._steps]))


@dataclass(frozen=True, eq=False)
class _ClassSteps:
    """What the average precision of one class needs to be computed again.

    Attributes:
        label: The class.
        images: Image of each detection down to the last one that is right or neutral, int64 (d,), best first.
        ends: The detections that are right or neutral at any overlap, ascending int64 (s,).
        is_right: Whether these are right, bool (overlaps, s).
        is_neutral: Whether these do not count, bool (overlaps, s).
        true_images: The image of each object, int64 (g,).
    """

    label: int
    images: NDArray[np.int64]
    ends: NDArray[np.intp]
    is_right: NDArray[np.bool_]
    is_neutral: NDArray[np.bool_]
    true_images: NDArray[np.int64]

    @classmethod
    def find(cls, matches: DetectionMatches, own: NDArray[np.intp], label: int) -> _ClassSteps:
        overlaps = range(len(matches.overlaps))
        is_right = np.stack([matches.find_right(overlap)[own] for overlap in overlaps])
        is_neutral = np.stack([matches.find_neutral(overlap)[own] for overlap in overlaps])
        ends = np.flatnonzero((is_right | is_neutral).any(axis=0))
        last = ends[-1] + 1 if len(ends) else 0
        wanted = matches.find_counted() & (matches.true.labels == label)
        return cls(
            label,
            matches.detected.images[own[:last]],
            ends,
            is_right[:, ends],
            is_neutral[:, ends],
            matches.true.images[wanted],
        )

    def resample(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the average precision in resamples, float64 (overlaps, r); NaN in one without the class.

        Args:
            counts: float64 (images, r), how often each resample contains each image.
        """
        at_once = max(1, _MAX_COUNTS_AT_ONCE // max(1, len(self.images)))
        parts = [
            self._resample_some(np.ascontiguousarray(counts[:, start : start + at_once], np.float32))
            for start in range(0, counts.shape[1], at_once)
        ]
        return np.concatenate(parts, axis=1)

    def _resample_some(self, counts: NDArray[np.float32]) -> NDArray[np.float64]:
        num_objects = counts[self.true_images].sum(axis=0)
        areas = np.zeros((len(self.is_right), counts.shape[1]))
        drawn = counts[self.images]
        own = drawn[self.ends]
        # Sums of counts are whole numbers, which float32 adds without error up to 16 million.
        num_claimed = np.cumsum(drawn, axis=0, out=drawn)[self.ends]
        for overlap, (is_right, is_neutral) in enumerate(zip(self.is_right, self.is_neutral, strict=True)):
            claimed = num_claimed[is_right]
            if is_neutral.any():
                claimed = claimed - np.cumsum(own * is_neutral[:, None], axis=0)[is_right]
            areas[overlap] = _sum_areas(np.cumsum(own[is_right], axis=0), claimed, num_objects)
        areas[:, num_objects == 0] = np.nan
        return areas


def _sum_areas(
    found: NDArray[np.float32], claimed: NDArray[np.float32], num_objects: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the average precision of resamples, float32 (r,).

    Args:
        found: Objects found down to each right detection, float32 (right, r).
        claimed: Detections down to it.
        num_objects: float32 (r,).
    """
    precision = found / np.maximum(claimed, 1)
    envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    # The number of the recalls 0, 0.01 ... 1 that are reached at each right detection.
    reached = np.floor(found * (100 / np.maximum(num_objects, 1)) + _ROUNDING) + 1
    reached[1:] -= reached[:-1].copy()
    areas: NDArray[np.float32] = np.einsum("ij,ij->j", envelope, reached) / 101
    return areas


def _iterate_classes(matches: DetectionMatches) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Yield the classes with objects, and their detections, best first."""
    support = matches.count_objects()
    for label, own in enumerate(rank_by_class(matches)):
        if support[label]:
            yield label, own


def _mean_of_defined(figures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means of columns without NaN, float64 (r,)."""
    is_defined = ~np.isnan(figures)
    num_defined = is_defined.sum(axis=0)
    means: NDArray[np.float64] = np.where(is_defined, figures, 0).sum(axis=0) / np.where(
        num_defined, num_defined, np.nan
    )
    return means
