"""What a model's outputs are held against: the report, the thresholds and the pictures of its task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tlkit.data.manifest import ImageRecord
from tlkit.inference.scoring import Scores
from tlkit.models.spec import BundleSpec
from tlkit.tasks import find_task
from tlkit.tasks.box_report import BoxReport, answers_of, compute_box_scores
from tlkit.tasks.report import Report


def list_targets(spec: BundleSpec, records: Sequence[ImageRecord]) -> NDArray[Any]:
    """Return what is true of images, in the model's order of names: (n,) classes, (n, labels), or (n, 1) values."""
    return find_task(spec.task).make_targets([record.answer for record in records], spec.class_names)


def compute_task_report(spec: BundleSpec, scores: Scores, *, top_k: int | None = None) -> Report:
    """Hold a model's answers and boxes against the truth.

    Args:
        spec: The model's.
        scores: Of at least one image.
        top_k: See `compute_classification_report`; None where there are no classes.
    """
    task = find_task(spec.task)
    answers = task.compute_report(list_targets(spec, scores.records), scores.answers, spec, top_k=top_k)
    boxed, true, predicted = scores.pair_boxes()
    if not boxed:
        return answers
    class_names = tuple(record.answer for record in boxed) if task.is_exclusive else ()
    return BoxReport(answers, compute_box_scores(true, predicted), class_names)


def choose_task_thresholds(spec: BundleSpec, scores: Scores) -> tuple[float, ...]:
    """Return the thresholds of labels by these images; none where there are no labels."""
    return find_task(spec.task).choose_thresholds(list_targets(spec, scores.records), scores.answers)


def draw_task_pictures(folder: Path, report: Report, spec: BundleSpec, scores: Scores) -> None:
    """Draw the task's pictures into a folder: confusion.png and reliability.png, labels.png, or predicted.png."""
    targets = list_targets(spec, scores.records)
    find_task(spec.task).draw_pictures(folder, answers_of(report), targets, scores.answers, spec)
