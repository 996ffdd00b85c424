"""From a model's row of numbers to what a file of predictions and an overlay say of an image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.bundle import BundleSpec
from tlkit.data.answers import names_of
from tlkit.data.manifest import ImageRecord
from tlkit.evaluation.thresholds import apply_thresholds
from tlkit.outputs import CLASSIFICATION, MULTILABEL, REGRESSION, Box
from tlkit.reports.captions import Caption, CaptionLine, caption_classes, caption_labels, caption_value
from tlkit.reports.predictions import Prediction, PredictionColumns, rank_classes, shorten_float32

UNLIKE = "unlike the training images"


def choose_prediction_columns(spec: BundleSpec, *, top_k: int, with_truth: bool = False) -> PredictionColumns:
    """Return what a file of a model's predictions tells; `top_k` is at least 1."""
    return PredictionColumns(
        task=spec.task,
        top_k=min(top_k, max(1, len(spec.class_names))),
        value_name=spec.target.name if spec.target else "value",
        with_truth=with_truth,
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
        answer: Float (num_answers,), as `tlkit.workflows.scoring` gives it: probabilities, 0..1, or a value in its unit.
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
    if spec.task == CLASSIFICATION:
        return Prediction(path, ranked, true_class_name=record.answer if record else "", **common)
    is_said = apply_thresholds(answer, np.array(spec.thresholds))
    labels = tuple(name for name, said in zip(spec.class_names, is_said, strict=True) if said)
    true_labels = names_of(MULTILABEL, record.answer) if record else None
    return Prediction(path, ranked, labels=labels, true_labels=true_labels, **common)


def write_caption(prediction: Prediction, spec: BundleSpec) -> Caption:
    """Return the lines that stand beneath a picture."""
    warning = [CaptionLine(UNLIKE, has_dot=True)] if prediction.is_unknown else []
    if prediction.value is not None and spec.target is not None:
        return [*caption_value(spec.target.name, prediction.value), *warning]
    if prediction.labels is not None:
        return [*caption_labels(prediction.ranked, prediction.labels), *warning]
    return [*caption_classes(prediction.ranked), *warning]
