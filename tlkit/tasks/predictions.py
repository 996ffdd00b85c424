"""What a model says about one file, whatever its task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.outputs import LABEL_SEPARATOR, Box
from tlkit.reports.row_writers import SINGLE, TEXT

UNKNOWN, UNCERTAIN = "unknown", "uncertain"
"""What an answer is flagged as: the picture is unlike the training images, or no class is probable enough."""


@dataclass(frozen=True)
class Prediction:
    """What the model says about one file.

    Attributes:
        path: The file.
        ranked: (class or label name, probability 0..1), the most probable first; empty where `error` says why, and for
            values.
        box: left, top, right, bottom in pixels of the upright picture, if the model has learnt boxes.
        error: Why there is no prediction.
        value: The predicted value, if values were learnt.
        labels: The names of the labels at or above their threshold, if labels were learnt; there may be none.
        distance: From the training images, 0..1, if the model measures it.
        is_unknown: Whether that is farther than nearly all pictures like the training images are.
        is_uncertain: Whether the most probable class is less probable than was asked for; None if nothing was asked.
        true_class_name: Known, like the next three, only where a labelled set is scored.
        true_probability: The probability, 0..1, that the true class was given.
        true_labels: The names of the labels that the image bears.
        true_value: Its true value.
    """

    path: str
    ranked: tuple[tuple[str, float], ...] = ()
    box: Box | None = None
    error: str = ""
    value: float | None = None
    labels: tuple[str, ...] | None = None
    distance: float | None = None
    is_unknown: bool = False
    is_uncertain: bool | None = None
    true_class_name: str = ""
    true_probability: float | None = None
    true_labels: tuple[str, ...] | None = None
    true_value: float | None = None

    @property
    def flag(self) -> str:
        """`unknown`, `uncertain`, or nothing where the answer can be taken as it is."""
        return UNKNOWN if self.is_unknown else UNCERTAIN if self.is_uncertain else ""


def rank_classes(
    probabilities: NDArray[np.floating[Any]], class_names: Sequence[str], top_k: int
) -> tuple[tuple[str, float], ...]:
    """Return the `top_k` most probable classes of one image, or all if there are fewer; of equals the first leads.

    Args:
        probabilities: Float (classes,), 0..1.
        class_names: The name of each class or label.
        top_k: At least 1.

    Returns:
        (class name, probability) pairs, the probability as `shorten_float32` gives it.
    """
    order = np.argsort(-probabilities, kind="stable")[:top_k]
    return tuple((class_names[label], shorten_float32(probabilities[label])) for label in order)


def shorten_float32(number: np.floating[Any]) -> float:
    """Return the float64 nearest to a float32's shortest decimal form.

    It prints as 0.83 and not as 0.8299999833106995; reading it back as float32 gives the same bits.
    """
    return float(str(np.float32(number)))


def name_ranked_columns(top_k: int) -> dict[str, str]:
    """Return the columns of the `top_k` most probable names, class_name, probability, class_name_2 and so on, by kind."""
    kinds: dict[str, str] = {}
    for rank in range(1, top_k + 1):
        kinds |= dict(zip(_ranked_columns(rank), (TEXT, SINGLE), strict=True))
    return kinds


def list_ranked_values(prediction: Prediction) -> dict[str, Any]:
    """Return the cells of these columns."""
    values: dict[str, Any] = {}
    for rank, named in enumerate(prediction.ranked, start=1):
        values |= zip(_ranked_columns(rank), named, strict=True)
    return values


def join_names(names: Sequence[str] | None) -> str | None:
    """Return names as one cell; None where there is nothing to say."""
    return None if names is None else LABEL_SEPARATOR.join(names)


def _ranked_columns(rank: int) -> tuple[str, str]:
    ending = "" if rank == 1 else f"_{rank}"
    return f"class_name{ending}", f"probability{ending}"
