"""How well masks agree: IoU and Dice of classes, with intervals over images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.intervals import Interval, compute_bootstrap_interval
from tlkit.segmentation.confusion import (
    compute_dice,
    compute_iou,
    compute_mean_of_classes,
    compute_pixel_accuracy,
)


@dataclass(frozen=True)
class ClassAgreement:
    """How well the places of one class are found; None where the class is in no mask, true or predicted.

    Args:
        iou: Intersection over union of its places in all images together.
        dice: Dice coefficient, likewise.
        precision: Share of the predicted places that are right; None if there are none.
        recall: Share of the true places that are found; None if there are none.
        num_images: Images that truly have the class.
    """

    iou: Interval | None
    dice: Interval | None
    precision: float | None
    recall: float | None
    num_images: int


@dataclass(frozen=True)
class Agreement:
    """How well masks agree with the true ones.

    Args:
        miou: Mean IoU of the classes that occur, without background; None if none does.
        miou_with_background: The same with background as a class, as PASCAL VOC counts.
        dice: Mean Dice coefficient of the classes, without background; None if none occurs.
        pixel_accuracy: Share of places whose class is right.
        classes: One per class, background first.
    """

    miou: Interval | None
    miou_with_background: Interval | None
    dice: Interval | None
    pixel_accuracy: Interval | None
    classes: tuple[ClassAgreement, ...]


def measure_agreement(counts: NDArray[np.integer]) -> Agreement:
    """Measure how well masks agree; a class counts by its places in all images together, as in PASCAL VOC.

    Args:
        counts: Integers (n, classes + 1, classes + 1), n >= 1, of `tlkit.segmentation.confusion.count_confusions`.
    """
    pooled = counts.sum(axis=0)
    true, predicted, right = pooled.sum(axis=1), pooled.sum(axis=0), np.diagonal(pooled)
    has = (counts.sum(axis=2) > 0).sum(axis=0)
    classes = tuple(
        ClassAgreement(
            iou=_measure(counts, partial(_compute_one, compute_iou, place)),
            dice=_measure(counts, partial(_compute_one, compute_dice, place)),
            precision=float(right[place] / predicted[place]) if predicted[place] else None,
            recall=float(right[place] / true[place]) if true[place] else None,
            num_images=int(has[place]),
        )
        for place in range(len(pooled))
    )
    return Agreement(
        miou=_measure(counts, lambda each: compute_mean_of_classes(compute_iou(each))),
        miou_with_background=_measure(
            counts, lambda each: compute_mean_of_classes(compute_iou(each), with_background=True)
        ),
        dice=_measure(counts, lambda each: compute_mean_of_classes(compute_dice(each))),
        pixel_accuracy=_measure(counts, compute_pixel_accuracy),
        classes=classes,
    )


def measure_each_image(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the mean IoU of the classes that each image has or was given, float64 (n,); 1 where it rightly has none."""
    means = compute_mean_of_classes(compute_iou(counts))
    return np.where(np.isnan(means), 1.0, means)


def _compute_one(
    compute: Callable[[NDArray[np.float64]], NDArray[np.float64]], place: int, counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the score of one class, float64 (...)."""
    return compute(counts)[..., place]


def _measure(
    counts: NDArray[np.integer], compute: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> Interval | None:
    value = float(compute(counts.sum(axis=0).astype(np.float64)))
    if np.isnan(value):
        return None
    num_images, size = len(counts), counts.shape[1]
    flat = counts.reshape(num_images, -1).astype(np.float64)

    def resample(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        return compute((drawn.T @ flat).reshape(-1, size, size))

    return compute_bootstrap_interval(value, resample, num_images, num_passes=size * size)
