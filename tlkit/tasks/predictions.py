"""The prediction for one file, whatever the task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.outputs import LABEL_SEPARATOR, Box
from tlkit.reports.row_file import SINGLE, TEXT

UNKNOWN, UNCERTAIN = "unknown", "uncertain"
"""Flags of a prediction: the image is unlike the training images, or no class is probable enough."""

BOX_COLUMNS = ("left", "top", "right", "bottom")


@dataclass(frozen=True)
class FoundObject:
    """An object that a model finds in an image.

    Attributes:
        class_name: Its class.
        score: How sure the model is, 0..1.
        box: left, top, right, bottom in pixels of the upright image.
    """

    class_name: str
    score: float
    box: Box


@dataclass(frozen=True)
class Prediction:
    """The prediction for one file.

    Attributes:
        path: The file.
        ranked: (class or label name, probability 0..1), most probable first; empty for values, and if there is an
            `error`.
        box: left, top, right, bottom in pixels of the upright image, if the model predicts boxes.
        error: Why there is no prediction.
        value: The predicted value, for regression.
        labels: The labels at or above their thresholds, for multilabel; may be empty.
        objects: The objects at or above the thresholds of their classes, best first, for detection; may be empty.
        areas: The share of the picture that each class takes, 0..1, for segmentation.
        draw_mask: Returns the class at places spread evenly over the upright picture, for segmentation, given their
            number (height, width): uint8, 0 for background, the class's place in `class_names` plus 1, and 255 for what the
            model does not see.
        upright_size: (height, width) in pixels of the upright image; None if it cannot be read.
        distance: Distance from the training images, 0..1, if the model measures it.
        is_unknown: Whether the distance exceeds that of nearly all images like the training images.
        is_uncertain: Whether the top probability is below the requested minimum; None without a minimum.
        true_class_name: The true class. This and the next five are known only for labelled data.
        true_probability: The predicted probability, 0..1, of the true class.
        true_labels: The true labels.
        true_value: The true value.
        num_true_objects: Number of true objects.
        true_areas: The true shares, as `areas`.
    """

    path: str
    ranked: tuple[tuple[str, float], ...] = ()
    box: Box | None = None
    error: str = ""
    value: float | None = None
    labels: tuple[str, ...] | None = None
    objects: tuple[FoundObject, ...] | None = None
    areas: Mapping[str, float] | None = None
    draw_mask: Callable[[tuple[int, int]], NDArray[np.uint8]] | None = field(default=None, compare=False, repr=False)
    upright_size: tuple[int, int] | None = None
    distance: float | None = None
    is_unknown: bool = False
    is_uncertain: bool | None = None
    true_class_name: str = ""
    true_probability: float | None = None
    true_labels: tuple[str, ...] | None = None
    true_value: float | None = None
    num_true_objects: int | None = None
    true_areas: Mapping[str, float] | None = None

    @property
    def mask(self) -> NDArray[np.uint8] | None:
        """The class at each pixel of the upright picture, as `draw_mask` gives it; drawn anew each time. None without."""
        return self.draw_mask(self.upright_size) if self.draw_mask and self.upright_size else None

    @property
    def flag(self) -> str:
        """`unknown`, `uncertain`, or empty if the prediction is not flagged."""
        return UNKNOWN if self.is_unknown else UNCERTAIN if self.is_uncertain else ""


def rank_classes(
    probabilities: NDArray[np.floating[Any]], class_names: Sequence[str], top_k: int
) -> tuple[tuple[str, float], ...]:
    """Return the `top_k` most probable classes of one image, or all if there are fewer; the first class wins ties.

    Args:
        probabilities: Float (classes,), 0..1.
        class_names: The name of each class or label.
        top_k: At least 1.

    Returns:
        (class name, probability) pairs, with probabilities from `shorten_float32`.
    """
    order = np.argsort(-probabilities, kind="stable")[:top_k]
    return tuple((class_names[label], shorten_float32(probabilities[label])) for label in order)


def shorten_float32(number: np.floating[Any]) -> float:
    """Return the float64 nearest to a float32's shortest decimal form.

    It prints as 0.83 instead of 0.8299999833106995; parsing it as float32 gives the same bits.
    """
    return float(str(np.float32(number)))


def name_ranked_columns(top_k: int) -> dict[str, str]:
    """Return the kinds of the columns class_name, probability, class_name_2 and so on, for `top_k` names."""
    kinds: dict[str, str] = {}
    for rank in range(1, top_k + 1):
        kinds |= dict(zip(_ranked_columns(rank), (TEXT, SINGLE), strict=True))
    return kinds


def list_ranked_values(prediction: Prediction) -> dict[str, Any]:
    """Return the cells of the ranked columns."""
    values: dict[str, Any] = {}
    for rank, named in enumerate(prediction.ranked, start=1):
        values |= zip(_ranked_columns(rank), named, strict=True)
    return values


def join_names(names: Sequence[str] | None) -> str | None:
    """Join names into one cell; None stays None."""
    return None if names is None else LABEL_SEPARATOR.join(names)


def _ranked_columns(rank: int) -> tuple[str, str]:
    ending = "" if rank == 1 else f"_{rank}"
    return f"class_name{ending}", f"probability{ending}"
