"""Measure the learning curve on subsets of the images, and extrapolate it.

A probe is trained on growing subsets of each fold and scored on the held-out images. A power law is fitted to the
errors and extrapolated: error = limit + factor · images ** -exponent (Cortes et al. 1993, "Learning Curves: Asymptotic
Values and Rate of Convergence"; for neural networks Hestness et al. 2017, arXiv:1712.00409). The interval comes from a
bootstrap over images and draws.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.intervals import Interval
from tlkit.metrics.ridge import Matrix
from tlkit.metrics.whitenings import STANDARDISED, Whitening
from tlkit.outputs import QUANTITIES
from tlkit.probes.folds import Fold, make_stratified_folds
from tlkit.probes.probe import describe_gain, run_probes
from tlkit.tasks import find_task

PARTS = tuple(2.0 ** (step / 2 - 3) for step in range(7))
"""Fractions of the training images: an eighth to all, in steps of the square root of two."""
NUM_DRAWS = 3
MIN_IMAGES = 40
NUM_RESAMPLES = 400
EXPONENTS = np.linspace(0.1, 1.0, 19)
"""From the slowest decay found for neural networks to the fastest that statistics allows."""
LITTLE = 0.01
_MIN_VARIANCE = 1e-6


@dataclass(frozen=True, eq=False)
class PowerLaw:
    """error = limit + factor · images ** -exponent; each float64 (r,) for r fits."""

    limit: Matrix
    factor: Matrix
    exponent: Matrix

    def predict(self, num_images: float) -> Matrix:
        """Return the error of each fit, float64 (r,)."""
        error: Matrix = self.limit + self.factor * num_images**-self.exponent
        return error


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """A measured learning curve and its power law.

    Attributes:
        task: One of TASKS.
        sizes: Numbers of training images, ascending float64 (sizes,).
        losses: Loss of each image at each size and draw, float64 (sizes, draws, n); their mean is 1 minus the score.
        num_now: Number of training images in the whole data set, the base of "twice as many".
    """

    task: str
    sizes: Matrix
    losses: NDArray[np.float64]
    num_now: int

    @property
    def scores(self) -> list[Interval]:
        """The score at each size, with its interval."""
        return [
            _to_interval(1 - value, 1 - resampled)
            for value, resampled in zip(self.losses.mean(axis=(1, 2)), self._resampled.T, strict=True)
        ]

    def predict(self, num_images: float) -> Interval:
        """Return the extrapolated score for a number of images, with its interval."""
        return _to_interval(1 - float(self._law.predict(num_images)[0]), 1 - self._resampled_laws.predict(num_images))

    @cached_property
    def gain_of_doubling(self) -> Interval:
        """The expected gain in score with twice as many images of the same kind."""
        gains = [law.predict(self.num_now) - law.predict(2 * self.num_now) for law in (self._law, self._resampled_laws)]
        return _to_interval(float(gains[0][0]), gains[1])

    @property
    def is_flat(self) -> bool:
        """Whether twice as many images would gain less than 0.01."""
        return self.gain_of_doubling.high < LITTLE

    @property
    def gain_in_words(self) -> str:
        """The gain of doubling, such as "+2.1 points (95% interval +1.2 to +3.0) of accuracy"."""
        return f"{describe_gain(self.task, self.gain_of_doubling)} of {QUANTITIES[find_task(self.task).score_name]}"

    @property
    def sentence(self) -> str:
        """Describe the expected gain of more images."""
        begin = "For a head on the frozen backbone, twice as many images of the same kind"
        if not self.is_flat:
            return f"{begin} would gain about {self.gain_in_words}."
        is_done = 1 - self.predict(self.num_now).value < 2 * LITTLE
        reason = "hardly anything is left to learn" if is_done else "the backbone or the labels are the limit"
        return f"{begin} would gain next to nothing, {self.gain_in_words}: {reason}."

    def to_payload(self) -> dict[str, Any]:
        """Return plain numbers, lists and dicts, fit for JSON."""
        gain, law = self.gain_of_doubling, self._law
        return {
            "points": [
                {"images": size, **asdict(score)} for size, score in zip(self.sizes.tolist(), self.scores, strict=True)
            ],
            "law": {name: float(getattr(law, name)[0]) for name in ("limit", "factor", "exponent")},
            "images_now": self.num_now,
            "now": asdict(self.predict(self.num_now)),
            "gain_of_doubling": asdict(gain),
            "is_flat": self.is_flat,
        }

    @cached_property
    def _law(self) -> PowerLaw:
        return fit_power_law(self.sizes, self.losses.mean(axis=(1, 2))[None], self._weights)

    @cached_property
    def _resampled_laws(self) -> PowerLaw:
        return fit_power_law(self.sizes, self._resampled, self._weights)

    @cached_property
    def _weights(self) -> Matrix:
        weights: Matrix = 1 / (self._resampled.var(axis=0) + _MIN_VARIANCE)
        return weights

    @cached_property
    def _resampled(self) -> Matrix:
        """The error at each size on resampled images and draws, float64 (NUM_RESAMPLES, sizes)."""
        generator = np.random.default_rng(0)
        _, num_draws, num_images = self.losses.shape
        errors = np.empty((NUM_RESAMPLES, len(self.sizes)))
        for row in errors:
            draws = generator.integers(num_draws, size=num_draws)
            counts = np.bincount(generator.integers(num_images, size=num_images), minlength=num_images)
            row[:] = self.losses[:, draws].mean(axis=1) @ counts / num_images
        return errors


def measure_learning_curve(
    task: str,
    targets: NDArray[np.floating[Any]],
    block: NDArray[np.floating[Any]],
    *,
    num_now: int,
    duplicates: Sequence[Hashable] | None = None,
    seed: int = 0,
    whitening: Whitening = STANDARDISED,
) -> LearningCurve:
    """Measure a probe's learning curve. 1,000 images of 1,280 features take about ten seconds.

    Args:
        task: One of TASKS.
        targets: Float (n, outputs); see `tlkit.probes.probe`.
        block: Float (n, d), the features of the images.
        num_now: Number of training images in the whole data set.
        duplicates: Key of each image; equal keys are never on both sides of a fold.
        seed: Seed of the folds and subsets.
        whitening: What the probe makes of the features.

    Returns:
        The curve.

    Raises:
        ValueError: There are fewer than 40 images.
    """
    if len(targets) < MIN_IMAGES:
        raise ValueError(f"expected at least {MIN_IMAGES} images. Received: {len(targets)}")
    strata = find_task(task).stratify(targets)
    losses = np.zeros((len(PARTS), NUM_DRAWS, len(targets)))
    sizes = np.zeros((len(PARTS), NUM_DRAWS))
    for draw in range(NUM_DRAWS):
        folds = make_stratified_folds(strata, duplicates=duplicates, seed=seed * NUM_DRAWS + draw)
        ranks = _rank_in_strata(strata, seed=seed * NUM_DRAWS + draw)
        for row, part in enumerate(PARTS):
            parts = [Fold(_take_part(fold.train, ranks, part), fold.test) for fold in folds]
            (scored,) = run_probes(task, targets, block, parts, whitening=whitening)
            losses[row, draw] = scored.losses
            sizes[row, draw] = np.mean([len(fold.train) for fold in parts])
    return LearningCurve(task, sizes.mean(axis=1), losses, num_now)


def fit_power_law(sizes: Matrix, errors: Matrix, weights: Matrix) -> PowerLaw:
    """Fit limit + factor · sizes ** -exponent to each row of errors by weighted least squares, limit and factor >= 0.

    Args:
        sizes: Float64 (sizes,), above 0.
        errors: Float64 (r, sizes).
        weights: Float64 (sizes,), above 0.
    """
    found = PowerLaw(*(np.zeros(len(errors)) for _ in range(3)))
    least = np.full(len(errors), np.inf)
    for exponent in EXPONENTS:
        powers = sizes**-exponent
        limit, factor = _fit_line(powers, errors, weights)
        misfit = ((limit[:, None] + factor[:, None] * powers - errors) ** 2) @ weights
        better = misfit < least
        least[better] = misfit[better]
        found.limit[better], found.factor[better], found.exponent[better] = limit[better], factor[better], exponent
    return found


def _fit_line(powers: Matrix, errors: Matrix, weights: Matrix) -> tuple[Matrix, Matrix]:
    """Return the best non-negative limit and factor, float64 (r,) each."""
    share = weights / weights.sum()
    centre, means = powers @ share, errors @ share
    factor = np.maximum(0.0, (errors - means[:, None]) @ (share * (powers - centre)) / ((powers - centre) ** 2 @ share))
    limit = means - factor * centre
    below = limit < 0
    factor[below] = (errors[below] @ (share * powers)) / (powers**2 @ share)
    return np.maximum(limit, 0.0), factor


def _rank_in_strata(strata: Sequence[Hashable], *, seed: int) -> Matrix:
    """Return a random rank in 0..1 for each image, such that ranks below p are a fraction p of each stratum."""
    generator = np.random.default_rng(seed)
    ranks = np.empty(len(strata))
    members: dict[Hashable, list[int]] = {}
    for place, stratum in enumerate(strata):
        members.setdefault(stratum, []).append(place)
    for places in members.values():
        ranks[places] = (generator.permutation(len(places)) + generator.random()) / len(places)
    return ranks


def _take_part(places: NDArray[np.int64], ranks: Matrix, part: float) -> NDArray[np.int64]:
    """Return the given fraction of the places with the lowest ranks, ascending and at least two."""
    number = max(2, round(part * len(places)))
    chosen: NDArray[np.int64] = np.sort(places[np.argsort(ranks[places], kind="stable")[:number]])
    return chosen


def _to_interval(value: float, resampled: Matrix) -> Interval:
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Interval(value, low=min(value, float(low)), high=max(value, float(high)))
