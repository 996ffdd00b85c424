"""A linear detector on cached maps: ridge regressions in place of a head, in closed form, fold by fold.

Every location of a `tlkit.detection.grid.Grid` has a score for each class, 1 where it answers for an object of the class
and 0 elsewhere, and describes a box, as a trained head's locations do. Both are linear in the maps of its own resolution
and of the coarser ones; R-CNN's boxes were, too (Girshick et al. 2014, arXiv:1311.2524). What is found is decoded as a
detector's answers are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlkit.detection.decoding import MAX_CANDIDATES, choose_detections
from tlkit.detection.grid import NUM_BOX_VALUES, Grid, decode_boxes, encode_at
from tlkit.metrics.moments import Moments
from tlkit.probes.folds import Fold
from tlkit.probes.place_maps import Maps, PlaceMaps, list_fitted, nearest_cells

CLASS_STRENGTH, BOX_STRENGTH = 0.1, 1.0
"""Penalties; see `Moments.solve`."""
MAX_EMPTY = 20_000
"""Locations of a map without an object to fit to; each counts for as many as it stands for."""
EMPTY, IGNORED = -1, -2
"""Labels of locations without an object, and of those within an object to ignore."""
_PAIRS_AT_ONCE = 2**22
"""Of an object and a location, for which memory is taken at a time."""
_MIN_SIDE = 1e-4

Weights = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Coefficients, float32 (inputs, classes + 4), and intercepts of a map's locations: scores, then a box."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """What the locations of some images are to answer.

    Attributes:
        grid: The locations.
        labels: Class of the object that each location answers for, or EMPTY or IGNORED: int64 (n, P).
        boxes: The object's box, x0, y0, x1, y1 in fractions of the input; anything without one: float32 (n, P, 4).
    """

    grid: Grid
    labels: NDArray[np.int64]
    boxes: NDArray[np.float32]


def probe_objects(
    maps: PlaceMaps, objects: NDArray[np.float32], folds: Sequence[Fold], *, num_classes: int, seed: int
) -> NDArray[np.float32]:
    """Return what a linear detector that was not fitted to an image finds in it.

    Args:
        maps: Maps of the images.
        objects: As for `tlkit.detection.losses.compute_detection_losses`, float32 (n, m, 6), in fractions of the input.
        folds: Folds in which every image is held out once.
        num_classes: Number of classes.
        seed: Seed of the empty locations to fit to.

    Returns:
        As `tlkit.detection.decoding.decode_answers`, float32 (n, 100, 6).
    """
    wanted = find_wanted(objects, Grid(maps.layout.sizes))
    sums = _Sums(maps, wanted, num_classes, len(folds), seed)
    for number, images in enumerate(list_fitted(folds)):
        sums.add(number, images)
    candidates = np.zeros((len(objects), MAX_CANDIDATES, NUM_BOX_VALUES + 2), np.float32)
    for number, fold in enumerate(folds):
        weights = sums.solve([other for other in range(len(folds)) if other != number])
        for some, of_images in maps.iterate(fold.test):
            candidates[some] = _find_candidates(_answer(of_images, weights), wanted.grid, num_classes)
    return choose_detections(candidates)


def find_wanted(objects: NDArray[np.float32], grid: Grid) -> Wanted:
    """Return what locations are to answer, as a head learns it; objects as for `probe_objects`."""
    from keras import ops

    from tlkit.detection.assignment import assign_locations

    boxes = np.clip(objects[..., :4], 0.0, 1.0)
    clipped = np.concatenate([boxes, objects[..., 4:]], axis=-1)
    own, labels = (np.zeros((len(objects), grid.num_locations), np.int64) for _ in range(2))
    at_once = max(1, _PAIRS_AT_ONCE // (objects.shape[1] * grid.num_locations))
    for start in range(0, len(objects), at_once):
        some = slice(start, start + at_once)
        found, is_assigned, is_ignored = map(ops.convert_to_numpy, assign_locations(clipped[some], grid))
        own[some] = found
        classes = np.take_along_axis(clipped[some, :, 4], own[some], axis=1).astype(np.int64) - 1
        labels[some] = np.where(is_assigned, classes, np.where(is_ignored, IGNORED, EMPTY))
    return Wanted(grid, labels, np.take_along_axis(boxes, own[..., None], axis=1))


class _Sums:
    """The sums, by fold and by map, that the regressions are solved from."""

    def __init__(self, maps: PlaceMaps, wanted: Wanted, num_classes: int, num_folds: int, seed: int) -> None:
        self._maps, self._wanted, self._num_classes = maps, wanted, num_classes
        sizes = wanted.grid.map_sizes
        self._rates = [min(1.0, MAX_EMPTY / (len(wanted.labels) * height * width)) for height, width in sizes]
        drawn = np.random.default_rng(seed).random(wanted.labels.shape, dtype=np.float32)
        rate = np.array(self._rates, np.float32)[wanted.grid.levels]
        self._is_chosen = (wanted.labels >= 0) | ((wanted.labels == EMPTY) & (drawn < rate))
        widths = [sum(maps.widths[number:]) for number in range(len(sizes))]
        self._scores, self._boxes = (
            [[Moments.start(width, num_targets) for width in widths] for _ in range(num_folds)]
            for num_targets in (num_classes, NUM_BOX_VALUES)
        )

    def add(self, fold: int, images: NDArray[np.int64]) -> None:
        """Add the rows of some images to a fold."""
        for some, maps in self._maps.iterate(images):
            for number in range(len(maps)):
                self._add_map(fold, number, some, maps)

    def _add_map(self, fold: int, number: int, some: NDArray[np.int64], maps: Maps) -> None:
        grid = self._wanted.grid
        own = np.flatnonzero(grid.levels == number)
        rows, places = np.nonzero(self._is_chosen[np.ix_(some, own)])
        inputs = _gather(maps, number, rows, places)
        labels = self._wanted.labels[some[rows], own[places]]
        has_object = labels >= 0
        weights = np.where(has_object, 1.0, 1.0 / self._rates[number]).astype(np.float32)
        targets = (labels[:, None] == np.arange(self._num_classes)).astype(np.float32)
        self._scores[fold][number].add(inputs, targets, weights)
        at = own[places[has_object]]
        boxes = self._wanted.boxes[some[rows[has_object]], at]
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + _MIN_SIDE)
        encoded = encode_at(boxes, grid.centres[at], grid.cells[at])
        self._boxes[fold][number].add(inputs[has_object], encoded, weights[has_object])

    def solve(self, folds: Sequence[int]) -> list[Weights]:
        """Return the regressions of each map, fitted to some folds."""
        solved = []
        for number in range(len(self._rates)):
            scores, boxes = (
                Moments.total([by_fold[fold][number] for fold in folds]) for by_fold in (self._scores, self._boxes)
            )
            by_score, score = scores.solve(CLASS_STRENGTH)
            by_box, box = boxes.solve(BOX_STRENGTH)
            solved.append((np.concatenate([by_score, by_box], axis=1), np.concatenate([score, box])))
        return solved


def _gather(maps: Maps, number: int, images: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the inputs of some locations of a map: its own values and those of coarser maps, float32 (k, widths)."""
    height, width = maps[number].shape[1:3]
    rows, columns = places // width, places % width
    return np.concatenate(
        [
            each[images, nearest_cells(height, each.shape[1])[rows], nearest_cells(width, each.shape[2])[columns]]
            for each in maps[number:]
        ],
        axis=1,
    )


def _answer(maps: Maps, weights: Sequence[Weights]) -> NDArray[np.float32]:
    """Return scores and boxes at all locations, float32 (n, P, classes + 4)."""
    answers = []
    for number, (own, (coefficients, intercept)) in enumerate(zip(maps, weights, strict=True)):
        num_images, height, width, _ = own.shape
        total = np.zeros((num_images, height, width, len(intercept)), np.float32) + intercept
        start = 0
        for each in maps[number:]:
            stop = start + each.shape[-1]
            values = each @ coefficients[start:stop]
            total += values[:, nearest_cells(height, each.shape[1])[:, None], nearest_cells(width, each.shape[2])]
            start = stop
        answers.append(total.reshape(num_images, height * width, -1))
    return np.concatenate(answers, axis=1)


def _find_candidates(answers: NDArray[np.float32], grid: Grid, num_classes: int) -> NDArray[np.float32]:
    """Return the boxes of each image with the highest scores, as `tlkit.detection.candidates.find_candidates` does."""
    scores = answers[..., :num_classes].reshape(len(answers), -1)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :MAX_CANDIDATES]
    boxes = decode_boxes(answers[..., num_classes:], grid)
    boxes = np.take_along_axis(boxes, (best // num_classes)[..., None], axis=1)
    found = np.clip(np.take_along_axis(scores, best, axis=1), 0.0, 1.0)
    rows = np.concatenate([boxes, found[..., None], (best % num_classes)[..., None]], axis=-1)
    return np.pad(rows, ((0, 0), (0, MAX_CANDIDATES - rows.shape[1]), (0, 0))).astype(np.float32)
