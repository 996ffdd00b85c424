"""Score detections: average precision, and what is found, missed and mistaken at the thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.average_precision import mean_of_defined
from tlkit.metrics.detection_counts import (
    CountingScores,
    DetectionCalibration,
    DetectionCounts,
    count_detections,
    measure_counting,
    measure_detection_calibration,
    measure_shown,
    measure_undisturbed,
)
from tlkit.metrics.detection_curves import DetectionCurves, trace_curves
from tlkit.metrics.detection_errors import KINDS, count_errors, find_errors, measure_gains
from tlkit.metrics.detection_intervals import PrecisionIntervals, measure_precision
from tlkit.metrics.detection_matches import ALL_SIZES, SIZES, match_detections
from tlkit.metrics.detection_precision import AP50, MAX_DETECTIONS, DetectionScores, compute_detection_scores
from tlkit.metrics.detection_thresholds import find_shown
from tlkit.metrics.f1 import compute_f1, compute_precision, compute_recall
from tlkit.metrics.intervals import Interval
from tlkit.tasks.report import ScoreFile, ScoreTable, check_finite, format_brief, format_fraction

MISTAKES = dict(
    zip(
        KINDS,
        ("wrong class", "wrong place", "wrong class and place", "second box of an object", "no object", "missed"),
        strict=True,
    )
)
"""How the kinds of mistakes are called."""
_FIGURES = ("average_precision_50", "average_precision_50_95", "precision", "recall", "f1")


@dataclass(frozen=True)
class DetectedClass:
    """The scores of one class; None where undefined.

    Attributes:
        class_name: Its name.
        threshold: The score from which a box is shown, 0..1.
        average_precision_50: AP50; None if no image has an object of the class.
        average_precision_50_95: AP, over the intersections over union 0.5 to 0.95.
        precision: Share of the shown boxes that are right, at an intersection over union of 0.5.
        recall: Share of the objects that are found by them.
        f1: Harmonic mean of both.
        objects: Number of objects, without ignored ones.
        shown: Number of shown boxes.
        right: Number of those that are right.
        intervals: Both average precisions with their intervals.
    """

    class_name: str
    threshold: float
    average_precision_50: float | None
    average_precision_50_95: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    objects: int
    shown: int
    right: int
    intervals: Mapping[str, Interval]


@dataclass(frozen=True, eq=False)
class DetectionReport:
    """The scores of a set of images.

    Attributes:
        num_images: Number of scored images, those without objects included.
        precision: Average precision with its intervals.
        scores: Average precision and recall by class, size and overlap.
        shown: "precision", "recall" and "f1" of the shown boxes, unless they are undefined.
        counts: Objects and shown boxes by image and class.
        counting: How well the number of shown boxes is the number of objects.
        undisturbed: Share of the images without objects on which nothing is shown; None without such images.
        calibration: Of the scores; None without detections.
        classes: The scores of each class.
        num_objects: Number of objects of each size.
        errors: Number of mistakes of each kind, at the thresholds.
        gains: What AP50 would gain without each kind.
        curves: Precision by recall, and F1 by score.
    """

    num_images: int
    precision: PrecisionIntervals
    scores: DetectionScores
    shown: Mapping[str, Interval]
    counts: DetectionCounts
    counting: CountingScores
    undisturbed: Interval | None
    calibration: DetectionCalibration | None
    classes: tuple[DetectedClass, ...]
    num_objects: Mapping[str, int]
    errors: Mapping[str, int]
    gains: Mapping[str, float]
    curves: DetectionCurves

    def headline(self) -> str:
        """Return the scores in a sentence, including the number of classes left out of the mean."""
        at_50, mean = (each.in_words() if each else "-" for each in (self.precision.at_50, self.precision.mean))
        right, shown, objects = self.counts.totals()
        num_absent = sum(not each.objects for each in self.classes)
        absent = f" mAP leaves out {num_absent} of {len(self.classes)} classes without objects." if num_absent else ""
        return (
            f"mAP@.5 {at_50}, mAP@.5:.95 {mean}; at the thresholds {right:,} of {objects:,} objects are found, "
            f"and {shown - right:,} of {shown:,} boxes {'is' if shown - right == 1 else 'are'} wrong, on {self.num_images:,} images.{absent}"
        )

    def facts(self) -> dict[str, str]:
        """Return the key figures by name."""
        facts = {
            "mAP@.5": format_brief(self.precision.at_50),
            "mAP@.5:.95": format_brief(self.precision.mean),
            "precision of the boxes": format_brief(self.shown.get("precision")),
            "objects found": format_brief(self.shown.get("recall")),
            "F1": format_brief(self.shown.get("f1")),
            "error of the count": self.counting.error.in_brief("{:.2f}".format),
            "count right": self.counting.right.in_brief("{:.0%}".format),
        }
        if self.undisturbed:
            facts["images without objects and boxes"] = self.undisturbed.in_brief("{:.0%}".format)
        return {**facts, "objects": f"{self.num_objects[ALL_SIZES]:,}", "images": f"{self.num_images:,}"}

    def score_table(self) -> ScoreTable:
        """Return column titles, one row of strings per class, and the means; "-" for undefined values."""
        columns = ("class", "threshold", "AP50", "AP50-95", "precision", "recall", "F1", "objects")
        rows: list[tuple[str, ...]] = [
            (
                each.class_name,
                format_fraction(each.threshold),
                *(format_fraction(getattr(each, figure)) for figure in _FIGURES),
                f"{each.objects:,}",
            )
            for each in self.classes
        ]
        if len(rows) == 1:
            return columns, rows
        means = [mean_of_defined([getattr(each, figure) for each in self.classes]) for figure in _FIGURES]
        rows.append(("mean of the classes", "-", *map(format_fraction, means), f"{self.num_objects[ALL_SIZES]:,}"))
        return columns, rows

    def more_tables(self) -> list[tuple[str, ScoreTable]]:
        """Return the scores by size of the objects; "-" for sizes without objects."""
        ranges = {"small": "small, up to 32² px", "medium": "medium, 32² to 96² px", "large": "large, from 96² px"}
        rows: list[tuple[str, ...]] = [
            (
                title,
                format_fraction(self.scores.mean_precision(size=size, overlap=AP50)),
                format_fraction(self.scores.mean_precision(size=size)),
                format_fraction(self.scores.mean_recall(size=size)),
                f"{self.num_objects[size]:,}",
            )
            for size, title in ranges.items()
        ]
        return [("Scores by size", (("size", "AP50", "AP50-95", "average recall", "objects"), rows))]

    def mistakes_table(self) -> ScoreTable | None:
        """Return the kinds of mistakes, the most frequent first; None if there are none."""
        kinds = sorted(
            (kind for kind in KINDS if self.errors[kind] or self.gains[kind] > 0),
            key=lambda kind: (-self.errors[kind], -self.gains[kind]),
        )
        rows: list[tuple[str, ...]] = [
            (MISTAKES[kind], f"{self.errors[kind]:,}", f"{self.gains[kind]:+z.3f}") for kind in kinds
        ]
        return (("mistake", "number", "AP50 without it"), rows) if rows else None

    def details(self) -> dict[str, Any]:
        """Return precision by recall."""
        return {"precision_by_recall": self.curves.to_payload([each.class_name for each in self.classes])}

    def score_file(self) -> ScoreFile:
        """Return the scores of each class."""
        names = ("class_name", "threshold", *_FIGURES, "objects", "shown", "right")
        bounds = [f"{figure}_{end}" for figure in _FIGURES[:2] for end in ("low", "high")]
        rows = [
            [
                *(getattr(each, name) for name in names),
                *(getattr(each.intervals.get(figure), end, None) for figure in _FIGURES[:2] for end in ("low", "high")),
            ]
            for each in self.classes
        ]
        return "per_class.csv", (*names, *bounds), rows

    def to_payload(self) -> dict[str, Any]:
        """Return the scores as JSON values."""
        right, shown, objects = self.counts.totals()
        return {
            "images": self.num_images,
            "map_50": _to_json(self.precision.at_50),
            "map_75": _to_json(self.precision.at_75),
            "map": _to_json(self.precision.mean),
            "average_recall": {str(best): self.scores.mean_recall_of_best(best) for best in MAX_DETECTIONS},
            "sizes": {
                size: {
                    "map_50": self.scores.mean_precision(size=size, overlap=AP50),
                    "map": self.scores.mean_precision(size=size),
                    "average_recall": self.scores.mean_recall(size=size),
                    "objects": self.num_objects[size],
                }
                for size in self.scores.sizes
                if size != ALL_SIZES
            },
            **{name: _to_json(self.shown.get(name)) for name in ("precision", "recall", "f1")},
            "objects": objects,
            "boxes_shown": shown,
            "boxes_right": right,
            "count_error": asdict(self.counting.error),
            "count_right": asdict(self.counting.right),
            "count_excess": asdict(self.counting.excess),
            "images_without_objects_and_boxes": _to_json(self.undisturbed),
            "calibration_error": _to_json(self.calibration.error if self.calibration else None),
            "kinds_of_mistakes": {
                MISTAKES[kind]: {"number": self.errors[kind], "map_50_gained_without": self.gains[kind]}
                for kind in KINDS
            },
            "classes": [asdict(each) for each in self.classes],
            "classes_without_objects": [each.class_name for each in self.classes if not each.objects],
        }


def compute_detection_report(
    targets: NDArray[np.floating[Any]],
    detections: NDArray[np.floating[Any]],
    class_names: Sequence[str],
    thresholds: Sequence[float],
) -> DetectionReport:
    """Score detections.

    Args:
        targets: Float (n, m, 6), n >= 1: left, top, right, bottom in pixels of the upright picture, class + 1 (0 for
            padding), and 1 if the object is ignored.
        detections: Float (n, k, 6): left, top, right, bottom likewise, score 0..1 (0 for padding), and class.
        class_names: The name of each class.
        thresholds: The score from which a box is shown, of each class, 0..1.

    Raises:
        NumericsError: A detection is not finite.
        ValueError: The shapes do not match, or there are no rows.
    """
    if not len(targets) or len(class_names) != len(thresholds):
        raise ValueError(
            f"expected at least one image, and as many thresholds as classes. Received: {len(targets)} images, "
            f"{len(class_names)} classes, {len(thresholds)} thresholds"
        )
    check_finite(detections, kind="boxes and scores")
    matches = match_detections(targets, detections, len(class_names))
    is_shown = find_shown(matches.detected.scores, matches.detected.labels, thresholds)
    scores, errors = compute_detection_scores(matches), find_errors(matches)
    precision = measure_precision(matches, scores)
    counts = count_detections(matches, is_shown)
    return DetectionReport(
        num_images=len(targets),
        precision=precision,
        scores=scores,
        shown=measure_shown(counts),
        counts=counts,
        counting=measure_counting(counts),
        undisturbed=measure_undisturbed(matches, counts),
        calibration=measure_detection_calibration(matches),
        classes=_score_classes(counts, scores, precision, class_names, thresholds),
        num_objects={size: int(matches.count_objects(size).sum()) for size in SIZES},
        errors=count_errors(matches, errors, is_shown),
        gains=measure_gains(matches, errors),
        curves=trace_curves(matches),
    )


def _score_classes(
    counts: DetectionCounts,
    scores: DetectionScores,
    precision: PrecisionIntervals,
    class_names: Sequence[str],
    thresholds: Sequence[float],
) -> tuple[DetectedClass, ...]:
    classes = []
    for label, (name, threshold) in enumerate(zip(class_names, thresholds, strict=True)):
        right, shown, objects = counts.of_class(label)
        intervals = zip(_FIGURES[:2], (precision.classes_at_50[label], precision.classes[label]), strict=True)
        classes.append(
            DetectedClass(
                class_name=name,
                threshold=float(str(np.float32(threshold))),
                average_precision_50=scores.class_precision(label, overlap=AP50),
                average_precision_50_95=scores.class_precision(label),
                precision=compute_precision(right, shown),
                recall=compute_recall(right, objects),
                f1=compute_f1(right, shown, objects),
                objects=objects,
                shown=shown,
                right=right,
                intervals={figure: interval for figure, interval in intervals if interval},
            )
        )
    return tuple(classes)


def _to_json(interval: Interval | None) -> dict[str, float] | None:
    return asdict(interval) if interval else None
