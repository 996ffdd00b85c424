"""Score masks: IoU and Dice of each class, and what is taken for what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.intervals import Interval
from tlkit.metrics.segmentation import Agreement, ClassAgreement, measure_agreement
from tlkit.segmentation.confusion import count_all_confusions
from tlkit.tasks.report import ScoreFile, ScoreTable, format_brief, format_fraction

BACKGROUND_NAME = "background"
_COLUMNS = ("iou", "dice", "precision", "recall")


@dataclass(frozen=True, eq=False)
class SegmentationReport:
    """The scores of a set of images.

    Attributes:
        num_images: Number of scored images, those without classes included.
        class_names: Name of each class, without background.
        agreement: The scores.
        confusion: int64 (classes + 1, classes + 1): places by (true class, predicted class), background first.
    """

    num_images: int
    class_names: tuple[str, ...]
    agreement: Agreement
    confusion: NDArray[np.int64]

    @property
    def all_names(self) -> tuple[str, ...]:
        """Background and the classes."""
        return BACKGROUND_NAME, *self.class_names

    def headline(self) -> str:
        """Return the scores in a sentence, including the number of classes left out of the means."""
        found = self.agreement
        num_absent = sum(each.iou is None for each in found.classes[1:])
        absent = (
            f" Means leave out {num_absent} of {len(self.class_names)} classes, which no mask has."
            if num_absent
            else ""
        )
        return (
            f"mIoU {_in_words(found.miou)}, Dice {_in_words(found.dice)}, {_in_words(found.pixel_accuracy)} of the area "
            f"right, on {self.num_images:,} images.{absent}"
        )

    def facts(self) -> dict[str, str]:
        """Return the key figures by name."""
        found = self.agreement
        return {
            "mIoU": format_brief(found.miou),
            "mIoU with background": format_brief(found.miou_with_background),
            "Dice": format_brief(found.dice),
            "area right": format_brief(found.pixel_accuracy),
            "images": f"{self.num_images:,}",
        }

    def score_table(self) -> ScoreTable:
        """Return column titles and one row of strings per class, background last; "-" for undefined values."""
        rows: list[tuple[str, ...]] = []
        for place in (*range(1, len(self.all_names)), 0):
            each = self.agreement.classes[place]
            scores = [each.iou and each.iou.value, each.dice and each.dice.value, each.precision, each.recall]
            rows.append((self.all_names[place], *map(format_fraction, scores), f"{each.num_images:,}"))
        return ("class", "IoU", "Dice", "precision", "recall", "images"), rows

    def more_tables(self) -> list[tuple[str, ScoreTable]]:
        """Return none."""
        return []

    def mistakes_table(self) -> ScoreTable | None:
        """Return which classes are taken for others, by the share of their area; None if none is."""
        shares = self.confusion / np.maximum(self.confusion.sum(axis=1, keepdims=True), 1)
        np.fill_diagonal(shares, 0.0)
        order = np.argsort(-shares, axis=None, kind="stable")
        pairs = [divmod(int(each), len(shares)) for each in order if shares.flat[each] > 0]
        rows: list[tuple[str, ...]] = [
            (self.all_names[true], self.all_names[given], f"{shares[true, given]:.1%}") for true, given in pairs
        ]
        return (("class", "predicted as", "share of its area"), rows) if rows else None

    def details(self) -> dict[str, Any]:
        """Return the counts of places."""
        return {"confusion": self.confusion.tolist()}

    def score_file(self) -> ScoreFile:
        """Return the scores of each class."""
        rows: list[list[Any]] = []
        for name, each in zip(self.all_names, self.agreement.classes, strict=True):
            ends = [
                getattr(interval, end, None) for interval in (each.iou, each.dice) for end in ("value", "low", "high")
            ]
            rows.append([name, *ends, each.precision, each.recall, each.num_images])
        bounds = [f"{figure}{end}" for figure in _COLUMNS[:2] for end in ("", "_low", "_high")]
        return "per_class.csv", ("class_name", *bounds, *_COLUMNS[2:], "images"), rows

    def to_payload(self) -> dict[str, Any]:
        """Return the scores as JSON values."""
        found = self.agreement
        return {
            "images": self.num_images,
            "miou": _to_json(found.miou),
            "miou_with_background": _to_json(found.miou_with_background),
            "dice": _to_json(found.dice),
            "area_right": _to_json(found.pixel_accuracy),
            "classes": [
                {"class_name": name, **_describe_class(each)}
                for name, each in zip(self.all_names, found.classes, strict=True)
            ],
        }


def compute_segmentation_report(
    targets: NDArray[np.uint8], masks: NDArray[np.uint8], class_names: Sequence[str]
) -> SegmentationReport:
    """Score masks.

    Args:
        targets: uint8 (n, height, width), n >= 1: 0 for background, class + 1, or 255 for places to ignore.
        masks: uint8 likewise; 255 where the model saw nothing.
        class_names: The name of each class.
    """
    counts = count_all_confusions(targets, masks, len(class_names))
    return SegmentationReport(len(targets), tuple(class_names), measure_agreement(counts), counts.sum(axis=0))


def _describe_class(each: ClassAgreement) -> dict[str, Any]:
    return {
        "iou": _to_json(each.iou),
        "dice": _to_json(each.dice),
        "precision": each.precision,
        "recall": each.recall,
        "images": each.num_images,
    }


def _in_words(interval: Interval | None) -> str:
    return interval.in_words() if interval else "-"


def _to_json(interval: Interval | None) -> dict[str, float] | None:
    return asdict(interval) if interval else None
