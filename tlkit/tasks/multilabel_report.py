"""Score predicted label probabilities, with any number of labels per image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.average_precision import (
    compute_average_precisions,
    mean_of_defined,
    measure_mean_average_precision,
)
from tlkit.metrics.f1 import compute_f1, compute_precision, compute_recall, measure_macro_f1, measure_micro_f1
from tlkit.metrics.intervals import Interval, compute_wilson_interval
from tlkit.tasks.report import ScoreFile, ScoreTable, check_finite, format_brief, format_fraction
from tlkit.tasks.thresholds import apply_thresholds


@dataclass(frozen=True)
class LabelScore:
    """The scores of one label.

    Attributes:
        label_name: Its name.
        threshold: The decision threshold, 0..1.
        average_precision: Independent of the threshold; None if no image has the label.
        precision: None if no image was given the label.
        recall: None if no image has the label.
        f1: Harmonic mean of precision and recall; None if both are None.
        support: Number of images with the label.
        claimed: Number of images that were given it.
    """

    label_name: str
    threshold: float
    average_precision: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    claimed: int


@dataclass(frozen=True)
class MultilabelReport:
    """The scores of a set of images.

    Attributes:
        num_images: Number of scored images.
        mean_average_precision: Over the labels that any image has, with its bootstrap interval; None if no image has a
            label.
        micro_f1: F1 over all pairs of image and label; None if no label occurs or is predicted.
        macro_f1: Mean F1 of the labels that occur or are predicted; None as for `micro_f1`.
        intervals: Both with their intervals, unless they are None.
        all_right: Fraction of the images with all labels right, with its interval.
        labels: The scores of each label.
    """

    num_images: int
    mean_average_precision: Interval | None
    micro_f1: float | None
    macro_f1: float | None
    intervals: Mapping[str, Interval]
    all_right: Interval
    labels: tuple[LabelScore, ...]

    def headline(self) -> str:
        """Return the scores in a sentence, including the number of labels left out of the mean."""
        mean = self.mean_average_precision.in_words() if self.mean_average_precision else "-"
        num_absent = sum(not score.support for score in self.labels)
        absent = f" mAP leaves out {num_absent} of {len(self.labels)} labels that no image has." if num_absent else ""
        return (
            f"mAP {mean}, micro-F1 {format_fraction(self.micro_f1)}, macro-F1 {format_fraction(self.macro_f1)}, "
            f"all labels right {self.all_right.in_words()}, on {self.num_images:,} images.{absent}"
        )

    def facts(self) -> dict[str, str]:
        """Return the key figures by name."""
        return {
            "mAP": format_brief(self.mean_average_precision),
            "micro-F1": format_brief(self.intervals.get("micro_f1")),
            "macro-F1": format_brief(self.intervals.get("macro_f1")),
            "all labels right": self.all_right.in_brief(),
            "images": f"{self.num_images:,}",
        }

    def score_table(self) -> ScoreTable:
        """Return column titles, one row of strings per label, and the means; "-" for undefined values."""
        columns = ("label", "threshold", "AP", "precision", "recall", "F1", "images")
        figures = ("average_precision", "precision", "recall", "f1")
        rows: list[tuple[str, ...]] = [
            (
                score.label_name,
                format_fraction(score.threshold),
                *(format_fraction(getattr(score, figure)) for figure in figures),
                f"{score.support:,}",
            )
            for score in self.labels
        ]
        means = [mean_of_defined([getattr(score, figure) for score in self.labels]) for figure in figures]
        rows.append(("mean of the labels", "-", *map(format_fraction, means), f"{self.num_images:,}"))
        return columns, rows

    def more_tables(self) -> list[tuple[str, ScoreTable]]:
        """Return none."""
        return []

    def details(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def mistakes_table(self) -> None:
        """Return None: labels are not exclusive."""

    def score_file(self) -> ScoreFile:
        """Return the scores of each label."""
        columns = ("label_name", "threshold", "average_precision", "precision", "recall", "f1", "support")
        return "per_label.csv", columns, [[getattr(score, column) for column in columns] for score in self.labels]

    def to_payload(self) -> dict[str, Any]:
        """Return the scores as JSON values."""
        mean = self.mean_average_precision
        return {
            "images": self.num_images,
            "mean_average_precision": asdict(mean) if mean else None,
            "micro_f1": self.micro_f1,
            "macro_f1": self.macro_f1,
            "intervals": {key: asdict(interval) for key, interval in self.intervals.items()},
            "all_labels_right": asdict(self.all_right),
            "labels": [asdict(score) for score in self.labels],
            "labels_without_images": [score.label_name for score in self.labels if not score.support],
        }


def compute_multilabel_report(
    labels: NDArray[np.generic],
    probabilities: NDArray[np.floating[Any]],
    label_names: Sequence[str],
    thresholds: NDArray[np.floating[Any]],
) -> MultilabelReport:
    """Score predictions.

    Args:
        labels: (n, labels) of 0 and 1, n >= 1: the true labels.
        probabilities: Float (n, labels), 0..1.
        label_names: The name of each label, in the order of the columns.
        thresholds: Float (labels,), 0..1, from `choose_thresholds`.

    Raises:
        NumericsError: A probability is not a finite number.
        ValueError: The shapes do not match, `labels` contains other numbers, or there are no rows.
    """
    expected = (len(labels), len(label_names))
    if not len(labels) or not (labels.shape == probabilities.shape == expected) or thresholds.shape != expected[1:]:
        raise ValueError(
            f"expected labels and probabilities of shape (n, {len(label_names)}), n >= 1, and a threshold each. "
            f"Received: labels.shape={labels.shape}, probabilities.shape={probabilities.shape}, "
            f"thresholds.shape={thresholds.shape}"
        )
    is_true = labels == 1
    if not (is_true | (labels == 0)).all():
        raise ValueError(f"expected labels of 0 and 1. Received: {np.unique(labels)[:5]}")
    check_finite(probabilities, kind="probabilities")

    is_predicted = apply_thresholds(probabilities, thresholds)
    right, claimed, support = ((part.sum(axis=0)) for part in (is_true & is_predicted, is_predicted, is_true))
    average_precisions = compute_average_precisions(is_true, probabilities)
    scores = tuple(
        LabelScore(
            label_name=name,
            threshold=float(str(np.float32(thresholds[label]))),
            average_precision=average_precisions[label],
            precision=compute_precision(int(right[label]), int(claimed[label])),
            recall=compute_recall(int(right[label]), int(support[label])),
            f1=compute_f1(int(right[label]), int(claimed[label]), int(support[label])),
            support=int(support[label]),
            claimed=int(claimed[label]),
        )
        for label, name in enumerate(label_names)
    )
    micro_f1, macro_f1 = measure_micro_f1(is_true, is_predicted), measure_macro_f1(is_true, is_predicted)
    return MultilabelReport(
        num_images=len(labels),
        mean_average_precision=measure_mean_average_precision(is_true, probabilities),
        micro_f1=micro_f1.value if micro_f1 else None,
        macro_f1=macro_f1.value if macro_f1 else None,
        intervals={key: each for key, each in (("micro_f1", micro_f1), ("macro_f1", macro_f1)) if each},
        all_right=compute_wilson_interval(int((is_true == is_predicted).all(axis=1).sum()), len(labels)),
        labels=scores,
    )
