"""Compare the masks that an export draws with the bundle's, cell by cell and place by place."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.exports.paired_scores import Score, compare_scores
from tlkit.segmentation.confusion import compute_iou, compute_mean_of_classes, count_all_confusions


def read_masks(rows: Sequence[Mapping[str, Any]]) -> NDArray[np.uint8]:
    """Return the masks in the rows of an export's reader, uint8 (n, PLACES, PLACES)."""
    masks = []
    for row in rows:
        with Image.open(io.BytesIO(base64.b64decode(row["mask"]))) as picture:
            masks.append(np.asarray(picture))
    return np.stack(masks)


def compare_cells(rows: Sequence[Mapping[str, Any]], cells: Sequence[NDArray[np.float32]]) -> dict[str, Any]:
    """Return the largest and mean difference of a probability.

    Args:
        rows: The reader's rows; the first ones have `cells`.
        cells: Those of the bundle's network for the first images, each float32 (rows, columns, classes + 1).
    """
    pairs = zip(rows, cells, strict=False)
    differences = np.stack([np.abs(np.array(row["cells"], np.float64) - ours) for row, ours in pairs])
    return {"largest_difference": float(differences.max()), "mean_difference": float(differences.mean())}


def compare_masks(
    theirs: NDArray[np.uint8], ours: NDArray[np.uint8], num_classes: int, targets: NDArray[Any] | None
) -> dict[str, Any]:
    """Compare masks with the bundle's, and the scores of both against the true ones, if they are known.

    Args:
        theirs: The export's, uint8 (n, PLACES, PLACES): 0 for background, class + 1, or 255 for what is not seen.
        ours: The bundle's.
        num_classes: Number of classes without background.
        targets: The true ones; 255 for places that do not count.
    """
    mean = float(compute_mean_of_classes(compute_iou(count_all_confusions(ours, theirs, num_classes).sum(axis=0))))
    facts: dict[str, Any] = {
        "same_answer": float((ours == theirs).mean()),
        "mask_iou": 1.0 if np.isnan(mean) else mean,
    }
    if targets is None:
        return facts
    bundle, export = (_score(count_all_confusions(targets, masks, num_classes)) for masks in (ours, theirs))
    if np.isnan([score(np.arange(len(targets))) for score in (bundle, export)]).any():
        return facts
    return facts | compare_scores(bundle, export, len(targets))


def _score(counts: NDArray[np.int64]) -> Score:
    """Return what gives the mIoU of some images; NaN if none of them has a class."""
    return lambda numbers: float(compute_mean_of_classes(compute_iou(counts[numbers].sum(axis=0))))
