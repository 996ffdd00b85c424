"""How the error falls as images grow in number, measured on parts of those that there are, and where it goes from there.

A probe learns from growing parts of the training images of each fold and is scored on the rest. The errors follow a power
law, error = limit + factor · images ** -exponent (Cortes et al. 1993, "Learning Curves: Asymptotic Values and Rate of
Convergence"; for neural networks Hestness et al. 2017, arXiv:1712.00409), which is fitted and carried on. The interval
comes from a bootstrap over the images and the draws.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.intervals import Interval
from tlkit.outputs import QUANTITIES
from tlkit.probes.folds import Fold, make_stratified_folds
from tlkit.probes.probe import describe_gain, run_probes
from tlkit.probes.ridge import Matrix
from tlkit.tasks import find_task

PARTS = tuple(2.0 ** (step / 2 - 3) for step in range(7))
"""Parts of the training images: an eighth to all, in steps of the square root of two."""
NUM_DRAWS = 3
MIN_IMAGES = 40
NUM_RESAMPLES = 400
EXPONENTS = np.linspace(0.1, 1.0, 19)
"""Between the slowest that was found for neural networks and the fastest that statistics allows."""
LITTLE = 0.01
_MIN_VARIANCE = 1e-6


@dataclass(frozen=True, eq=False)
class PowerLaw:
    """error = limit + factor · images ** -exponent; each float64 (r,), of r fits."""

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
        sizes: Images that were learnt from, float64 (sizes,), rising.
        losses: Of each image when so many were learnt from, in each draw, float64 (sizes, draws, n): 1 minus what it adds
            to the score, so that their mean is 1 minus the score.
        num_now: Images that a training on all of the data learns from; "twice as many" counts from there.
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
        """Return the score that the law gives for so many images, with its interval."""
        return _to_interval(1 - float(self._law.predict(num_images)[0]), 1 - self._resampled_laws.predict(num_images))

    @cached_property
    def gain_of_doubling(self) -> Interval:
        """What the score would rise by with twice as many of the same images."""
        gains = [law.predict(self.num_now) - law.predict(2 * self.num_now) for law in (self._law, self._resampled_laws)]
        return _to_interval(float(gains[0][0]), gains[1])

    @property
    def is_flat(self) -> bool:
        """Whether twice as many images would bring less than a hundredth, whatever the law's constants."""
        return self.gain_of_doubling.high < LITTLE

    @property
    def gain_in_words(self) -> str:
        """The gain of doubling, such as "+2.1 points (95% interval +1.2 to +3.0) of accuracy"."""
        return f"{describe_gain(self.task, self.gain_of_doubling)} of {QUANTITIES[find_task(self.task).score_name]}"

    @property
    def sentence(self) -> str:
        """What more of the same images would bring."""
        begin = "Twice as many of the same images would bring a head on the frozen backbone"
        if not self.is_flat:
            return f"{begin} about {self.gain_in_words}."
        is_done = 1 - self.predict(self.num_now).value < 2 * LITTLE
        reason = "hardly anything is left to learn" if is_done else "the backbone is the limit, or the labels are"
        return f"{begin} next to nothing, {self.gain_in_words}: {reason}."

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
) -> LearningCurve:
    """Let a probe learn from growing parts of the images. 1,000 images of 1,280 features take about ten seconds.

    Args:
        task: One of TASKS.
        targets: Float (n, outputs); see `tlkit.probes.probe`.
        block: Float (n, d), the features of the images.
        num_now: Images that a training on all of the data learns from.
        duplicates: Key of each image; equal keys never stand on both sides of a fold.
        seed: Another seed gives other folds and parts.

    Returns:
        The curve.

    Raises:
        ValueError: There are less than 40 images, of which an eighth says nothing.
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
            (scored,) = run_probes(task, targets, block, parts)
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
    """Return limit and factor, float64 (r,) each, the best that are not below 0."""
    share = weights / weights.sum()
    centre, means = powers @ share, errors @ share
    factor = np.maximum(0.0, (errors - means[:, None]) @ (share * (powers - centre)) / ((powers - centre) ** 2 @ share))
    limit = means - factor * centre
    below = limit < 0
    factor[below] = (errors[below] @ (share * powers)) / (powers**2 @ share)
    return np.maximum(limit, 0.0), factor


def _rank_in_strata(strata: Sequence[Hashable], *, seed: int) -> Matrix:
    """Return a number in 0..1 for each image, so that those below p are a part p of each stratum, drawn at random."""
    generator = np.random.default_rng(seed)
    ranks = np.empty(len(strata))
    members: dict[Hashable, list[int]] = {}
    for place, stratum in enumerate(strata):
        members.setdefault(stratum, []).append(place)
    for places in members.values():
        ranks[places] = (generator.permutation(len(places)) + generator.random()) / len(places)
    return ranks


def _take_part(places: NDArray[np.int64], ranks: Matrix, part: float) -> NDArray[np.int64]:
    """Return the places that rank lowest, in rising order: such a part of them, and two at least."""
    number = max(2, round(part * len(places)))
    chosen: NDArray[np.int64] = np.sort(places[np.argsort(ranks[places], kind="stable")[:number]])
    return chosen


def _to_interval(value: float, resampled: Matrix) -> Interval:
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Interval(value, low=min(value, float(low)), high=max(value, float(high)))
