"""How much boxes overlap, in numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_TINY = 1e-12


def compute_iou_matrix(
    boxes: NDArray[np.floating], others: NDArray[np.floating], *, crowd: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Return the intersection over union of every box with every other.

    Args:
        boxes: x0, y0, x1, y1 in any unit, float (..., a, 4).
        others: Likewise, float (..., b, 4).
        crowd: Which of `others` mark a region rather than an object, bool (..., b): for these the intersection is
            divided by the area of the box alone, as COCO does, since a box within a crowd lies there wholly.

    Returns:
        float32 (..., a, b), 0..1.
    """
    boxes, others = boxes[..., :, None, :], others[..., None, :, :]
    low = np.maximum(boxes[..., :2], others[..., :2])
    high = np.minimum(boxes[..., 2:], others[..., 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=-1)
    area, other_area = (np.prod(np.maximum(box[..., 2:] - box[..., :2], 0), axis=-1) for box in (boxes, others))
    whole = area + other_area - shared
    if crowd is not None:
        whole = np.where(crowd[..., None, :], area, whole)
    overlaps: NDArray[np.float32] = (shared / np.maximum(whole, _TINY)).astype(np.float32)
    return overlaps
