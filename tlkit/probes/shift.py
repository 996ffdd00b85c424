"""How new images differ from known ones: two samples of figures or of features, compared by permutation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.ridge import Matrix, RidgePath
from tlkit.similarity.search import measure_lengths, scale_rows

NUM_PERMUTATIONS = 999
MAX_COMPARED = 500
"""Images of each side that are compared; the matrix of their similarities is the largest that is made."""


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


def _rank(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 1, equal values sharing their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: NDArray[np.float64] = (last - (counts - 1) / 2)[inverse]
    return ranks
