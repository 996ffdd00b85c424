"""Counts of places by their true and their predicted class, and the scores that follow from them.

A mask has an index at every place: 0 is background, 1 the first class, and `IGNORED` a place that nobody decided.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BACKGROUND, IGNORED = 0, 255
MAX_CLASSES = 254


def count_confusions(truth: NDArray[np.uint8], predicted: NDArray[np.uint8], num_classes: int) -> NDArray[np.int64]:
    """Count the places of one image by true and predicted class.

    Args:
        truth: Any shape: 0..num_classes, or `IGNORED`.
        predicted: Same shape: 0..num_classes, or `IGNORED` where the model saw nothing. Neither is counted.
        num_classes: Number of classes without background.

    Returns:
        int64 (num_classes + 1, num_classes + 1): rows are true classes, columns predicted ones, background first.

    Raises:
        ValueError: A mask has another index.

    Examples:
        >>> count_confusions(np.array([0, 1, 1, 255], np.uint8), np.array([0, 1, 0, 1], np.uint8), 1).tolist()
        [[1, 0], [1, 1]]
    """
    size = num_classes + 1
    counted = (truth != IGNORED) & (predicted != IGNORED)
    rows, columns = truth[counted].astype(np.int64), predicted[counted].astype(np.int64)
    if rows.size and max(rows.max(), columns.max()) >= size:
        raise ValueError(f"Expected indices 0..{num_classes} or {IGNORED}. Received: {max(rows.max(), columns.max())}")
    return np.bincount(rows * size + columns, minlength=size * size).reshape(size, size)


def count_all_confusions(
    truth: NDArray[np.uint8], predicted: NDArray[np.uint8], num_classes: int | None = None
) -> NDArray[np.int64]:
    """Count the places of each of several images, int64 (n, classes + 1, classes + 1); see `count_confusions`.

    Args:
        truth: uint8 (n, ...).
        predicted: uint8 (n, ...).
        num_classes: Number of classes without background; None: the highest index that occurs.
    """
    if num_classes is None:
        num_classes = int(max(each[each != IGNORED].max(initial=0) for each in (truth, predicted)))
    size = num_classes + 1
    counts = [count_confusions(*pair, num_classes) for pair in zip(truth, predicted, strict=True)]
    return np.stack(counts) if counts else np.zeros((0, size, size), np.int64)


def compute_iou(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Return intersection over union of each class, float64 (..., classes), 0..1; NaN of a class in neither mask.

    Args:
        counts: Numbers (..., classes, classes): rows are true classes, columns predicted ones.
    """
    shared, true, predicted = _count_by_class(counts)
    return _divide(shared, true + predicted - shared)


def compute_dice(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Return the Dice coefficient (the F1 of places) of each class, likewise."""
    shared, true, predicted = _count_by_class(counts)
    return _divide(2 * shared, true + predicted)


def compute_pixel_accuracy(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Return the share of places whose class is right, float64 (...), 0..1; NaN without places."""
    shared, true, _ = _count_by_class(counts)
    return _divide(shared.sum(axis=-1), true.sum(axis=-1))


def compute_mean_of_classes(by_class: NDArray[np.float64], *, with_background: bool = False) -> NDArray[np.float64]:
    """Return the mean of the classes that are defined, float64 (...); NaN if none is.

    Args:
        by_class: Float (..., classes), background first, NaN where undefined.
        with_background: Whether background counts as a class, as in PASCAL VOC. It is easily right, so without it a
            model that finds nothing scores 0.
    """
    taken = by_class if with_background else by_class[..., 1:]
    defined = ~np.isnan(taken)
    return _divide(np.where(defined, taken, 0.0).sum(axis=-1), defined.sum(axis=-1))


def _count_by_class(counts: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return the places with the same class in both masks, in the true one, and in the predicted one."""
    return np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(axis=-1), counts.sum(axis=-2)


def _divide(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)
