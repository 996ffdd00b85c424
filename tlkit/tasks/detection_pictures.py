"""The figures of a report on detections."""

from __future__ import annotations

from pathlib import Path

from tlkit.metrics.detection_errors import KINDS
from tlkit.metrics.detection_matches import ALL_SIZES
from tlkit.metrics.detection_precision import AP50
from tlkit.metrics.intervals import compute_wilson_interval
from tlkit.reports.figures import (
    draw_detection_f1,
    draw_detection_mistakes,
    draw_detection_sizes,
    draw_precision_recall,
    draw_reliability,
)
from tlkit.tasks.detection_report import MISTAKES, DetectionReport

PICTURES = ("precision-recall.png", "f1.png", "detection-mistakes.png", "sizes.png", "reliability.png")
"""In the order in which a page shows them."""


def draw_detection_pictures(folder: Path, report: DetectionReport) -> None:
    """Draw the figures of `PICTURES` into a folder.

    Without objects, only the mistakes and the reliability are drawn; without detections, no reliability.

    Args:
        folder: An existing folder.
        report: The scores.
    """
    curves, classes = report.curves, report.classes
    names = [each.class_name for each in classes]
    if report.num_objects[ALL_SIZES]:
        areas = [each.average_precision_50 for each in classes]
        draw_precision_recall(folder / PICTURES[0], names, curves.recalls, curves.precision, areas)
        chosen = [(each.threshold, each.f1) for each in classes]
        draw_detection_f1(folder / PICTURES[1], names, curves.thresholds, curves.f1, chosen)
        sizes = [
            (
                size,
                report.scores.mean_precision(size=size, overlap=AP50),
                report.scores.mean_precision(size=size),
                report.num_objects[size],
            )
            for size in report.scores.sizes
            if size != ALL_SIZES
        ]
        draw_detection_sizes(folder / PICTURES[3], sizes)
    draw_detection_mistakes(
        folder / PICTURES[2],
        [MISTAKES[kind] for kind in KINDS],
        [report.errors[kind] for kind in KINDS],
        [report.gains[kind] for kind in KINDS],
    )
    if report.calibration:
        rows = []
        for each in report.calibration.calibration.bins:
            interval = compute_wilson_interval(round(each.accuracy * each.num_images), each.num_images)
            rows.append((each.confidence, interval.value, interval.low, interval.high, each.num_images))
        draw_reliability(
            folder / PICTURES[4],
            rows,
            error=report.calibration.error.value,
            confidence="score of a box",
            accuracy="share of the boxes that are right",
            noun="boxes",
        )
