"""The loss of a dense head's answers, image by image.

Class logits learn by the focal loss (Lin et al. 2017, arXiv:1708.02002), since almost all locations are empty; boxes by
generalised IoU (Rezatofighi et al. 2019, arXiv:1902.09630), where `assignment` gives a location an object. What is
computed for an image depends on this image alone.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from tlkit.detection.assignment import LOCATIONS_PER_OBJECT, assign_locations
from tlkit.detection.grid import MAX_LOG_SIZE, NUM_BOX_VALUES, Grid

FOCUS = 2.0
"""The focal loss's gamma."""

_OBJECT_WEIGHT = 0.25
_BOX_WEIGHT = 2.0
_TINY = 1e-7


def compute_detection_losses(targets: Any, answers: Any, grid: Grid, *, focus: float = FOCUS) -> Any:
    """Return the loss of each image, float32 (n,).

    It is a mean over the locations that answer for objects; an image without objects counts like one with one.

    Args:
        targets: float32 (n, M, 6): x0, y0, x1, y1 in fractions of the input, which may lie beyond 0..1; class index + 1,
            0 in rows that only fill up; 1 for objects to ignore, which are neither learnt nor punished, else 0.
        answers: From the head, float32 (n, P, 4 + classes).
        grid: The head's locations.
        focus: The focal loss's gamma, >= 0; more of it makes easy locations count less.
    """
    # What lies beyond the input cannot be seen, and is not to be guessed.
    boxes = ops.clip(targets[..., :4], 0.0, 1.0)
    assigned = assign_locations(ops.concatenate([boxes, targets[..., 4:]], axis=-1), grid)
    is_assigned = ops.cast(assigned.is_assigned, "float32")
    own = ops.take_along_axis(boxes, assigned.objects[..., None], axis=1)
    labels = ops.cast(ops.take_along_axis(targets[..., 4], assigned.objects, axis=1), "int32") - 1
    logits = answers[..., NUM_BOX_VALUES:]
    wanted = ops.one_hot(labels, logits.shape[-1], dtype="float32") * is_assigned[..., None]
    names = ops.where(assigned.is_ignored, 0.0, ops.sum(_compute_focal(wanted, logits, focus), axis=-1))
    places = (1.0 - compute_giou(own, decode_box_tensors(answers[..., :NUM_BOX_VALUES], grid))) * is_assigned
    num_assigned = ops.maximum(ops.sum(is_assigned, axis=1), LOCATIONS_PER_OBJECT)
    return (ops.sum(names, axis=1) + _BOX_WEIGHT * ops.sum(places, axis=1)) / num_assigned


def decode_box_tensors(values: Any, grid: Grid) -> Any:
    """Return the boxes that the locations describe, as `tlkit.detection.grid.decode_boxes` does, float32 (n, P, 4)."""
    centre = grid.centres + values[..., :2] * grid.cells
    half = ops.exp(ops.clip(values[..., 2:4], -MAX_LOG_SIZE, MAX_LOG_SIZE)) * grid.cells
    return ops.concatenate([centre - half, centre + half], axis=-1)


def compute_giou(boxes: Any, others: Any) -> Any:
    """Return the generalised IoU of boxes (..., 4) with others (..., 4), elementwise: -1..1."""
    low, high = ops.maximum(boxes[..., :2], others[..., :2]), ops.minimum(boxes[..., 2:], others[..., 2:])
    span = ops.maximum(boxes[..., 2:], others[..., 2:]) - ops.minimum(boxes[..., :2], others[..., :2])
    area, other_area = (_product(box[..., 2:] - box[..., :2]) for box in (boxes, others))
    shared, hull = _product(ops.maximum(high - low, 0.0)), ops.maximum(_product(span), _TINY)
    whole = area + other_area - shared
    return shared / ops.maximum(whole, _TINY) - (hull - whole) / hull


def _product(size: Any) -> Any:
    return size[..., 0] * size[..., 1]


def _compute_focal(wanted: Any, logits: Any, focus: float) -> Any:
    """Return the focal loss of each logit; `wanted` is 0 or 1, of the same shape."""
    entropy = ops.binary_crossentropy(wanted, logits, from_logits=True)
    missing = ops.abs(wanted - ops.sigmoid(logits))
    weight = wanted * _OBJECT_WEIGHT + (1.0 - wanted) * (1.0 - _OBJECT_WEIGHT)
    return entropy * weight * ops.power(ops.maximum(missing, _TINY), focus)
