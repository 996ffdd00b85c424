"""Compare a model's outputs with the targets: the report, thresholds and figures of its task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.data.images import UnusableImage, read_content, read_picture
from tlkit.data.manifest import ImageRecord
from tlkit.inference.scoring import Scores
from tlkit.models.spec import BundleSpec
from tlkit.reports.figures import draw_contact_sheet
from tlkit.reports.figures.canvas import RIGHT, WRONG
from tlkit.reports.frames import draw_box
from tlkit.tasks import find_task
from tlkit.tasks.box_report import BoxReport, compute_box_scores
from tlkit.tasks.report import Report

IMAGES_IN_A_ROW = 5
READ_AT_PX = 256


def draw_box_sheet(path: Path, report: Report, scores: Scores) -> None:
    """Draw one row each of the best, middling and worst boxes as a PNG: the true box blue, the predicted one orange.

    Without boxes there is nothing to draw.
    """
    if not isinstance(report, BoxReport):
        return
    records, _, predicted = scores.pair_boxes()
    agreement = report.boxes.each
    ranked = np.argsort(-agreement, kind="stable").tolist()
    num = min(IMAGES_IN_A_ROW, max(1, len(ranked) // 3))
    middle = (len(ranked) - num) // 2
    chosen = ranked if len(ranked) < 3 else [*ranked[:num], *ranked[middle : middle + num], *ranked[-num:]]
    images, captions = [], []
    for index in chosen:
        record, true = records[index], records[index].box
        try:
            picture = read_picture(read_content(record.path), target=(READ_AT_PX, READ_AT_PX))
        except UnusableImage:  # it was readable a moment ago
            continue
        for box, colour in ((true, RIGHT), (predicted[index], WRONG)):
            if box is not None:
                left, top, right, bottom = box
                width, height = record.width, record.height
                picture = draw_box(picture, (left / width, top / height, right / width, bottom / height), colour)
        images.append(np.asarray(picture))
        captions.append(f"IoU {agreement[index]:.2f}  {record.path.name}")
    if images:
        legend = (("true box", RIGHT), ("predicted box", WRONG))
        draw_contact_sheet(path, images, captions, num_columns=num, legend=legend)


def list_targets(spec: BundleSpec, records: Sequence[ImageRecord]) -> NDArray[Any]:
    """Return the targets of images, in the model's order of names: (n,) classes, (n, labels), or (n, 1) values."""
    return find_task(spec.task).make_targets([record.answer for record in records], spec.class_names)


def compute_task_report(spec: BundleSpec, scores: Scores, *, top_k: int | None = None) -> Report:
    """Compare a model's predictions and boxes with the targets.

    Args:
        spec: The model's description.
        scores: Scores of at least one image.
        top_k: See `compute_classification_report`; None without classes.
    """
    task = find_task(spec.task)
    answers = task.compute_report(list_targets(spec, scores.records), scores.answers, spec, top_k=top_k)
    boxed, true, predicted = scores.pair_boxes()
    if not boxed:
        return answers
    class_names = tuple(record.answer for record in boxed) if task.is_exclusive else ()
    return BoxReport(answers, compute_box_scores(true, predicted), class_names)


def choose_task_thresholds(spec: BundleSpec, scores: Scores) -> tuple[float, ...]:
    """Return thresholds of labels, or of objects by class, chosen on these images; empty without either."""
    targets = list_targets(spec, scores.records)
    return find_task(spec.task).choose_thresholds(targets, scores.answers, len(spec.class_names))


def draw_task_pictures(folder: Path, report: Report, spec: BundleSpec, scores: Scores) -> None:
    """Draw the figures of the task into a folder: confusion.png and reliability.png, labels.png, or predicted.png."""
    targets = list_targets(spec, scores.records)
    answers = report.answers if isinstance(report, BoxReport) else report
    find_task(spec.task).draw_pictures(folder, answers, targets, scores.answers, spec)
