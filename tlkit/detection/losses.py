"""The loss of a dense head's answers: which locations answer for which object, and how well they do.

Locations are assigned to objects anew at every step, by how well they already name and place them (task-aligned
assignment: Feng et al. 2021, arXiv:2108.07755). Class logits learn the overlap with the object (quality focal loss: Li et
al. 2020, arXiv:2006.04388), so that scores rank boxes by class and place at once. Boxes learn by generalised IoU
(Rezatofighi et al. 2019, arXiv:1902.09630). What is computed for an image depends on this image alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from tlkit.detection.grid import MAX_LOG_SIZE, NUM_BOX_VALUES, Grid

_TINY = 1e-7
_SCORE_POWER = 0.5
_IOU_POWER = 6.0
_LOCATIONS_PER_OBJECT = 10
_FOCUS = 2.0
_BOX_WEIGHT = 2.0


class _Assignment(NamedTuple):
    """What each location has to answer.

    Attributes:
        object: Index of its object, int (n, P); 0 without one.
        quality: How much the location counts for its object, float32 (n, P), 0..1; 0 without one.
        matters: Whether its class logits are learnt, float32 (n, P): 0 within ignored objects.
    """

    object: Any
    quality: Any
    matters: Any


def compute_detection_losses(targets: Any, answers: Any, grid: Grid, *, focus: float = _FOCUS) -> Any:
    """Return the loss of each image, float32 (n,).

    Args:
        targets: float32 (n, M, 6): x0, y0, x1, y1 in fractions of the input, which may lie beyond 0..1; class index + 1,
            0 in rows that only fill up; 1 for objects to ignore, which are neither learnt nor punished, else 0.
        answers: From the head, float32 (n, P, 4 + classes).
        grid: The head's locations.
        focus: The focal loss's gamma, >= 0; more of it makes easy locations count less.
    """
    logits = answers[..., NUM_BOX_VALUES:]
    boxes = decode_box_tensors(answers[..., :NUM_BOX_VALUES], grid)
    # What lies beyond the input cannot be seen, and is not to be guessed.
    objects = ops.clip(targets[..., :4], 0.0, 1.0)
    targets = ops.concatenate([objects, targets[..., 4:]], axis=-1)
    assigned = _assign(targets, ops.sigmoid(logits), boxes, grid)
    labels = ops.take_along_axis(targets[..., 4], assigned.object, axis=1) - 1.0
    wanted = ops.one_hot(ops.cast(labels, "int32"), logits.shape[-1], dtype="float32") * assigned.quality[..., None]
    per_location = ops.sum(_compute_quality_focal(wanted, logits, focus), axis=-1) * assigned.matters
    own = ops.take_along_axis(objects, assigned.object[..., None], axis=1)
    place = (1.0 - compute_giou(own, boxes)) * assigned.quality
    share = ops.maximum(ops.sum(assigned.quality, axis=1), 1.0)
    return (ops.sum(per_location, axis=1) + _BOX_WEIGHT * ops.sum(place, axis=1)) / share


def decode_box_tensors(values: Any, grid: Grid) -> Any:
    """Return the boxes that the locations describe, as `tlkit.detection.grid.decode_boxes` does, float32 (n, P, 4)."""
    centre = grid.centres + values[..., :2] * grid.cells
    half = ops.exp(ops.clip(values[..., 2:4], -MAX_LOG_SIZE, MAX_LOG_SIZE)) * (grid.cells / 2)
    return ops.concatenate([centre - half, centre + half], axis=-1)


def compute_giou(boxes: Any, others: Any) -> Any:
    """Return the generalised IoU of boxes (..., 4) with others (..., 4), elementwise: -1..1."""
    shared, whole = _measure_overlap(boxes, others)
    span = ops.maximum(boxes[..., 2:], others[..., 2:]) - ops.minimum(boxes[..., :2], others[..., :2])
    hull = ops.maximum(span[..., 0] * span[..., 1], _TINY)
    return shared / ops.maximum(whole, _TINY) - (hull - whole) / hull


def _compute_quality_focal(wanted: Any, logits: Any, focus: float) -> Any:
    """Return the cross-entropy with a wanted score 0..1, weighted by how far the score is from it."""
    entropy = ops.binary_crossentropy(wanted, logits, from_logits=True)
    distance = ops.abs(wanted - ops.sigmoid(logits))
    return entropy * ops.power(ops.maximum(distance, _TINY), focus)


def _assign(targets: Any, scores: Any, boxes: Any, grid: Grid) -> _Assignment:
    """Assign to each object the locations that name and place it best; tensors (n, M, P) are objects by locations."""
    scores, boxes = ops.stop_gradient(scores), ops.stop_gradient(boxes)
    objects, label, ignored = targets[..., :4], targets[..., 4], targets[..., 5]
    is_ignored = ops.logical_and(label > 0, ignored > 0)
    is_object = ops.logical_and(label > 0, ignored == 0)
    shared, whole = _measure_overlap(objects[:, :, None, :], boxes[:, None, :, :])
    iou = shared / ops.maximum(whole, _TINY)
    inside = _find_inside(objects, grid)
    classes = ops.one_hot(ops.cast(label, "int32") - 1, scores.shape[-1], dtype="float32")
    score = ops.einsum("nmc,npc->nmp", classes, scores)
    fit = ops.power(ops.maximum(score, _TINY), _SCORE_POWER) * ops.power(ops.maximum(iou, 1e-3), _IOU_POWER)
    candidate = ops.logical_and(is_object[..., None], ops.logical_or(inside, _find_central(objects, grid)))
    fit = ops.where(candidate, fit, 0.0)
    num_best = min(_LOCATIONS_PER_OBJECT, grid.num_locations)
    least = ops.top_k(fit, num_best)[0][..., -1:]
    fit = ops.where(ops.logical_and(fit >= least, fit > 0), fit, 0.0)
    # A location that fits several objects answers for the one that it overlaps most.
    rival = ops.where(fit > 0, iou + 1e-3, 0.0)
    own = ops.argmax(rival, axis=1)
    fit = ops.where(ops.arange(fit.shape[1])[None, :, None] == own[:, None, :], fit, 0.0)
    best_fit = ops.max(fit, axis=2, keepdims=True)
    best_iou = ops.max(ops.where(fit > 0, iou, 0.0), axis=2, keepdims=True)
    quality = ops.max(fit / ops.maximum(best_fit, 1e-30) * best_iou, axis=1)
    covered = ops.any(ops.logical_and(is_ignored[..., None], inside), axis=1)
    matters = ops.logical_or(quality > 0, ops.logical_not(covered))
    return _Assignment(own, ops.stop_gradient(quality), ops.cast(matters, "float32"))


def _find_inside(objects: Any, grid: Grid) -> Any:
    """Return which locations lie in which objects, bool (n, M, P)."""
    low, high = objects[:, :, None, :2], objects[:, :, None, 2:]
    return ops.all(ops.logical_and(grid.centres > low, grid.centres < high), axis=-1)


def _find_central(objects: Any, grid: Grid) -> Any:
    """Return in which cells the objects' centres lie, one of each map, bool (n, M, P): small ones hold no location."""
    centre = (objects[:, :, None, :2] + objects[:, :, None, 2:]) / 2
    return ops.all(ops.abs(centre - grid.centres) <= grid.cells / 2, axis=-1)


def _measure_overlap(boxes: Any, others: Any) -> tuple[Any, Any]:
    """Return the areas that boxes share with others and cover together, elementwise after broadcasting."""
    size = ops.maximum(ops.minimum(boxes[..., 2:], others[..., 2:]) - ops.maximum(boxes[..., :2], others[..., :2]), 0.0)
    shared = size[..., 0] * size[..., 1]
    area, other_area = ((box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1]) for box in (boxes, others))
    return shared, area + other_area - shared
