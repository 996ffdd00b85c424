"""Match detections with true objects, image by image and class by class, as the evaluation of COCO does.

A detection takes the object that it overlaps most, the detections with the highest scores first, and every object is
taken once. Ignored objects are taken only where no other fits, as often as there are detections for them, and such a
detection is neither right nor wrong. The same holds for objects outside a range of sizes (Lin et al. 2014, "Microsoft
COCO: Common Objects in Context"). Everything else about detections follows from these matches, which are made once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

COCO_OVERLAPS = tuple(np.linspace(0.5, 0.95, 10).tolist())
SIZES = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Least and greatest area of an object in square pixels, both included."""
ALL_SIZES = "all"
_MAX_PAIRS_AT_ONCE = 2**20
_ALMOST_1 = 1 - 1e-10


@dataclass(frozen=True, eq=False)
class DetectedBoxes:
    """The detections of all images without padding: by image, then from the highest score to the lowest.

    Attributes:
        images: The image of each, int64 (d,).
        places: Its row in the image's detections, int64 (d,).
        labels: Its class, int64 (d,).
        scores: float32 (d,), above 0, at most 1.
        boxes: left, top, right, bottom in pixels, float64 (d, 4).
    """

    images: NDArray[np.int64]
    places: NDArray[np.int64]
    labels: NDArray[np.int64]
    scores: NDArray[np.float32]
    boxes: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False)
class TrueBoxes:
    """The objects of all images without padding, by image.

    Attributes:
        images: The image of each, int64 (g,).
        places: Its row in the image's targets, int64 (g,).
        labels: Its class, int64 (g,).
        boxes: left, top, right, bottom in pixels, float64 (g, 4).
        is_ignored: bool (g,).
    """

    images: NDArray[np.int64]
    places: NDArray[np.int64]
    labels: NDArray[np.int64]
    boxes: NDArray[np.float64]
    is_ignored: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False)
class DetectionMatches:
    """What became of every detection and object.

    Attributes:
        num_images: Number of images, those without objects and detections included.
        num_classes: Number of classes.
        overlaps: The intersections over union at which a detection is right, ascending.
        sizes: Names of the ranges of sizes, of `SIZES`.
        detected: The detections.
        true: The objects.
        right: Bits of each detection, uint64 (d,): whether it is right at an overlap and a size.
        neutral: Likewise, whether it is neither right nor wrong.
        partners: The object that each detection takes at the lowest overlap and among all sizes, int64 (d,); -1 if none.
    """

    num_images: int
    num_classes: int
    overlaps: tuple[float, ...]
    sizes: tuple[str, ...]
    detected: DetectedBoxes
    true: TrueBoxes
    right: NDArray[np.uint64]
    neutral: NDArray[np.uint64]
    partners: NDArray[np.int64]

    def find_right(self, overlap: int = 0, size: str = ALL_SIZES) -> NDArray[np.bool_]:
        """Return which detections are right, bool (d,).

        Args:
            overlap: Index of one of `overlaps`.
            size: One of `sizes`.
        """
        return self._read_bits(self.right, overlap, size)

    def find_neutral(self, overlap: int = 0, size: str = ALL_SIZES) -> NDArray[np.bool_]:
        """Return which detections do not count, bool (d,); arguments as for `find_right`."""
        return self._read_bits(self.neutral, overlap, size)

    def find_counted(self, size: str = ALL_SIZES) -> NDArray[np.bool_]:
        """Return which objects are to be found, bool (g,): not ignored, and of the size."""
        return ~self.true.is_ignored & _is_of_size(self.true.boxes, size)

    def count_objects(self, size: str = ALL_SIZES) -> NDArray[np.int64]:
        """Return the number of objects of each class that are to be found, int64 (classes,)."""
        return np.bincount(self.true.labels[self.find_counted(size)], minlength=self.num_classes)

    def _read_bits(self, bits: NDArray[np.uint64], overlap: int, size: str) -> NDArray[np.bool_]:
        place = self.sizes.index(size) * len(self.overlaps) + overlap
        is_set: NDArray[np.bool_] = (bits >> np.uint64(place)) & np.uint64(1) == 1
        return is_set


def match_detections(
    targets: NDArray[np.floating[Any]],
    detections: NDArray[np.floating[Any]],
    num_classes: int,
    *,
    overlaps: tuple[float, ...] = COCO_OVERLAPS,
    sizes: tuple[str, ...] = tuple(SIZES),
) -> DetectionMatches:
    """Match the detections of a set of images with its objects.

    Args:
        targets: Float (n, m, 6): left, top, right, bottom in pixels, class + 1 (0 for padding), and 1 if ignored.
        detections: Float (n, k, 6): left, top, right, bottom in pixels, score 0..1 (0 for padding), and class.
        num_classes: Number of classes.
        overlaps: The intersections over union at which a detection is right, ascending, above 0.
        sizes: Some of the names of `SIZES`, the first one "all". At most 64 combinations with `overlaps`.

    Raises:
        ValueError: The shapes do not match.
    """
    shapes = targets.shape, detections.shape
    if any(len(shape) != 3 or shape[2] != 6 for shape in shapes) or len(targets) != len(detections):
        raise ValueError(
            f"expected targets (n, m, 6) and detections (n, k, 6). Received: targets.shape={targets.shape}, "
            f"detections.shape={detections.shape}"
        )
    detected, true = _gather_detections(detections), _gather_objects(targets)
    pairs = _Pairs.find(
        detected.images * num_classes + detected.labels,
        true.images * num_classes + true.labels,
        detected.boxes,
        true,
        min(overlaps[0], _ALMOST_1),
    )
    right, neutral, partners = _assign(pairs, len(detected), true, overlaps, sizes)
    for number, size in enumerate(sizes):
        lanes = np.uint64(((1 << len(overlaps)) - 1) << (number * len(overlaps)))
        outside = ~_is_of_size(detected.boxes, size)
        neutral[outside] |= lanes & ~right[outside]
    return DetectionMatches(len(targets), num_classes, overlaps, sizes, detected, true, right, neutral, partners)


def iterate_pairs(
    keys: NDArray[np.int64], other_keys: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield the indices of all pairs with equal keys, about a million at a time.

    Args:
        keys: int64 (a,).
        other_keys: int64 (b,), in any order.
    """
    order = np.argsort(other_keys, kind="stable")
    ranked = other_keys[order]
    starts = np.searchsorted(ranked, keys, side="left")
    counts = np.searchsorted(ranked, keys, side="right") - starts
    ends = np.cumsum(counts)
    first = 0
    while first < len(keys):
        done = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + _MAX_PAIRS_AT_ONCE, side="right")))
        numbers = counts[first:last]
        own = np.repeat(np.arange(first, last), numbers)
        within = np.arange(len(own)) - np.repeat(ends[first:last] - numbers - done, numbers)
        yield own, order[starts[own] + within]
        first = last


def measure_overlaps(
    boxes: NDArray[np.float64], others: NDArray[np.float64], is_region: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the intersection over union of pairs of boxes, float64 (p,), 0..1.

    Args:
        boxes: left, top, right, bottom, float64 (p, 4).
        others: The same.
        is_region: Which of the others are regions of unknown objects, bool (p,): with those, the intersection over the
            area of the box.
    """
    width, height = (
        np.maximum(0, np.minimum(boxes[:, side + 2], others[:, side + 2]) - np.maximum(boxes[:, side], others[:, side]))
        for side in (0, 1)
    )
    shared = width * height
    areas = measure_areas(boxes)
    union = np.where(is_region, areas, areas + measure_areas(others) - shared)
    overlaps: NDArray[np.float64] = np.divide(shared, union, out=np.zeros(len(boxes)), where=union > 0)
    return overlaps


def measure_areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the areas of boxes (left, top, right, bottom), float64 (n, 4): float64 (n,)."""
    areas: NDArray[np.float64] = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return areas


def _gather_detections(detections: NDArray[np.floating[Any]]) -> DetectedBoxes:
    order = np.argsort(-detections[:, :, 4], axis=1, kind="stable")
    images, ranks = np.nonzero(np.take_along_axis(detections[:, :, 4], order, axis=1) > 0)
    places = order[images, ranks]
    rows = detections[images, places]
    return DetectedBoxes(
        images, places, rows[:, 5].astype(np.int64), rows[:, 4].astype(np.float32), rows[:, :4].astype(np.float64)
    )


def _gather_objects(targets: NDArray[np.floating[Any]]) -> TrueBoxes:
    images, places = np.nonzero(targets[:, :, 4] > 0)
    rows = targets[images, places]
    return TrueBoxes(images, places, rows[:, 4].astype(np.int64) - 1, rows[:, :4].astype(np.float64), rows[:, 5] > 0)


def _is_of_size(boxes: NDArray[np.float64], size: str) -> NDArray[np.bool_]:
    least, greatest = SIZES[size]
    areas = measure_areas(boxes)
    return (areas >= least) & (areas <= greatest)


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Pairs of a detection and an object: by detection, then from the best object to the worst."""

    detections: NDArray[np.intp]
    objects: NDArray[np.intp]
    overlaps: NDArray[np.float64]

    @classmethod
    def find(
        cls,
        keys: NDArray[np.int64],
        true_keys: NDArray[np.int64],
        boxes: NDArray[np.float64],
        true: TrueBoxes,
        min_overlap: float,
    ) -> _Pairs:
        """Return the pairs of equal keys that overlap enough."""
        parts = []
        for detections, objects in iterate_pairs(keys, true_keys):
            overlaps = measure_overlaps(boxes[detections], true.boxes[objects], true.is_ignored[objects])
            near = overlaps >= min_overlap
            parts.append((detections[near], objects[near], overlaps[near]))
        if not parts:
            return cls(np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0))
        detections, objects, overlaps = (np.concatenate(each) for each in zip(*parts, strict=True))
        # Of equally good objects, COCO takes the last.
        order = np.lexsort((-objects, -overlaps, detections))
        return cls(detections[order], objects[order], overlaps[order])


def _assign(
    pairs: _Pairs, num_detections: int, true: TrueBoxes, overlaps: tuple[float, ...], sizes: tuple[str, ...]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]]:
    """Let each detection take its object: all overlaps and sizes at once, one bit each."""
    width = len(overlaps)
    ignored = np.zeros(len(true), np.uint64)
    repeated = 0
    for number, size in enumerate(sizes):
        lanes = ((1 << width) - 1) << (number * width)
        repeated |= 1 << (number * width)
        ignored[true.is_ignored | ~_is_of_size(true.boxes, size)] |= np.uint64(lanes)
    num_reached = np.searchsorted(np.minimum(overlaps, _ALMOST_1), pairs.overlaps, side="right").astype(np.uint64)
    reached = (((np.uint64(1) << num_reached) - np.uint64(1)) * np.uint64(repeated)).tolist()

    right, neutral = np.zeros(num_detections, np.uint64), np.zeros(num_detections, np.uint64)
    partners = np.full(num_detections, -1, np.int64)
    free = [(1 << (width * len(sizes))) - 1] * len(true)
    ignored_bits, is_region, objects = ignored.tolist(), true.is_ignored.tolist(), pairs.objects.tolist()
    starts = np.flatnonzero(np.diff(pairs.detections, prepend=-1)).tolist()
    for start, stop in itertools.pairwise([*starts, len(objects)]):
        taken = [0, 0]
        for is_second, pair in [(0, pair) for pair in range(start, stop)] + [(1, pair) for pair in range(start, stop)]:
            each = objects[pair]
            wanted = ignored_bits[each] if is_second else ~ignored_bits[each]
            new = reached[pair] & free[each] & wanted & ~taken[0] & ~taken[1]
            if not new:
                continue
            taken[is_second] |= new
            if not is_region[each]:
                free[each] &= ~new
            if new & 1:
                partners[pairs.detections[start]] = each
        right[pairs.detections[start]], neutral[pairs.detections[start]] = taken
    return right, neutral, partners
