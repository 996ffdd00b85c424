"""The loss of the logits at every place; places marked as `IGNORED` have none.

What is computed for an image depends on this image alone.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from tlkit.segmentation.confusion import IGNORED

DICE_WEIGHT = 1.0
"""How much the Dice loss counts beside the cross-entropy."""
OBJECTS_WEIGHT = 1.0
"""How much the cross-entropy of the places with a class counts beside that of all places."""
_SMOOTHING = 1.0


def compute_segmentation_losses(
    masks: Any,
    logits: Any,
    *,
    dice_weight: float = DICE_WEIGHT,
    objects_weight: float = OBJECTS_WEIGHT,
    class_weights: Any = None,
) -> Any:
    """Return the loss of each image, float32 (n,): cross-entropy of its places, and soft Dice of its classes.

    The Dice loss (Milletari et al. 2016, arXiv:1606.04797) counts a class by its own size, so that a small one is not
    drowned by the background.

    Args:
        masks: (n, height, width), any dtype: 0 for background, 1.. for classes, 255 for places to ignore.
        logits: float (n, height, width, classes + 1), background first.
        dice_weight: Weight of the Dice loss, >= 0.
        objects_weight: Weight of the cross-entropy of the places that are not background, >= 0; without it their kinds,
            which are few places, are learnt late or not at all.
        class_weights: float (classes + 1,), weights of the places of each class in the cross-entropy; None for equal ones.
    """
    num_outputs = logits.shape[-1]
    logits = ops.cast(logits, "float32")
    masks = ops.cast(masks, "int32")
    matters = ops.cast(masks != IGNORED, "float32")
    labels = ops.where(masks == IGNORED, 0, masks)
    wanted = ops.one_hot(labels, num_outputs, dtype="float32") * matters[..., None]
    entropy = -ops.sum(wanted * ops.log_softmax(logits, axis=-1), axis=-1)
    weights = matters
    if class_weights is not None:
        weights = ops.sum(wanted * ops.convert_to_tensor(class_weights, "float32"), axis=-1)
    losses = _average(entropy, weights) + objects_weight * _average(entropy, weights * ops.cast(labels > 0, "float32"))
    if dice_weight:
        losses = losses + dice_weight * _compute_dice_losses(wanted, logits, matters)
    return losses


def _average(losses: Any, weights: Any) -> Any:
    """Return the weighted mean of each image's places, float32 (n,); 0 without weights."""
    return ops.sum(losses * weights, axis=(1, 2)) / ops.maximum(ops.sum(weights, axis=(1, 2)), 1.0)


def _compute_dice_losses(wanted: Any, logits: Any, matters: Any) -> Any:
    """Return 1 - the mean soft Dice of the classes, background among them, that an image has, float32 (n,)."""
    given = ops.softmax(logits, axis=-1) * matters[..., None]
    shared, true, predicted = (ops.sum(each, axis=(1, 2)) for each in (wanted * given, wanted, given))
    dice = (2.0 * shared + _SMOOTHING) / (true + predicted + _SMOOTHING)
    has = ops.cast(true > 0, "float32")
    number = ops.sum(has, axis=-1)
    return (number - ops.sum(dice * has, axis=-1)) / ops.maximum(number, 1.0)
