"""The interface of the reports of all tasks, and shared functions."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tlkit.errors import NumericsError
from tlkit.metrics.intervals import Interval

ScoreTable = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""Column titles, and rows of texts; "-" for undefined values."""
ScoreFile = tuple[str, tuple[str, ...], list[list[Any]]]
"""The name of a CSV file, its columns, and rows of values."""


class Report(Protocol):
    """The scores of a set of images."""

    @property
    def num_images(self) -> int:
        """Number of scored images, at least 1."""

    def headline(self) -> str:
        """Return the scores in a sentence, with their 95 % intervals."""

    def facts(self) -> dict[str, str]:
        """Return the key figures by name."""

    def score_table(self) -> ScoreTable:
        """Return the scores of each class, each label, or each quarter of the values."""

    def more_tables(self) -> list[tuple[str, ScoreTable]]:
        """Return further tables of scores with their titles."""

    def to_payload(self) -> dict[str, Any]:
        """Return the scores as JSON values; None for undefined ones."""

    def details(self) -> dict[str, Any]:
        """Return the JSON values that are only written to files."""

    def mistakes_table(self) -> ScoreTable | None:
        """Return the confused classes, the most frequent first; None if there are none."""

    def score_file(self) -> ScoreFile | None:
        """Return the scores of each class or label; None without classes and labels."""


def format_fraction(value: float | None) -> str:
    """Format a fraction with three decimals; "-" if undefined."""
    return "-" if value is None else f"{value:.3f}"


def format_brief(interval: Interval | None) -> str:
    """Format a fraction with its interval; "-" if undefined."""
    return interval.in_brief() if interval else "-"


def check_finite(answers: NDArray[np.floating[Any]], *, kind: str) -> None:
    """Raise NumericsError if outputs are not finite.

    Args:
        answers: Float (n, ...), one row per image.
        kind: What the outputs are, such as "probabilities".

    Raises:
        NumericsError: A number is infinite or NaN.
    """
    is_bad = ~np.isfinite(answers.reshape(len(answers), -1)).all(axis=1)
    if is_bad.any():
        raise NumericsError(
            f"the model's output is not finite for {is_bad.sum()} of {len(answers)} images.",
            expected=f"finite {kind} for every image",
            fix="train again with a lower learning rate; the weights have diverged.",
        )
