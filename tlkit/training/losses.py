"""Box losses per image, IoU, and image weights in the loss."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from tlkit.tasks.loss_terms import TINY, compute_huber

HUBER_DELTA_BOXES = 0.1


def compute_class_weights(labels: NDArray[Any], *, num_classes: int, mode: str) -> NDArray[np.float32]:
    """Return each image's weight in the loss, float32 (n,), 1 on average.

    Args:
        labels: int32 (n,), with every class present; with mode `none` any targets (n, ...).
        num_classes: Number of classes.
        mode: `none`: all 1. `balanced`: n / (num_classes x images of the class), so that every class counts equally.
    """
    if mode == "none":
        return np.ones(len(labels), dtype=np.float32)
    counts = np.bincount(labels, minlength=num_classes)
    weights: NDArray[np.float32] = (len(labels) / (num_classes * counts[labels])).astype(np.float32)
    return weights


def compute_object_weights(targets: NDArray[Any], *, num_classes: int, mode: str) -> NDArray[np.float32]:
    """Return each image's weight in the loss of a detector, float32 (n,), 1 on average.

    Args:
        targets: Float (n, m, 6): corners, class + 1 (0 for padding), and 1 if ignored.
        num_classes: Number of classes.
        mode: `none`: all 1. `balanced`: the square root of how many times more images the most frequent class has than
            the rarest one of the image (as often as Gupta et al. 2019, arXiv:1908.03195, would repeat it); images without
            objects count like those of the most frequent class.
    """
    if mode == "none":
        return np.ones(len(targets), dtype=np.float32)
    labels = np.where(targets[..., 5] == 0, targets[..., 4], 0).astype(np.int64)
    is_present = (labels[..., None] == np.arange(1, num_classes + 1)).any(axis=1)
    counts = np.maximum(is_present.sum(axis=0), 1)
    weights = np.where(is_present, np.sqrt(counts.max() / counts), 1.0).max(axis=1)
    balanced: NDArray[np.float32] = (weights / weights.mean()).astype(np.float32)
    return balanced


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
        return ops.mean(compute_huber(boxes - predicted, HUBER_DELTA_BOXES), axis=-1)
    return 1.0 - compute_iou(boxes, predicted) + _compute_ciou_penalty(boxes, predicted)


def compute_iou(boxes: Any, others: Any) -> Any:
    """Return the elementwise intersection over union of boxes (n, 4) cx, cy, w, h: (n,), 0..1."""
    overlap = _overlap(boxes, others, 0) * _overlap(boxes, others, 1)
    union = boxes[:, 2] * boxes[:, 3] + others[:, 2] * others[:, 3] - overlap
    return overlap / ops.maximum(union, TINY)


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
    slopes = [ops.arctan(box[:, 2] / ops.maximum(box[:, 3], TINY)) for box in (boxes, predicted)]
    proportions = 4 / math.pi**2 * ops.square(slopes[0] - slopes[1])
    iou = ops.stop_gradient(compute_iou(boxes, predicted))
    weight = ops.stop_gradient(proportions / ops.maximum(1.0 - iou + proportions, TINY))
    return distance / ops.maximum(diagonal, TINY) + weight * proportions
