"""What score to expect on new images without their labels, with an interval that widens with the shift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.intervals import Interval
from tlkit.probes.rehearsal import Answers, Rehearsal
from tlkit.probes.shift import FeatureShift
from tlkit.probes.suggestions import estimate_residuals

_NUM_RESAMPLES = 400
_WEIGHTS = np.array([0.25, 0.375, 0.375])
_MARGIN, _MARGIN_OF_CHANGE = 0.02, 0.35
"""What resampling cannot know: a part of the score, and of its expected change."""
_MARGIN_OF_ERROR = 1.5
_SHRINKAGE = 0.02
_MAX_SLOPE = 3.0
"""The slope of a few rehearsals is drawn towards 1, as if by a rehearsal that lost 14 points."""


@dataclass(frozen=True)
class Lesson:
    """What rehearsals teach about an estimate from confidence.

    Attributes:
        slope: The true loss of the score for each point of the estimated one; 1 without rehearsals.
        error: What is left of the estimate's error with this slope: root mean square over the rehearsals.
    """

    slope: float
    error: float


def learn_from(rehearsals: Sequence[Rehearsal]) -> Lesson:
    """Compare the estimate with the true score on known images that were changed."""
    estimated, true = [], []
    for each in rehearsals:
        before, after = (_measure_confidences(answers.decisions) for answers in (each.before, each.after))
        expected = float(_estimate_three(before, each.before.is_right, after) @ _WEIGHTS)
        estimated.append(each.before.score - expected)
        true.append(each.before.score - each.after.score)
    if not rehearsals:
        return Lesson(1.0, 0.0)
    first, second = np.array(estimated), np.array(true)
    slope = float((first @ second + _SHRINKAGE) / (first @ first + _SHRINKAGE))
    slope = min(_MAX_SLOPE, max(1 / _MAX_SLOPE, slope))
    return Lesson(slope, float(np.sqrt(np.mean((second - slope * first) ** 2))))


def estimate_score(
    known: Answers,
    new: NDArray[np.floating[Any]],
    *,
    rehearsals: Sequence[Rehearsal] = (),
    separability: float = 0.5,
    seed: int = 0,
) -> Interval:
    """Return the part of decisions that are expected to be right on new images, with its 95 % interval.

    Three estimates, of which none is best everywhere, are weighed: the score less the loss of mean confidence (Guillory et
    al. 2021, "Predicting with Confidence on Unseen Distributions"), and the part of new decisions above a limit of
    confidence, or of negative entropy, above which as many known ones lie as are right (Garg et al. 2022, "Leveraging
    Unlabeled Data to Predict Out-of-Distribution Performance"). The loss that they expect is scaled by what the rehearsals
    teach: how much this model's accuracy falls with its confidence. The interval takes in all three, what resampling
    moves, and a margin that grows with the change, with the error that was left in the rehearsals, and with how clearly
    the new images differ.

    Args:
        known: The answers to known images.
        new: The probabilities of each decision's alternatives on new images, float (m, decisions, alternatives): see
            `list_decisions`.
        rehearsals: Answers to known images before and after changes.
        separability: How well features tell new images from known ones, 0.5..1.
        seed: Seed of the resamples.
    """
    old, fresh = _measure_confidences(known.decisions), _measure_confidences(new)
    lesson = learn_from(rehearsals)
    rng = np.random.default_rng(seed)
    resampled = []
    for _ in range(_NUM_RESAMPLES):
        first, second = (
            rng.integers(len(known.is_right), size=len(known.is_right)),
            rng.integers(len(new), size=len(new)),
        )
        resampled.append(_estimate_three(old[:, first], known.is_right[first], fresh[:, second]))
    each = known.score - lesson.slope * (known.score - _estimate_three(old, known.is_right, fresh))
    value = float(each @ _WEIGHTS)
    spread = 1.96 * lesson.slope * float(np.std(resampled, axis=0).mean())
    strength = min(1.0, max(0.0, 2 * separability - 1))
    margin = _MARGIN + max(_MARGIN_OF_CHANGE * abs(known.score - value), _MARGIN_OF_ERROR * strength * lesson.error)
    # One image more could change so much.
    half = float(np.hypot(spread, margin)) + 1 / (len(new) + 1)
    value = min(1.0, max(0.0, value))
    low, high = min(value, float(each.min()) - half), max(value, float(each.max()) + half)
    return Interval(value, max(0.0, low), min(1.0, high))


def list_decisions(probabilities: NDArray[np.floating[Any]], *, is_exclusive: bool) -> NDArray[np.float64]:
    """Return the probabilities of each decision's alternatives, float64 (n, decisions, alternatives).

    Args:
        probabilities: Float (n, outputs), 0..1.
        is_exclusive: Whether the outputs are classes, which are one decision, rather than labels, which are one each.
    """
    values = probabilities.astype(np.float64)
    return values[:, None, :] if is_exclusive else np.stack([values, 1.0 - values], axis=2)


def _measure_confidences(decisions: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return highest probability and negative entropy of each decision: float64 (2, n, decisions)."""
    values = np.clip(decisions.astype(np.float64), 1e-12, 1.0)
    return np.stack([values.max(axis=2), (values * np.log(values)).sum(axis=2)])


def _estimate_three(
    known: NDArray[np.float64], is_right: NDArray[np.bool_], new: NDArray[np.float64]
) -> NDArray[np.float64]:
    by_difference = float(is_right.mean()) - known[0].mean() + new[0].mean()
    limited = [_threshold(old, is_right, fresh) for old, fresh in zip(known, new, strict=True)]
    return np.array([by_difference, *limited])


def estimate_error(
    known: NDArray[np.floating[Any]],
    residuals: NDArray[np.floating[Any]],
    new: NDArray[np.floating[Any]],
    shift: FeatureShift,
    *,
    seed: int = 0,
) -> Interval:
    """Return the mean absolute error of values to expect on new images, with its 95 % interval.

    It is the mean error of the known images nearest to each; the interval widens with the shift.

    Args:
        known: Features of known images, float (n, channels), n >= 1.
        residuals: The size of the error on each, float (n,).
        new: Features of new images, float (m, channels).
        shift: How far the new images are from the known ones.
        seed: Seed of the resamples.
    """
    expected = estimate_residuals(new, known, residuals)
    rng = np.random.default_rng(seed)
    drawn = [
        expected[rng.integers(len(expected), size=len(expected))].mean()
        * residuals[rng.integers(len(residuals), size=len(residuals))].mean()
        for _ in range(_NUM_RESAMPLES)
    ]
    value = float(expected.mean())
    spread = 1.96 * float(np.std(drawn)) / max(float(residuals.mean()), 1e-12)
    strength = min(1.0, max(0.0, 2 * shift.separability - 1))
    half = float(np.hypot(spread, strength * value / 2))
    return Interval(value, max(0.0, value - half), value + half)


def _threshold(known: NDArray[np.floating[Any]], is_right: NDArray[np.bool_], new: NDArray[np.floating[Any]]) -> float:
    ordered = np.sort(known, axis=None)
    num_wrong = int(is_right.size - is_right.sum())
    if num_wrong == 0:
        # Nothing is known of what is wrong: as sure as the least sure right decision.
        return float((new >= ordered[0]).mean())
    limit = ordered[num_wrong - 1]
    return float((new > limit).mean())
