"""The sheet of boxes: the best, the middling and the worst, true and predicted on the same picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tlkit.data.images import UnusableImage, read_content, read_picture
from tlkit.data.manifest import ImageRecord
from tlkit.outputs import Box
from tlkit.reports.figures import draw_contact_sheet
from tlkit.reports.figures.palette import RIGHT, WRONG
from tlkit.reports.overlays import draw_box
from tlkit.tasks.box_report import BoxScores

IMAGES_IN_A_ROW = 5
READ_AT_PX = 256


def draw_box_sheet(path: Path, records: Sequence[ImageRecord], predicted: Sequence[Box], scores: BoxScores) -> None:
    """Draw a row each of the best, middling and worst boxes: the true one blue, the predicted one orange.

    Args:
        path: The PNG to write.
        records: Images with a true box.
        predicted: The model's boxes in pixels of the upright pictures.
        scores: Their agreement.
    """
    ranked = np.argsort(-scores.each, kind="stable").tolist()
    num = min(IMAGES_IN_A_ROW, max(1, len(ranked) // 3))
    middle = (len(ranked) - num) // 2
    chosen = ranked if len(ranked) < 3 else [*ranked[:num], *ranked[middle : middle + num], *ranked[-num:]]
    images, captions = [], []
    for index in chosen:
        record, true = records[index], records[index].box
        try:
            picture = read_picture(read_content(record.path), target=(READ_AT_PX, READ_AT_PX))
        except UnusableImage:  # it was read a moment ago; a sheet is not worth a failure
            continue
        for box, colour in ((true, RIGHT), (predicted[index], WRONG)):
            if box is not None:
                left, top, right, bottom = box
                width, height = record.width, record.height
                picture = draw_box(picture, (left / width, top / height, right / width, bottom / height), colour)
        images.append(np.asarray(picture))
        captions.append(f"IoU {scores.each[index]:.2f}  {record.path.name}")
    if images:
        legend = (("true box", RIGHT), ("predicted box", WRONG))
        draw_contact_sheet(path, images, captions, num_columns=num, legend=legend)
