"""A sheet of pictures with their true and found objects, from the best to the worst."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.data.images import UnusableImage, read_content, read_picture
from tlkit.inference.scoring import Scores
from tlkit.inference.task_report import IMAGES_IN_A_ROW, READ_AT_PX, list_targets
from tlkit.models.spec import BundleSpec
from tlkit.reports.figures import draw_contact_sheet
from tlkit.reports.frames import Colour, choose_colour, draw_marks
from tlkit.reports.lettering import one_line, shorten_middle
from tlkit.tasks import find_task
from tlkit.tasks.detection_verdicts import DetectionVerdicts

MAX_CLASSES_NAMED = 6
LONGEST_NAME = 16
GREY = (90, 100, 112)


def draw_object_sheet(path: Path, spec: BundleSpec, scores: Scores) -> None:
    """Draw one row each of the best, middling and worst images as a PNG: shown boxes solid, true ones dashed.

    Images without objects and boxes are left out. For a model that finds no objects there is nothing to draw.

    Args:
        path: The PNG to write.
        spec: The model's.
        scores: Of at least one image.
    """
    task = find_task(spec.task)
    if not task.lists_objects:
        return
    verdicts = task.judge(list_targets(spec, scores.records), scores.answers, spec)
    assert isinstance(verdicts, DetectionVerdicts)
    pictures, captions = [], []
    rows = _choose_rows(verdicts, len(scores.records))
    for row in rows:
        record = scores.records[row]
        try:
            picture = read_picture(read_content(record.path), target=(READ_AT_PX, READ_AT_PX))
        except UnusableImage:  # it was readable a moment ago
            continue
        picture.thumbnail((READ_AT_PX, READ_AT_PX), Image.Resampling.LANCZOS)
        marks = [dataclasses.replace(mark, name="") for mark in verdicts.list_marks(row, (record.height, record.width))]
        pictures.append(np.asarray(draw_marks(picture, marks)))
        captions.append(f"{verdicts.describe(row).badge}  {record.path.name}")
    if pictures:
        num_columns = min(IMAGES_IN_A_ROW, max(1, len(rows) // 3))
        draw_contact_sheet(path, pictures, captions, num_columns=num_columns, legend=_list_legend(spec))


def _choose_rows(verdicts: DetectionVerdicts, num_images: int) -> list[int]:
    """Return the best, then the middling, then the worst images."""
    some = [row for row in range(num_images) if verdicts.list_true(row) or verdicts.list_shown(row)]
    ranked: NDArray[np.intp] = verdicts.rank(np.array(some, np.intp))[::-1]
    num = min(IMAGES_IN_A_ROW, max(1, len(ranked) // 3))
    middle = (len(ranked) - num) // 2
    order = ranked.tolist()
    return order if len(order) < 3 else [*order[:num], *order[middle : middle + num], *order[-num:]]


def _list_legend(spec: BundleSpec) -> list[tuple[str, Colour]]:
    named = [
        (shorten_middle(one_line(name), LONGEST_NAME), choose_colour(label))
        for label, name in enumerate(spec.class_names[:MAX_CLASSES_NAMED])
    ]
    return [*named, ("solid: shown, dashed: true", GREY)]
