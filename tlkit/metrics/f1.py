"""Precision, recall and F1 of names, which are classes or labels, with intervals over images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.intervals import Interval, compute_bootstrap_interval, compute_wilson_interval

NUM_PASSES = 3


def compute_precision(right: int, claimed: int) -> float | None:
    """Return the precision; None if no image was given the name."""
    return right / claimed if claimed else None


def compute_recall(right: int, support: int) -> float | None:
    """Return the recall; None if no image has the name."""
    return right / support if support else None


def compute_f1(right: int, claimed: int, support: int) -> float | None:
    """Return the harmonic mean of precision and recall; None if no image has the name or was given it."""
    return 2 * right / (support + claimed) if support + claimed else None


def measure_name(right: int, claimed: int, support: int) -> dict[str, Interval]:
    """Return "precision", "recall" and "f1" of one name with their 95% intervals, without those that are undefined.

    Precision and recall are fractions of images, with Wilson intervals. So is the share, among the images that have the
    name or were given it, of those with both; F1 grows with that share, and its interval follows.

    Args:
        right: Images that have the name and were given it.
        claimed: Images that were given it.
        support: Images that have it.
    """
    measured = {}
    if claimed:
        measured["precision"] = compute_wilson_interval(right, claimed)
    if support:
        measured["recall"] = compute_wilson_interval(right, support)
    if support + claimed:
        shared = compute_wilson_interval(right, support + claimed - right)
        measured["f1"] = Interval(*(2 * share / (1 + share) for share in (shared.value, shared.low, shared.high)))
    return measured


def measure_macro_f1(is_true: NDArray[np.bool_], is_claimed: NDArray[np.bool_]) -> Interval | None:
    """Return the mean F1 of the names that occur or are claimed, with its bootstrap interval; None without any.

    Args:
        is_true: Bool (n, names), n >= 1: which images have which names.
        is_claimed: Bool (n, names): which were given them.
    """
    return _measure(is_true, is_claimed, lambda counts: counts)


def measure_micro_f1(is_true: NDArray[np.bool_], is_claimed: NDArray[np.bool_]) -> Interval | None:
    """Return the F1 over all pairs of image and name, with its bootstrap interval; as `measure_macro_f1` otherwise."""
    return _measure(is_true, is_claimed, lambda counts: counts.sum(axis=0, keepdims=True))


def _measure(
    is_true: NDArray[np.bool_],
    is_claimed: NDArray[np.bool_],
    pool: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> Interval | None:
    both = is_true & is_claimed

    def compute(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        right = pool(_count(both, counts))
        named = pool(_count(is_true, counts) + _count(is_claimed, counts))
        occurs = named > 0
        f1 = np.divide(2 * right, named, out=np.zeros_like(named), where=occurs)
        num_occurring = occurs.sum(axis=0)
        means: NDArray[np.float64] = f1.sum(axis=0) / np.where(num_occurring, num_occurring, np.nan)
        return means

    once = np.ones((len(is_true), 1))
    value = float(compute(once)[0])
    if np.isnan(value):
        return None
    interval = compute_bootstrap_interval(value, compute, len(is_true), num_passes=NUM_PASSES)
    if interval.low < interval.high:
        return interval
    # All answers are right, or all wrong, and so are those of every resample.
    totals = [pool(_count(part, once))[:, 0].astype(int).tolist() for part in (both, is_claimed, is_true)]
    each = [named["f1"] for counts in zip(*totals, strict=True) if (named := measure_name(*counts))]
    return Interval(value, float(np.mean([one.low for one in each])), float(np.mean([one.high for one in each])))


def _count(is_named: NDArray[np.bool_], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many images of each resample have each name, float64 (names, r)."""
    names, rows = np.nonzero(is_named.T)
    sums = np.zeros((is_named.shape[1], counts.shape[1]))
    starts = np.flatnonzero(np.diff(names, prepend=-1))
    if len(starts):
        sums[names[starts]] = np.add.reduceat(counts[rows], starts, axis=0)
    return sums
