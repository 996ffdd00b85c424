"""The face that the reports of all tasks share, and what they do alike."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tlkit.errors import NumericsError

ScoreTable = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""Column titles, and rows of as many texts; "-" where a figure is not defined."""


class Report(Protocol):
    """The scores of one set of images."""

    @property
    def num_images(self) -> int:
        """Images that were scored, at least 1."""

    def headline(self) -> str:
        """Return the scores in a sentence, with their 95 % intervals."""

    def facts(self) -> dict[str, str]:
        """Return the figures to read first, by their name."""

    def score_table(self) -> ScoreTable:
        """Return the scores of the parts: of each class, each label, or each quarter of the values."""

    def to_payload(self) -> dict[str, Any]:
        """Return the scores as plain numbers, lists and dicts, fit for JSON; None where a figure is not defined."""


def format_fraction(value: float | None) -> str:
    """Return a fraction with three decimals, or "-" for one that is not defined."""
    return "-" if value is None else f"{value:.3f}"


def check_finite(answers: NDArray[np.floating[Any]], *, kind: str) -> None:
    """Refuse answers that are not numbers.

    Args:
        answers: Float (n, ...), one row an image.
        kind: What the answers are, such as "probabilities".

    Raises:
        NumericsError: A number is infinite or NaN.
    """
    is_bad = ~np.isfinite(answers.reshape(len(answers), -1)).all(axis=1)
    if is_bad.any():
        raise NumericsError(
            f"the model's answer is not a number for {is_bad.sum()} of {len(answers)} images.",
            expected=f"finite {kind} for every image",
            fix="train again with a lower learning rate; the weights have diverged.",
        )
