"""Find images whose target a metadata column makes nearly certain.

A column may reveal the target for only some images: a cell filled in after the diagnosis, or a camera that only one
clinic has. Over all images this may look like a modest predictor, and if one class dominates, accuracy cannot rise at
all. So the confident predictions are judged separately. "Doubt" is 1 minus the base rate of the class; a prediction
removes a part of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.intervals import Interval, compute_wilson_interval

SURE_ABOVE = 0.7
"""A prediction is confident if it removes more than this fraction of the doubt."""
MIN_PART_OF_IMAGES = 0.05
MIN_PART_OF_DOUBT = 0.5
"""The lower end of the interval must remove more than this fraction, so that a few lucky images do not count."""
MIN_OF_A_CLASS = 10
MAX_DOUBT_LEFT_ABOUT_A_CLASS = 0.1


@dataclass(frozen=True)
class CertainImages:
    """A subset of the images whose target is nearly certain.

    Attributes:
        share: Fraction of all images, 0..1.
        score: Accuracy of the prediction on them; for values, its R².
        base_rate: Accuracy of the same predictions over all images; 0 for values.
    """

    share: float
    score: Interval
    base_rate: float


def find_certain_images(
    memberships: NDArray[np.floating[Any]], outputs: NDArray[np.floating[Any]]
) -> CertainImages | None:
    """Return the images whose class a prediction makes nearly certain; None if there are too few.

    They count if they are at least 5% of all images and their remaining doubt is a smaller fraction than their share of
    the
    images: the fewer they are, the more certain they must be. They also count if they are half of the images of a
        class,
    at least ten, with 90% of the doubt removed.

    Args:
        memberships: Float (n, classes), 0 and 1.
        outputs: Out-of-fold predictions, float (n, classes), about 0..1.
    """
    rates = memberships.mean(axis=0)
    doubts = 1.0 - rates
    gained = np.divide(outputs - rates, doubts, out=np.zeros(outputs.shape), where=doubts > 0)
    named = gained.argmax(axis=1)
    is_sure = gained.max(axis=1) > SURE_ABOVE
    is_right = memberships[np.arange(len(named)), named] > 0.5
    for part, is_enough in _iterate_parts(memberships, named, is_sure, is_right):
        base_rate = float(rates[named[part]].mean())
        score = compute_wilson_interval(int(is_right[part].sum()), int(part.sum()))
        left = (1.0 - score.value) / (1.0 - base_rate)
        share = float(part.mean())
        most_left = share if is_enough else MAX_DOUBT_LEFT_ABOUT_A_CLASS
        if left <= most_left and (score.low - base_rate) / (1.0 - base_rate) > MIN_PART_OF_DOUBT:
            return CertainImages(share, score, base_rate)
    return None


def _iterate_parts(
    memberships: NDArray[np.floating[Any]],
    named: NDArray[np.int64],
    is_sure: NDArray[np.bool_],
    is_right: NDArray[np.bool_],
) -> Iterator[tuple[NDArray[np.bool_], bool]]:
    """Yield all confident images, if there are enough, and those of each class of which they are half."""
    if is_sure.mean() >= MIN_PART_OF_IMAGES:
        yield is_sure, True
    for label in range(memberships.shape[1]):
        part = is_sure & (named == label)
        if (part & is_right).sum() >= max(MIN_OF_A_CLASS, memberships[:, label].sum() / 2):
            yield part, False
