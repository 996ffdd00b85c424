"""Outputs scored against their targets, image by image, with intervals and paired comparisons.

There is one class per kind of score: right or wrong, fraction right, or squared error. Two sets of outputs are compared
image by image, which detects smaller differences than comparing their scores.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.intervals import (
    Z_95,
    Interval,
    compute_bootstrap_interval,
    compute_mean_interval,
    compute_paired_interval,
    compute_wilson_interval,
)

_MAX_COUNTED_EXACTLY = 1000


@dataclass(frozen=True, eq=False)
class ScoredOutputs:
    """Outputs of which a fraction is right: several labels.

    Attributes:
        outputs: Float64 (n, outputs), like the targets.
        each: Score of each image, float64 (n,): 1 right and 0 wrong, or the fraction that is right.
    """

    outputs: NDArray[np.float64]
    each: NDArray[np.float64]

    @property
    def value(self) -> float:
        """The score."""
        return float(self.each.mean())

    @cached_property
    def score(self) -> Interval:
        """The score with its 95 % interval."""
        return compute_mean_interval(self.each)

    @property
    def losses(self) -> NDArray[np.float64]:
        """Loss of each image, float64 (n,): their mean is 1 minus the score."""
        return 1.0 - self.each

    def select(self, images: NDArray[Any]) -> Self:
        """Select images by positions or a mask."""
        return dataclasses.replace(self, outputs=self.outputs[images], each=self.each[images])

    def score_part(self, images: NDArray[Any]) -> float | None:
        """Return the score of some images, at least one; None if undefined."""
        return self.select(images).value

    def compute_gain(self, other: Self) -> Interval:
        """Return the difference of the score to other outputs for the same images, with its 95 % interval."""
        return compute_mean_interval(self.each - other.each)

    def is_better_than(self, other: Self) -> bool:
        """Return whether these outputs are significantly better than others for the same images (95 %, two-sided)."""
        return self.compute_gain(other).low > 0


class ScoredClasses(ScoredOutputs):
    """Outputs that are right or wrong: `each` is 1 or 0."""

    @cached_property
    def score(self) -> Interval:
        """The accuracy with Wilson's interval."""
        return compute_wilson_interval(int(self.each.sum()), len(self.each))

    def compute_gain(self, other: Self) -> Interval:
        """Return the difference of the accuracies."""
        return compute_paired_interval(*self._count_wins(other), len(self.each))

    def is_better_than(self, other: Self) -> bool:
        """Use McNemar's test, exact up to 1,000 images on which the two differ."""
        num_won, num_lost = self._count_wins(other)
        number = num_won + num_lost
        if num_won <= num_lost:
            return False
        if number > _MAX_COUNTED_EXACTLY:
            return (num_won - num_lost - 1) / math.sqrt(number) > Z_95
        # A fair coin's chance of so few losses is tail / 2**number; it must not exceed 1/40.
        tail = sum(math.comb(number, lost) for lost in range(num_lost + 1))
        return bool(tail * 40 <= 2**number)

    def _count_wins(self, other: Self) -> tuple[int, int]:
        """Count the images that only these outputs get right, and those that only the others do."""
        return int((self.each > other.each).sum()), int((self.each < other.each).sum())


@dataclass(frozen=True, eq=False)
class ScoredValues(ScoredOutputs):
    """Outputs that are values, scored by R², which may be below 0 and is 0 if all values are equal.

    Attributes:
        each: The squared error of each image, float64 (n,): lower is better.
        spread: Squared distance of each value from the training mean, float64 (n,).
    """

    spread: NDArray[np.float64]

    @property
    def value(self) -> float:
        """R²."""
        return float(_compute_r2(self.each.sum(), self.spread.sum()))

    @cached_property
    def score(self) -> Interval:
        """R² with its bootstrap interval."""
        return compute_bootstrap_interval(
            self.value, lambda counts: _compute_r2(self.each @ counts, self.spread @ counts), num_images=len(self.each)
        )

    @property
    def losses(self) -> NDArray[np.float64]:
        """Squared errors as multiples of the mean spread."""
        mean = self.spread.mean()
        return self.each / mean if mean > 0 else np.ones_like(self.each)

    def select(self, images: NDArray[Any]) -> Self:
        """Select images by positions or a mask."""
        return dataclasses.replace(super().select(images), spread=self.spread[images])

    def score_part(self, images: NDArray[Any]) -> float | None:
        """Return R² of some images; None if their values are equal."""
        part = self.select(images)
        return part.value if part.spread.sum() > 0 else None

    def compute_gain(self, other: Self) -> Interval:
        """Return the difference of the two R²."""
        return compute_bootstrap_interval(
            self.value - other.value,
            lambda counts: (
                _compute_r2(self.each @ counts, self.spread @ counts)
                - _compute_r2(other.each @ counts, other.spread @ counts)
            ),
            num_images=len(self.each),
        )

    def is_better_than(self, other: Self) -> bool:
        """Use the mean difference of the squared errors."""
        return compute_mean_interval(other.each - self.each).low > 0


def _compute_r2(errors: Any, spreads: Any) -> NDArray[np.float64]:
    """Return R² from sums of squares; 0 if the values do not differ."""
    defined = np.asarray(spreads) > 0
    return np.where(defined, 1.0 - np.asarray(errors) / np.where(defined, spreads, 1.0), 0.0)
