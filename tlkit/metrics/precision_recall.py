"""Precision, recall and F1 from counts; None if undefined."""

from __future__ import annotations

from collections.abc import Sequence


def mean_of_defined(values: Sequence[float | None]) -> float | None:
    """Return the mean of the values that are not None, or None if there are none."""
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def compute_precision(right: int, claimed: int) -> float | None:
    """Return the precision; None if no image was given the name."""
    return right / claimed if claimed else None


def compute_recall(right: int, support: int) -> float | None:
    """Return the recall; None if no image has the name."""
    return right / support if support else None


def compute_f1(right: int, claimed: int, support: int) -> float | None:
    """Return the harmonic mean of precision and recall; None if no image has the name or was given it."""
    return 2 * right / (support + claimed) if support + claimed else None
