"""The best boxes of a dense head's answers, found where the answers are computed, so that little has to come back."""

from __future__ import annotations

from typing import Any

from keras import ops

from tlkit.detection.grid import NUM_BOX_VALUES, Grid
from tlkit.detection.losses import decode_box_tensors


def find_candidates(answers: Any, grid: Grid, *, num_candidates: int) -> Any:
    """Return the boxes with the highest scores, before any are suppressed; a location may give several classes.

    Args:
        answers: From the head, a tensor, float32 (n, P, 4 + classes).
        grid: Its locations.
        num_candidates: How many.

    Returns:
        Rows x0, y0, x1, y1 in fractions of the input, score, class index, best first: float32
        (n, num_candidates * 6). Where there are fewer, zeros.
    """
    logits = answers[..., NUM_BOX_VALUES:]
    num_classes = logits.shape[-1]
    num_found = min(num_candidates, grid.num_locations * num_classes)
    best, places = ops.top_k(ops.reshape(logits, (-1, grid.num_locations * num_classes)), num_found)
    boxes = decode_box_tensors(answers[..., :NUM_BOX_VALUES], grid)
    boxes = ops.take_along_axis(boxes, (places // num_classes)[..., None], axis=1)
    labels = ops.cast(places % num_classes, "float32")
    rows = ops.concatenate([boxes, ops.sigmoid(best)[..., None], labels[..., None]], axis=-1)
    rows = ops.pad(rows, ((0, 0), (0, num_candidates - num_found), (0, 0)))
    return ops.reshape(rows, (-1, num_candidates * 6))
