"""Kinds of mistakes of a detector, and what it would gain without each of them.

Every wrong detection is of one kind, by the object that it overlaps most (Bolya et al. 2020, "TIDE: A General Toolbox
for Identifying Object Detection Errors", arXiv:2008.08115):

- place: it overlaps an object of its class by 0.1 to 0.5;
- class: it overlaps an object of another class by 0.5 or more;
- duplicate: it overlaps an object of its class by 0.5 or more that a detection with a higher score has found;
- background: it overlaps no object by more than 0.1;
- both: anything else, so it overlaps an object of another class by 0.1 to 0.5.

An object is missed if it is neither found nor the object of a mistake of class or place. Ignored objects are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.average_precision import mean_of_defined
from tlkit.metrics.detection_matches import DetectionMatches, iterate_pairs, measure_overlaps
from tlkit.metrics.detection_precision import compute_area, rank_within

CLASS, PLACE, BOTH, DUPLICATE, BACKGROUND, MISSED = KINDS = (
    "class",
    "place",
    "both",
    "duplicate",
    "background",
    "missed",
)
RIGHT, NEUTRAL = -1, -2
GOOD_OVERLAP, LEAST_OVERLAP = 0.5, 0.1


@dataclass(frozen=True, eq=False)
class DetectionErrors:
    """The kind of every detection.

    Attributes:
        kinds: Index in `KINDS`, -1 if right and -2 if it does not count, int64 (d,).
        objects: The object of a mistake of class, place or both, or that a duplicate or right detection shows, int64
            (d,); -1 for others.
        overlaps: The intersection over union with it, float64 (d,); 0 without an object.
    """

    kinds: NDArray[np.int64]
    objects: NDArray[np.int64]
    overlaps: NDArray[np.float64]

    def find(self, kind: str) -> NDArray[np.bool_]:
        """Return which detections are of a kind, bool (d,)."""
        is_kind: NDArray[np.bool_] = self.kinds == KINDS.index(kind)
        return is_kind


def find_errors(matches: DetectionMatches) -> DetectionErrors:
    """Return the kind of every detection; the lowest overlap of the matches is 0.5."""
    detected, true = matches.detected, matches.true
    kinds = np.full(len(detected), RIGHT, np.int64)
    kinds[matches.find_neutral()] = NEUTRAL
    objects = np.where(kinds == RIGHT, matches.partners, -1)
    overlaps = np.zeros(len(detected))
    wrong = np.flatnonzero((kinds == RIGHT) & ~matches.find_right())
    same, other = _find_nearest(matches, wrong)

    is_place = (same.overlaps >= LEAST_OVERLAP) & (same.overlaps < GOOD_OVERLAP)
    is_class = other.overlaps >= GOOD_OVERLAP
    is_duplicate = same.overlaps >= GOOD_OVERLAP
    is_background = np.maximum(same.overlaps, other.overlaps) <= LEAST_OVERLAP
    conditions = [is_place, is_class, is_duplicate, is_background]
    kinds[wrong] = np.select(
        conditions, [KINDS.index(kind) for kind in (PLACE, CLASS, DUPLICATE, BACKGROUND)], KINDS.index(BOTH)
    )
    objects[wrong] = np.select(conditions, [same.objects, other.objects, same.objects, -1], other.objects)
    overlaps[wrong] = np.select(conditions, [same.overlaps, other.overlaps, same.overlaps, 0.0], other.overlaps)
    right = np.flatnonzero(kinds == RIGHT)
    partners = objects[right]
    overlaps[right] = measure_overlaps(detected.boxes[right], true.boxes[partners], true.is_ignored[partners])
    return DetectionErrors(kinds, objects, overlaps)


def find_missed(matches: DetectionMatches, errors: DetectionErrors, is_shown: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which objects are missed, bool (g,): not found, and not the object of a mistake of class or place.

    Args:
        matches: The matches.
        errors: Of these matches.
        is_shown: Which detections are shown, bool (d,).
    """
    is_missed = matches.find_counted()
    touching = is_shown & ((errors.kinds == RIGHT) | errors.find(CLASS) | errors.find(PLACE))
    is_missed[errors.objects[touching]] = False
    return is_missed


def count_errors(matches: DetectionMatches, errors: DetectionErrors, is_shown: NDArray[np.bool_]) -> dict[str, int]:
    """Return the number of shown detections of each kind, and of missed objects; arguments as for `find_missed`."""
    counts = {kind: int((errors.find(kind) & is_shown).sum()) for kind in KINDS}
    return {**counts, MISSED: int(find_missed(matches, errors, is_shown).sum())}


def measure_gains(matches: DetectionMatches, errors: DetectionErrors) -> dict[str, float]:
    """Return what AP50 would gain without each kind of mistake, 0 without objects.

    Of the mistakes of class or place about an object that is not found, the one with the highest score is put right,
    and the others are removed; mistakes of other kinds are removed; missed objects are no longer asked for. Each kind
    alone is repaired, among all detections whatever their scores, so the gains do not add up to what is missing.
    """
    everything = np.ones(len(matches.detected), bool)
    base = _Repaired.of(matches)
    before = base.measure()
    gains = {}
    for kind in KINDS:
        if kind == MISSED:
            missed = matches.true.labels[find_missed(matches, errors, everything)]
            after = base.without_objects(np.bincount(missed, minlength=matches.num_classes)).measure()
        else:
            after = base.without(kind, matches, errors).measure()
        gains[kind] = after - before
    return gains


@dataclass(frozen=True, eq=False)
class _Nearest:
    """The object that each of some detections overlaps most; -1 and 0 without one."""

    objects: NDArray[np.int64]
    overlaps: NDArray[np.float64]


def _find_nearest(matches: DetectionMatches, wrong: NDArray[np.intp]) -> tuple[_Nearest, _Nearest]:
    """Return the nearest objects of the class of each wrong detection, and of other classes."""
    detected, true = matches.detected, matches.true
    counted = np.flatnonzero(matches.find_counted())
    best = [_Nearest(np.full(len(wrong), -1, np.int64), np.zeros(len(wrong))) for _ in range(2)]
    for places, others in iterate_pairs(detected.images[wrong], true.images[counted]):
        objects = counted[others]
        overlaps = measure_overlaps(detected.boxes[wrong[places]], true.boxes[objects], np.zeros(len(places), np.bool_))
        is_same = detected.labels[wrong[places]] == true.labels[objects]
        for nearest, is_taken in zip(best, (is_same, ~is_same), strict=True):
            own = places[is_taken]
            np.maximum.at(nearest.overlaps, own, overlaps[is_taken])
            is_best = is_taken & (overlaps == nearest.overlaps[places]) & (overlaps > 0)
            nearest.objects[places[is_best]] = objects[is_best]
    return best[0], best[1]


@dataclass(frozen=True, eq=False)
class _Repaired:
    """Detections of which some mistakes are repaired, and the number of objects of each class."""

    labels: NDArray[np.int64]
    scores: NDArray[np.float32]
    is_right: NDArray[np.bool_]
    is_neutral: NDArray[np.bool_]
    support: NDArray[np.int64]
    num_dropped: NDArray[Any]

    @classmethod
    def of(cls, matches: DetectionMatches) -> _Repaired:
        detected, support = matches.detected, matches.count_objects()
        return cls(
            detected.labels,
            detected.scores,
            matches.find_right(),
            matches.find_neutral(),
            support,
            np.zeros_like(support),
        )

    def without_objects(self, num_dropped: NDArray[Any]) -> _Repaired:
        return _Repaired(self.labels, self.scores, self.is_right, self.is_neutral, self.support, num_dropped)

    def without(self, kind: str, matches: DetectionMatches, errors: DetectionErrors) -> _Repaired:
        """Return the detections without a kind of mistake other than missed."""
        labels, is_right, is_removed = self.labels.copy(), self.is_right.copy(), errors.find(kind)
        if kind in {CLASS, PLACE}:
            is_found = np.zeros(len(matches.true), bool)
            is_found[errors.objects[is_right]] = True
            mistaken = np.flatnonzero(is_removed)
            mistaken = mistaken[~is_found[errors.objects[mistaken]]]
            mistaken = mistaken[np.argsort(-self.scores[mistaken], kind="stable")]
            objects, first = np.unique(errors.objects[mistaken], return_index=True)
            repaired = mistaken[first]
            labels[repaired] = matches.true.labels[objects]
            is_right[repaired] = True
            is_removed[repaired] = False
        return _Repaired(labels, self.scores, is_right, self.is_neutral | is_removed, self.support, self.num_dropped)

    def measure(self) -> float:
        """Return AP50; a class of which all objects are dropped has 1."""
        order = rank_within(self.scores, self.labels, len(self.support))
        areas = [
            compute_area(self.is_right[own], self.is_neutral[own], int(self.support[label] - self.num_dropped[label]))
            if self.support[label] > self.num_dropped[label]
            else 1.0
            for label, own in enumerate(order)
            if self.support[label]
        ]
        return mean_of_defined(areas) or 0.0
