"""Find the images for which a prediction is nearly certain, where that is too much to know.

A column may give the answer away for a part of the images only: a cell that is filled in after the diagnosis, a camera that
only one clinic has. Over all images that may look like a modest predictor, and where one class dominates, accuracy cannot
rise at all. So the images about which the prediction is sure are looked at by themselves. "Doubt" is what the base rate
leaves open, 1 minus the share of the class; the prediction takes away a part of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.intervals import Interval, compute_wilson_interval

SURE_ABOVE = 0.7
"""A prediction is sure if it takes away more than such a part of the doubt."""
MIN_PART_OF_IMAGES = 0.05
MIN_PART_OF_DOUBT = 0.5
"""The lower end of the interval must take away more than that, so that a few lucky images do not count."""
MIN_OF_A_CLASS = 10
MAX_DOUBT_LEFT_ABOUT_A_CLASS = 0.1


@dataclass(frozen=True)
class GivenAway:
    """A part of the images for which the answer is nearly certain.

    Attributes:
        share: Of all images, 0..1.
        score: How often the prediction is right there; for values, its R² there.
        base_rate: How often the same answers are right over all images; 0 for values.
    """

    share: float
    score: Interval
    base_rate: float


def find_given_away(memberships: NDArray[np.floating[Any]], outputs: NDArray[np.floating[Any]]) -> GivenAway | None:
    """Return the images for which a prediction gives the class away; None if there are no such images, or too few.

    They count if they are a twentieth of all images and the doubt that is left about them is a smaller share than they
    are of all images: the fewer they are, the surer it must be. Or if they are half of the images of a class, ten at least,
    and nine tenths of the doubt are gone.

    Args:
        memberships: Float (n, classes), 0 and 1.
        outputs: What is predicted for images that were not learnt from, float (n, classes), about 0..1.
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
            return GivenAway(share, score, base_rate)
    return None


def _iterate_parts(
    memberships: NDArray[np.floating[Any]],
    named: NDArray[np.int64],
    is_sure: NDArray[np.bool_],
    is_right: NDArray[np.bool_],
) -> Iterator[tuple[NDArray[np.bool_], bool]]:
    """Yield all sure images, if they are enough, and those of each class that they hold half of."""
    if is_sure.mean() >= MIN_PART_OF_IMAGES:
        yield is_sure, True
    for label in range(memberships.shape[1]):
        part = is_sure & (named == label)
        if (part & is_right).sum() >= max(MIN_OF_A_CLASS, memberships[:, label].sum() / 2):
            yield part, False
