"""How new images differ from known ones, and what score to expect on them without their labels.

Everything here compares two samples, and says how sure it is: by permutation for differences, by resampling and a margin
that grows with the shift for the expected score.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.intervals import Interval
from tlkit.probes.ridge import Matrix, RidgePath
from tlkit.probes.suggestions import estimate_residuals
from tlkit.similarity.search import measure_lengths, scale_rows

NUM_PERMUTATIONS = 999
MAX_COMPARED = 500
"""Images of each side that are compared; the matrix of their similarities is the largest that is made."""
_NUM_RESAMPLES = 400
_WEIGHTS = np.array([0.25, 0.375, 0.375])
_MARGIN, _MARGIN_OF_CHANGE = 0.02, 0.35
"""What resampling cannot know: a part of the score, and of its expected change. With them, 43 of 45 intervals held the
true accuracy: see `benchmarks/shift.py`."""


@dataclass(frozen=True)
class Difference:
    """A figure of new images beside that of known ones.

    Attributes:
        known: Median of the known images.
        new: Median of the new ones.
        above: The chance that a new image has a higher value than a known one, 0..1; 0.5 for no difference.
        p_value: Of two samples without a difference, the part that differs as much.
    """

    known: float
    new: float
    above: float
    p_value: float


def compare_values(known: NDArray[np.floating[Any]], new: NDArray[np.floating[Any]], *, seed: int = 0) -> Difference:
    """Compare two samples of a figure by their ranks, with a permutation test (Mann and Whitney 1947).

    Args:
        known: Float (n,), n >= 1.
        new: Float (m,), m >= 1.
        seed: Seed of the permutations.
    """
    ranks = _rank(np.concatenate([known, new]).astype(np.float64))
    num_known, num_new = len(known), len(new)
    rng = np.random.default_rng(seed)

    def compute_above(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return (sums - num_new * (num_new + 1) / 2) / (num_new * num_known)

    above = float(compute_above(ranks[num_known:].sum()))
    permuted = np.array([rng.permutation(ranks)[:num_new].sum() for _ in range(NUM_PERMUTATIONS)])
    as_far = np.abs(compute_above(permuted) - 0.5) >= abs(above - 0.5) - 1e-12
    return Difference(
        float(np.median(known)), float(np.median(new)), above, float((1 + as_far.sum()) / (1 + NUM_PERMUTATIONS))
    )


@dataclass(frozen=True)
class FeatureShift:
    """How far the features of new images are from those of known ones.

    Attributes:
        separability: How often a linear classifier tells which of a new and a known image is the new one, 0.5..1 but for
            chance; 0.5: not at all.
        p_value: Of two samples from the same images, the part whose means differ as much.
    """

    separability: float
    p_value: float


def compare_features(
    known: NDArray[np.floating[Any]], new: NDArray[np.floating[Any]], *, seed: int = 0
) -> FeatureShift:
    """Compare the features of two samples.

    The test is the maximum mean discrepancy with a Gaussian kernel and permutations (Gretton et al. 2012, "A Kernel
    Two-Sample Test"); the separability is that of a ridge regression, left out one by one (Lopez-Paz and Oquab 2017,
    "Revisiting Classifier Two-Sample Tests").

    Args:
        known: Float (n, channels), n >= 1.
        new: Float (m, channels), m >= 1. At most 500 of each are compared.
        seed: Chooses them, and the permutations.
    """
    rng = np.random.default_rng(seed)
    parts = [rows[np.sort(rng.permutation(len(rows))[:MAX_COMPARED])] for rows in (known, new)]
    num_known = len(parts[0])
    rows = np.concatenate([part.astype(np.float32) for part in parts])
    is_new = np.arange(len(rows)) >= num_known
    unit = scale_rows(rows, measure_lengths(rows))
    distances = np.maximum(0.0, 1.0 - unit @ unit.T)
    kernel = np.exp(-distances / max(float(np.median(distances)), 1e-6))
    weights = np.where(is_new, 1 / is_new.sum(), -1 / num_known).astype(np.float32)
    orders = np.stack([rng.permutation(weights) for _ in range(NUM_PERMUTATIONS)], axis=1)
    found = float(weights @ kernel @ weights)
    as_far = np.einsum("ij,ij->j", orders, kernel @ orders) >= found - 1e-7
    p_value = float((1 + as_far.sum()) / (1 + NUM_PERMUTATIONS))
    return FeatureShift(_measure_separability(unit, is_new), p_value)


def _measure_separability(rows: NDArray[np.float32], is_new: NDArray[np.bool_]) -> float:
    found: list[tuple[float, Matrix]] = []
    targets = is_new[:, None].astype(np.float64)

    def rank(left_out: Matrix) -> tuple[float, ...]:
        closeness = -float(((left_out - targets) ** 2).sum())
        found.append((closeness, left_out))
        return (closeness,)

    RidgePath(rows, targets).fit(rank)
    # The mean of all others is higher for a known image than for a new one, whatever they look like.
    means = (targets.sum() - targets) / (len(targets) - 1)
    scores = (max(found, key=lambda each: each[0])[1] - means)[:, 0]
    ranks = _rank(scores)[is_new]
    return float((ranks.sum() - len(ranks) * (len(ranks) + 1) / 2) / (len(ranks) * (~is_new).sum()))


def estimate_score(
    known: NDArray[np.floating[Any]], is_right: NDArray[np.bool_], new: NDArray[np.floating[Any]], *, seed: int = 0
) -> Interval:
    """Return the part of decisions that are expected to be right on new images, with its 95 % interval.

    Three estimates, of which none is best everywhere, are weighed: the score less the loss of mean confidence (Guillory et
    al. 2021, "Predicting with Confidence on Unseen Distributions"), and the part of new decisions above a limit of
    confidence, or of negative entropy, above which as many known ones lie as are right (Garg et al. 2022, "Leveraging
    Unlabeled Data to Predict Out-of-Distribution Performance"). The interval takes in all three, what resampling moves,
    and a margin that grows with the change: where a network is sure and wrong, no method can know it.

    Args:
        known: The probabilities of the alternatives of each decision on known images, float (n, decisions,
            alternatives), 0..1: see `list_decisions`.
        is_right: Whether each is right, bool (n, decisions).
        new: The same for new images, float (m, decisions, alternatives).
        seed: Seed of the resamples.
    """
    old, fresh = _measure_confidences(known), _measure_confidences(new)
    each = _estimate_three(old, is_right, fresh)
    rng = np.random.default_rng(seed)
    resampled = []
    for _ in range(_NUM_RESAMPLES):
        first, second = rng.integers(len(known), size=len(known)), rng.integers(len(new), size=len(new))
        resampled.append(_estimate_three(old[:, first], is_right[first], fresh[:, second]))
    value = float(each @ _WEIGHTS)
    spread = 1.96 * float(np.std(resampled, axis=0).mean())
    margin = _MARGIN + _MARGIN_OF_CHANGE * abs(float(is_right.mean()) - value)
    # One image more could change so much.
    half = float(np.hypot(spread, margin)) + 1 / (len(new) + 1)
    low, high = float(each.min()) - half, float(each.max()) + half
    value = min(1.0, max(0.0, value))
    return Interval(value, min(value, max(0.0, low)), max(value, min(1.0, high)))


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


def _rank(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 1, equal values sharing their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: NDArray[np.float64] = (last - (counts - 1) / 2)[inverse]
    return ranks
