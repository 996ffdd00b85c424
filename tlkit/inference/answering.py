"""From a model's row of numbers to what a file of predictions and an overlay say of an image."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.data.answers import names_of
from tlkit.data.manifest import ImageRecord
from tlkit.models import BundleSpec
from tlkit.outputs import CLASSIFICATION, MULTILABEL, REGRESSION, Box
from tlkit.reports.captions import (
    Caption,
    CaptionLine,
    caption_classes,
    caption_flagged,
    caption_labels,
    caption_value,
    format_percent,
)
from tlkit.reports.predictions import (
    UNCERTAIN,
    UNKNOWN,
    Prediction,
    PredictionColumns,
    rank_classes,
    shorten_float32,
)
from tlkit.tasks.thresholds import apply_thresholds

MAX_CAPTION_LINES = 12


def choose_prediction_columns(
    spec: BundleSpec, *, top_k: int, with_truth: bool = False, with_uncertain: bool = False
) -> PredictionColumns:
    """Return what a file of a model's predictions tells; `top_k` is at least 1."""
    return PredictionColumns(
        task=spec.task,
        top_k=min(top_k, max(1, len(spec.class_names))),
        value_name=spec.target.name if spec.target else "value",
        with_truth=with_truth,
        with_uncertain=with_uncertain,
        with_box=spec.has_box,
        with_distance=spec.measures_distance,
    )


def make_prediction(
    path: str,
    answer: NDArray[np.floating[Any]],
    box: Box | None,
    distance: np.floating[Any] | None,
    spec: BundleSpec,
    *,
    top_k: int,
    record: ImageRecord | None = None,
) -> Prediction:
    """Return what a model says of one image.

    Args:
        path: The image's file, as it is to be written.
        answer: Float (num_answers,), as `tlkit.inference.scoring` gives it: probabilities, 0..1, or a value in its unit.
        box: In pixels of the upright picture, if there is one.
        distance: From the training images, 0..1, if it is measured.
        spec: The model's.
        top_k: Classes or labels that are ranked.
        record: The image with its true answer, where that is known.
    """
    far, is_unknown = None, False
    if distance is not None and spec.unknown_above is not None:
        far, is_unknown = shorten_float32(distance), bool(distance > spec.unknown_above)
    common: dict[str, Any] = {"box": box, "distance": far, "is_unknown": is_unknown}
    if spec.task == REGRESSION:
        true_value = float(record.answer) if record else None
        return Prediction(path, value=shorten_float32(np.float32(answer[0])), true_value=true_value, **common)
    ranked = rank_classes(answer, spec.class_names, top_k)
    if spec.task == CLASSIFICATION and record is not None:
        true_probability = shorten_float32(answer[spec.class_names.index(record.answer)])
        return Prediction(path, ranked, true_class_name=record.answer, true_probability=true_probability, **common)
    if spec.task == CLASSIFICATION:
        return Prediction(path, ranked, **common)
    is_said = apply_thresholds(answer, np.array(spec.thresholds))
    labels = tuple(name for name, said in zip(spec.class_names, is_said, strict=True) if said)
    true_labels = names_of(MULTILABEL, record.answer) if record else None
    return Prediction(path, ranked, labels=labels, true_labels=true_labels, **common)


def flag_uncertain(prediction: Prediction, min_probability: float | None) -> Prediction:
    """Return a prediction that tells whether its class is less probable than it should be; None asks for nothing."""
    if min_probability is None or not prediction.ranked:
        return prediction
    return replace(prediction, is_uncertain=prediction.ranked[0][1] < min_probability)


def write_caption(prediction: Prediction, spec: BundleSpec, *, min_probability: float | None = None) -> Caption:
    """Return the lines that stand beneath a picture, twelve at most."""
    if prediction.value is not None and spec.target is not None:
        caption = caption_value(spec.target.name, prediction.value)
    elif prediction.labels is not None:
        caption = caption_labels(prediction.ranked, prediction.labels)
    else:
        caption = caption_classes(prediction.ranked)
    if len(caption) > MAX_CAPTION_LINES:
        num_left = len(caption) - MAX_CAPTION_LINES + 1
        caption = [*caption[: MAX_CAPTION_LINES - 1], CaptionLine(f"and {num_left:,} more")]
    if prediction.flag == UNKNOWN:
        return caption_flagged(UNKNOWN, "unlike the training images", caption)
    if prediction.flag == UNCERTAIN:
        return caption_flagged(UNCERTAIN, f"below {format_percent(min_probability or 0)}", caption)
    return caption
