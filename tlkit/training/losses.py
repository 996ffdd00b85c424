"""Losses of answers and boxes, one number an image, what an image weighs in them, and how boxes agree."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from tlkit.outputs import CLASSIFICATION, MULTILABEL

HUBER_DELTA_ANSWERS = 1.0
HUBER_DELTA_BOXES = 0.1
_TINY = 1e-7


def compute_answer_losses(
    task: str, answers: Any, logits: Any, *, label_smoothing: float = 0.0, focal: float = 0.0
) -> Any:
    """Return the loss of each image's answer, float32 (n,).

    Args:
        task: `classification`: cross-entropy of the softmax, in nats; `multilabel`: binary cross-entropy of the sigmoid,
            averaged over the labels, in nats; `regression`: Huber's loss (1964, doi:10.1214/aoms/1177703732), quadratic
            up to one deviation of the training values.
        answers: int (n,) classes; float (n, labels) of 0 and 1; or float (n, 1) values in deviations from their mean.
        logits: float (n, num_answers).
        label_smoothing: Part of each label that is spread over all classes, or towards an undecided label, 0 <= x < 1.
        focal: The focal loss's gamma, >= 0: what each class or label adds to the cross-entropy is multiplied by
            (1 - p) ** gamma, p the probability given to it, so that what is right and sure already counts for little
            (Lin et al. 2017, arXiv:1708.02002). 0: cross-entropy. It has no effect on values.
    """
    if task == CLASSIFICATION:
        num_classes = logits.shape[-1]
        wanted = ops.one_hot(answers, num_classes) * (1.0 - label_smoothing) + label_smoothing / num_classes
        logarithms = ops.log_softmax(logits, axis=-1)
        if focal:
            wanted = wanted * _turn_down(1.0 - ops.exp(logarithms), focal)
        return -ops.sum(wanted * logarithms, axis=-1)
    if task == MULTILABEL:
        wanted = answers * (1.0 - label_smoothing) + label_smoothing / 2
        if focal:
            present = wanted * _turn_down(ops.sigmoid(-logits), focal) * ops.softplus(-logits)
            absent = (1.0 - wanted) * _turn_down(ops.sigmoid(logits), focal) * ops.softplus(logits)
            return ops.mean(present + absent, axis=-1)
        return ops.mean(ops.softplus(logits) - wanted * logits, axis=-1)
    return ops.mean(_huber(answers - logits, HUBER_DELTA_ANSWERS), axis=-1)


def _turn_down(missing: Any, focal: float) -> Any:
    """Return missing ** focal, whose slope is finite at 0 too, where that of a root is not."""
    return ops.power(ops.maximum(missing, _TINY), focal)


def compute_class_weights(labels: NDArray[Any], *, num_classes: int, mode: str) -> NDArray[np.float32]:
    """Return each image's weight in the loss, float32 (n,), 1 on average.

    Args:
        labels: int32 (n,), of which every class occurs; with mode `none` any answers (n, ...).
        num_classes: Number of classes.
        mode: `none`: all 1. `balanced`: n / (num_classes x images of the class), so that every class counts alike.
    """
    if mode == "none":
        return np.ones(len(labels), dtype=np.float32)
    counts = np.bincount(labels, minlength=num_classes)
    weights: NDArray[np.float32] = (len(labels) / (num_classes * counts[labels])).astype(np.float32)
    return weights


def compute_box_losses(kind: str, boxes: Any, predicted: Any) -> Any:
    """Return the loss of each image's box, float32 (n,).

    Args:
        kind: `mse`: mean squared error of centre and size, as in the course notes; `huber`: the same, linear beyond a
            tenth of the picture; `ciou`: 1 - IoU, plus the distance of the centres and the difference in proportions
            (Zheng et al. 2020, arXiv:1911.08287).
        boxes: True boxes, float (n, 4): cx, cy, w, h as fractions of the input.
        predicted: Predicted boxes, likewise.
    """
    if kind == "mse":
        return ops.mean(ops.square(boxes - predicted), axis=-1)
    if kind == "huber":
        return ops.mean(_huber(boxes - predicted, HUBER_DELTA_BOXES), axis=-1)
    return 1.0 - compute_iou(boxes, predicted) + _compute_ciou_penalty(boxes, predicted)


def compute_iou(boxes: Any, others: Any) -> Any:
    """Return intersection over union of boxes (n, 4) cx, cy, w, h with others in the same places: (n,), 0..1."""
    overlap = _overlap(boxes, others, 0) * _overlap(boxes, others, 1)
    union = boxes[:, 2] * boxes[:, 3] + others[:, 2] * others[:, 3] - overlap
    return overlap / ops.maximum(union, _TINY)


def _overlap(boxes: Any, others: Any, axis: int) -> Any:
    """Return the length that boxes share along x (0) or y (1)."""
    low = ops.maximum(*(box[:, axis] - box[:, axis + 2] / 2 for box in (boxes, others)))
    high = ops.minimum(*(box[:, axis] + box[:, axis + 2] / 2 for box in (boxes, others)))
    return ops.maximum(high - low, 0.0)


def _compute_ciou_penalty(boxes: Any, predicted: Any) -> Any:
    span = [
        ops.maximum(*(box[:, axis] + box[:, axis + 2] / 2 for box in (boxes, predicted)))
        - ops.minimum(*(box[:, axis] - box[:, axis + 2] / 2 for box in (boxes, predicted)))
        for axis in (0, 1)
    ]
    diagonal = ops.square(span[0]) + ops.square(span[1])
    distance = ops.square(boxes[:, 0] - predicted[:, 0]) + ops.square(boxes[:, 1] - predicted[:, 1])
    slopes = [ops.arctan(box[:, 2] / ops.maximum(box[:, 3], _TINY)) for box in (boxes, predicted)]
    proportions = 4 / math.pi**2 * ops.square(slopes[0] - slopes[1])
    iou = ops.stop_gradient(compute_iou(boxes, predicted))
    weight = ops.stop_gradient(proportions / ops.maximum(1.0 - iou + proportions, _TINY))
    return distance / ops.maximum(diagonal, _TINY) + weight * proportions


def _huber(error: Any, delta: float) -> Any:
    size = ops.abs(error)
    return ops.where(size <= delta, 0.5 * ops.square(error), delta * (size - 0.5 * delta))
