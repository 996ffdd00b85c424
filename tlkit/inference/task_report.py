"""What each task is measured by: the report and the picture that go with its answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.data.answers import make_targets
from tlkit.data.manifest import ImageRecord
from tlkit.inference.scoring import Scores
from tlkit.metrics.intervals import compute_wilson_interval
from tlkit.models import BundleSpec
from tlkit.outputs import CLASSIFICATION, MULTILABEL
from tlkit.reports.figures import draw_confusion_matrix, draw_labels, draw_predicted, draw_reliability
from tlkit.tasks.boxes import BoxReport, answers_of, compute_box_scores
from tlkit.tasks.classification import ClassificationReport, compute_classification_report
from tlkit.tasks.multilabel import MultilabelReport, compute_multilabel_report
from tlkit.tasks.regression import compute_regression_report
from tlkit.tasks.report import Report
from tlkit.tasks.thresholds import choose_thresholds


def list_targets(spec: BundleSpec, records: Sequence[ImageRecord]) -> NDArray[Any]:
    """Return what is true of images, in the model's order of names: (n,) classes, (n, labels), or (n, 1) values."""
    return make_targets(spec.task, [record.answer for record in records], spec.class_names)


def compute_task_report(spec: BundleSpec, scores: Scores, *, top_k: int | None = None) -> Report:
    """Hold a model's answers and boxes against the truth.

    Args:
        spec: The model's.
        scores: Of at least one image.
        top_k: See `compute_classification_report`; None where there are no classes.
    """
    answers = _compute_answer_report(spec, scores, top_k)
    boxed, true, predicted = scores.pair_boxes()
    if not boxed:
        return answers
    class_names = tuple(record.answer for record in boxed) if spec.task == CLASSIFICATION else ()
    return BoxReport(answers, compute_box_scores(true, predicted), class_names)


def _compute_answer_report(spec: BundleSpec, scores: Scores, top_k: int | None) -> Report:
    targets = list_targets(spec, scores.records)
    if spec.target is not None:
        return compute_regression_report(targets[:, 0], scores.answers[:, 0], spec.target.name)
    if spec.task == MULTILABEL:
        return compute_multilabel_report(targets, scores.answers, spec.class_names, np.array(spec.thresholds))
    return compute_classification_report(targets.astype(np.int64), scores.answers, spec.class_names, top_k=top_k)


def choose_task_thresholds(spec: BundleSpec, scores: Scores) -> tuple[float, ...]:
    """Return the thresholds of labels by these images; none where there are no labels."""
    if spec.task != MULTILABEL:
        return ()
    chosen = choose_thresholds(list_targets(spec, scores.records), scores.answers)
    return tuple(float(str(threshold)) for threshold in chosen)


def _interval_of(accuracy: float, num_images: int) -> tuple[float, float, float]:
    interval = compute_wilson_interval(round(accuracy * num_images), num_images)
    return interval.value, interval.low, interval.high


def draw_task_pictures(folder: Path, report: Report, spec: BundleSpec, scores: Scores) -> None:
    """Draw the task's pictures into a folder: confusion.png and reliability.png, labels.png, or predicted.png."""
    report = answers_of(report)
    if isinstance(report, ClassificationReport):
        draw_confusion_matrix(folder / "confusion.png", report.confusion, spec.class_names)
        rows = [
            (each.confidence, *_interval_of(each.accuracy, each.num_images), each.num_images)
            for each in report.calibration.bins
        ]
        draw_reliability(folder / "reliability.png", rows, error=report.calibration.error)
    elif isinstance(report, MultilabelReport):
        draw_labels(
            folder / "labels.png",
            spec.class_names,
            [score.average_precision for score in report.labels],
            [score.support for score in report.labels],
            [score.precision for score in report.labels],
            [score.recall for score in report.labels],
        )
    elif spec.target is not None:
        values = list_targets(spec, scores.records)[:, 0]
        draw_predicted(folder / "predicted.png", values, scores.answers[:, 0], spec.target.name)
