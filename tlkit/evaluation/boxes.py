"""How well predicted boxes agree with true ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.evaluation.intervals import Interval, compute_bootstrap_interval, compute_wilson_interval
from tlkit.outputs import Box

GOOD_IOU = 0.5


@dataclass(frozen=True, eq=False)
class BoxScores:
    """The scores of the boxes of one set of images.

    Attributes:
        iou: Mean intersection over union, with its 95% interval by bootstrap (Efron and Tibshirani 1993).
        share_good: Part of the images with an IoU above 0.5, with its 95% interval.
        error_px: Mean distance of a predicted edge from the true one, in pixels of the original images.
        each: IoU of each image, float64 (n,), 0..1.
    """

    iou: Interval
    share_good: Interval
    error_px: float
    each: NDArray[np.float64]

    def to_payload(self) -> dict[str, Any]:
        """Return everything but the single images as plain numbers, fit for JSON."""
        return {
            "images": len(self.each),
            "iou": asdict(self.iou),
            "share_above_0.5": asdict(self.share_good),
            "error_px": self.error_px,
        }


def compute_box_scores(true: Sequence[Box], predicted: Sequence[Box]) -> BoxScores:
    """Compare boxes, left, top, right, bottom in pixels, image by image; at least one."""
    boxes, others = np.asarray(true, np.float64), np.asarray(predicted, np.float64)
    each = _compute_iou(boxes, others)
    return BoxScores(
        iou=compute_bootstrap_interval(float(each.mean()), lambda counts: each @ counts / len(each), len(each)),
        share_good=compute_wilson_interval(int((each > GOOD_IOU).sum()), len(each)),
        error_px=float(np.abs(boxes - others).mean()),
        each=each,
    )


def _compute_iou(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    overlap = np.clip(np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2]), 0, None)
    shared = overlap.prod(axis=1)
    areas = [(each[:, 2] - each[:, 0]) * (each[:, 3] - each[:, 1]) for each in (boxes, others)]
    iou: NDArray[np.float64] = shared / np.maximum(areas[0] + areas[1] - shared, 1e-12)
    return iou
