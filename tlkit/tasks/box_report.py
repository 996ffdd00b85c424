"""Score predicted boxes, and report on models that predict boxes too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.average_precision import mean_of_defined
from tlkit.metrics.intervals import Interval, compute_mean_interval, compute_wilson_interval
from tlkit.outputs import Box
from tlkit.tasks.report import Report, ScoreFile, ScoreTable, format_fraction

GOOD_IOU = 0.5


@dataclass(frozen=True, eq=False)
class BoxScores:
    """The box scores of a set of images.

    Attributes:
        iou: Mean intersection over union, with its 95% interval by bootstrap (Efron and Tibshirani 1993).
        share_good: Fraction of the images with an IoU above 0.5, with its 95% interval.
        error_px: Mean distance of a predicted edge from the true one, in pixels of the original images, likewise.
        each: IoU of each image, float64 (n,), 0..1.
    """

    iou: Interval
    share_good: Interval
    error_px: Interval
    each: NDArray[np.float64]

    def headline(self) -> str:
        """Return the scores in a sentence, with their 95% interval."""
        return (
            f"Boxes: mean IoU {self.iou.in_words()}, above {GOOD_IOU:g} on {self.share_good.value:.0%} of "
            f"{len(self.each):,} images, edges {self.error_px.value:.1f} px off on average."
        )

    def facts(self) -> dict[str, str]:
        """Return the key figures by name."""
        return {
            "mean IoU of the boxes": self.iou.in_brief(),
            f"IoU above {GOOD_IOU:g}": self.share_good.in_brief("{:.0%}".format),
        }

    def to_payload(self) -> dict[str, Any]:
        """Return everything except the scores of single images, as JSON values."""
        return {
            "images": len(self.each),
            "iou": asdict(self.iou),
            "share_above_0.5": asdict(self.share_good),
            "error_px": self.error_px.value,
            "intervals": {"error_px": asdict(self.error_px)},
        }


@dataclass(frozen=True, eq=False)
class BoxReport:
    """The scores of predictions and boxes.

    Attributes:
        answers: The report of the predictions without boxes.
        boxes: The box scores of the images that have a true box.
        class_names: The true class of each of these images; empty without classes.
    """

    answers: Report
    boxes: BoxScores
    class_names: tuple[str, ...] = ()

    @property
    def num_images(self) -> int:
        """Number of scored images, at least 1."""
        return self.answers.num_images

    def headline(self) -> str:
        """Return the scores of answers and boxes."""
        return f"{self.answers.headline()} {self.boxes.headline()}"

    def facts(self) -> dict[str, str]:
        """Return the key figures by name."""
        return {**self.boxes.facts(), **self.answers.facts()}

    def score_table(self) -> ScoreTable:
        """Return the scores per class, with the mean IoU of their boxes, or per label or quarter."""
        columns, rows = self.answers.score_table()
        if not self.class_names:
            return columns, rows
        each: dict[str, list[float]] = {}
        for name, iou in zip(self.class_names, self.boxes.each, strict=True):
            each.setdefault(name, []).append(float(iou))
        *classes, last = rows
        means = [mean_of_defined(each.get(row[0], [])) for row in classes] + [self.boxes.iou.value]
        return (*columns, "IoU"), [
            (*row, format_fraction(mean)) for row, mean in zip([*classes, last], means, strict=True)
        ]

    def more_tables(self) -> list[tuple[str, ScoreTable]]:
        """Return those of the predictions."""
        return self.answers.more_tables()

    def to_payload(self) -> dict[str, Any]:
        """Return the scores as JSON values."""
        return {**self.answers.to_payload(), "boxes": self.boxes.to_payload()}

    def details(self) -> dict[str, Any]:
        """Return the details of the predictions."""
        return self.answers.details()

    def mistakes_table(self) -> ScoreTable | None:
        """Return the confused classes."""
        return self.answers.mistakes_table()

    def score_file(self) -> ScoreFile | None:
        """Return the scores of each class or label."""
        return self.answers.score_file()


def compute_box_scores(true: Sequence[Box], predicted: Sequence[Box]) -> BoxScores:
    """Compare boxes, left, top, right, bottom in pixels, image by image; at least one."""
    boxes, others = np.asarray(true, np.float64), np.asarray(predicted, np.float64)
    each = measure_iou(boxes, others)
    return BoxScores(
        iou=compute_mean_interval(each),
        share_good=compute_wilson_interval(int((each > GOOD_IOU).sum()), len(each)),
        error_px=compute_mean_interval(np.abs(boxes - others).mean(axis=1)),
        each=each,
    )


def measure_iou(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoU of each pair of boxes (left, top, right, bottom), float64 (n, 4): float64 (n,), 0..1."""
    overlap = np.clip(np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2]), 0, None)
    shared = overlap.prod(axis=1)
    areas = [(each[:, 2] - each[:, 0]) * (each[:, 3] - each[:, 1]) for each in (boxes, others)]
    iou: NDArray[np.float64] = shared / np.maximum(areas[0] + areas[1] - shared, 1e-12)
    return iou
