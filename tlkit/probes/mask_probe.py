"""A linear segmenter on cached maps: a ridge regression of the class at every place, fitted fold by fold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.moments import Moments
from tlkit.probes.folds import Fold
from tlkit.probes.place_maps import Maps, PlaceMaps, list_fitted
from tlkit.segmentation.confusion import IGNORED

STRENGTH = 0.01
"""The penalty; see `Moments.solve`."""
MAX_PLACES = 40_000
"""Places to fit to, of all images together."""
RARITY = 0.5
"""The weight of a class is its share of the places to the power of minus this, so that small classes are found."""

Scores = NDArray[np.float32]


def probe_masks(
    maps: PlaceMaps, masks: NDArray[np.uint8], folds: Sequence[Fold], *, num_classes: int, seed: int
) -> Iterator[tuple[int, Scores]]:
    """Yield each image, and the scores that a linear model that was not fitted to it gives its places.

    Args:
        maps: Maps of the images.
        masks: uint8 (n, height, width), at the cells of the finest map: 0 for background, class + 1, 255 to ignore.
        folds: Folds in which every image is held out once.
        num_classes: Number of classes without background.
        seed: Seed of the places to fit to.

    Yields:
        The position of an image, and float32 (height, width, classes + 1), background first; the highest score wins.
    """
    flat = masks.reshape(len(masks), -1)
    is_known = flat != IGNORED
    counts = np.bincount(flat[is_known], minlength=num_classes + 1)
    rarity = (counts.sum() / np.maximum(counts, 1)) ** RARITY
    rate = min(1.0, MAX_PLACES / max(int(counts.sum()), 1))
    is_taken = is_known & (np.random.default_rng(seed).random(flat.shape, dtype=np.float32) < rate)
    sums = [Moments.start(sum(maps.widths), num_classes + 1) for _ in folds]
    for fold, fitted in enumerate(list_fitted(folds)):
        for some, of_images in maps.iterate(fitted):
            images, places = np.nonzero(is_taken[some])
            labels = flat[some][images, places]
            targets = (labels[:, None] == np.arange(num_classes + 1)).astype(np.float32)
            sums[fold].add(_gather(of_images, images, places), targets, rarity[labels].astype(np.float32))
    for fold in range(len(folds)):
        coefficients, intercept = Moments.total(sums[:fold] + sums[fold + 1 :]).solve(STRENGTH)
        for some, of_images in maps.iterate(folds[fold].test):
            yield from zip(some.tolist(), _answer(of_images, coefficients, intercept), strict=True)


def _neighbours(size: int, of: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Return the two of `of` cells between whose centres each of `size` cells over the same length lies, and how near the
    second one is, 0..1.
    """
    place = np.clip((np.arange(size) + 0.5) * of / size - 0.5, 0, of - 1)
    first = np.floor(place).astype(np.int64)
    return first, np.minimum(first + 1, of - 1), (place - first).astype(np.float32)


def _gather(maps: Maps, images: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the values of all maps, interpolated, at some places of the finest, float32 (k, widths)."""
    height, width = maps[0].shape[1:3]
    rows, columns = places // width, places % width
    gathered = []
    for each in maps:
        above, below, down = (part[rows] for part in _neighbours(height, each.shape[1]))
        left, right, across = (part[columns] for part in _neighbours(width, each.shape[2]))
        down, across = down[:, None], across[:, None]
        upper = each[images, above, left] * (1 - across) + each[images, above, right] * across
        lower = each[images, below, left] * (1 - across) + each[images, below, right] * across
        gathered.append(upper * (1 - down) + lower * down)
    return np.concatenate(gathered, axis=1)


def _answer(maps: Maps, coefficients: NDArray[np.float32], intercept: NDArray[np.float32]) -> Scores:
    """Return the scores at all places of the finest map, float32 (n, height, width, classes + 1)."""
    height, width = maps[0].shape[1:3]
    total: Scores = np.zeros((len(maps[0]), height, width, len(intercept)), np.float32) + intercept
    start = 0
    for each in maps:
        stop = start + each.shape[-1]
        scores = each @ coefficients[start:stop]
        above, below, down = _neighbours(height, each.shape[1])
        left, right, across = _neighbours(width, each.shape[2])
        down, across = down[:, None, None], across[:, None]
        scores = scores[:, above] * (1 - down) + scores[:, below] * down
        total += scores[:, :, left] * (1 - across) + scores[:, :, right] * across
        start = stop
    return total
