"""The objects that a detector finds, as predictions, rows and captions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.detection_thresholds import apply_detection_thresholds
from tlkit.reports.captions import Caption, CaptionLine
from tlkit.reports.frames import choose_colour
from tlkit.reports.row_file import SINGLE, TEXT, WHOLE
from tlkit.tasks.predictions import BOX_COLUMNS, FoundObject, Prediction, shorten_float32

OBJECT_COLUMNS: Mapping[str, str] = {
    "class_name": TEXT,
    "score": SINGLE,
    **dict.fromkeys(BOX_COLUMNS, SINGLE),
    "width": WHOLE,
    "height": WHOLE,
}
"""The columns of an object: its class and score, its corners, and the size of its image, in pixels, each with its kind."""

NO_OBJECTS = "no objects"
BACKGROUND = "background"
"""An image without objects."""


def list_found_objects(
    detections: NDArray[np.float32], class_names: Sequence[str], thresholds: Sequence[float]
) -> tuple[FoundObject, ...]:
    """Return the objects of an image whose scores are at or above the thresholds of their classes, best first.

    Args:
        detections: left, top, right, bottom in pixels of the upright image, score 0..1 and class index, float32 (n, 6),
            best first. Rows with score 0 are padding.
        class_names: Name of each class.
        thresholds: Lowest score of each class, 0..1.
    """
    return tuple(
        FoundObject(class_names[int(row[5])], shorten_float32(row[4]), _read_box(row))
        for row in detections[apply_detection_thresholds(detections, thresholds)]
    )


def _read_box(row: NDArray[np.float32]) -> tuple[float, float, float, float]:
    left, top, right, bottom = map(shorten_float32, row[:4])
    return left, top, right, bottom


def list_object_rows(prediction: Prediction) -> list[dict[str, Any]]:
    """Return the cells of each object by column; a single row without an object for an image that has none."""
    size: dict[str, Any] = {}
    if prediction.upright_size is not None:
        height, width = prediction.upright_size
        size = {"width": width, "height": height}
    return [
        {
            "class_name": each.class_name,
            "score": each.score,
            **dict(zip(BOX_COLUMNS, (round(edge, 2) for edge in each.box), strict=True)),
            **size,
        }
        for each in prediction.objects or ()
    ] or [size]


def caption_objects(prediction: Prediction, class_names: Sequence[str]) -> Caption:
    """Return a line for each class that was found, with its colour and the number of objects, most frequent first."""
    counts = Counter(each.class_name for each in prediction.objects or ())
    lines = [
        CaptionLine(name, f"{count:,}", is_bright=True, has_dot=True, colour=choose_colour(class_names.index(name)))
        for name, count in counts.most_common()
    ]
    return lines or [CaptionLine(NO_OBJECTS, is_bright=True)]
