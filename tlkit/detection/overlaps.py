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
    (x0, y0, x1, y1), (u0, v0, u1, v1) = (
        [np.expand_dims(box[..., side], axis) for side in range(4)] for box, axis in ((boxes, -1), (others, -2))
    )
    width, height = np.minimum(x1, u1) - np.maximum(x0, u0), np.minimum(y1, v1) - np.maximum(y0, v0)
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    area, other_area = np.maximum(x1 - x0, 0) * np.maximum(y1 - y0, 0), np.maximum(u1 - u0, 0) * np.maximum(v1 - v0, 0)
    whole = area + other_area - shared
    if crowd is not None:
        whole = np.where(crowd[..., None, :], area, whole)
    overlaps: NDArray[np.float32] = (shared / np.maximum(whole, _TINY)).astype(np.float32)
    return overlaps
