"""Score predicted probabilities against true labels: accuracy with its interval, F1, and confusions.

All scores derive from the confusion matrix, which counts images by (true class, predicted class). The predicted class
is the most probable one, the first if tied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.average_precision import mean_of_defined
from tlkit.metrics.calibration import Calibration, compute_calibration, measure_calibration_error
from tlkit.metrics.f1 import compute_f1, compute_precision, compute_recall, measure_macro_f1
from tlkit.metrics.intervals import Interval, compute_wilson_interval
from tlkit.tasks.report import ScoreFile, ScoreTable, check_finite, format_fraction
from tlkit.tasks.verdicts import count_confusions


@dataclass(frozen=True)
class ClassScore:
    """The scores of one class.

    `precision` is None if no image was given this class, `recall` is None if the set has no image of it, and `f1` is
    None if both are. `support` is the number of images of this class, `claimed` that of images that were given it.
    """

    class_name: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    claimed: int


@dataclass(frozen=True)
class Mistake:
    """A confusion: `count` images of `true_class_name` were predicted as `predicted_class_name`."""

    true_class_name: str
    predicted_class_name: str
    count: int


@dataclass(frozen=True)
class TopKAccuracy:
    """The fraction of images whose true class is among the `k` most probable ones, with its interval."""

    k: int
    interval: Interval


@dataclass(frozen=True, eq=False)
class ClassificationReport:
    """The scores of a set of images.

    `confusion` is int64 (classes, classes): rows are true classes, columns predicted ones. `mistakes` are the confused
    pairs, most frequent first. `calibration` compares confidence with accuracy. `intervals` has macro-F1 and the
    calibration error with their intervals. `top_k_accuracy` is None unless requested.
    """

    num_images: int
    accuracy: Interval
    macro_f1: float
    classes: tuple[ClassScore, ...]
    confusion: NDArray[np.int64]
    mistakes: tuple[Mistake, ...]
    calibration: Calibration
    intervals: Mapping[str, Interval]
    top_k_accuracy: TopKAccuracy | None = None

    def to_payload(self) -> dict[str, Any]:
        """Return everything except the matrix as JSON values."""
        return {
            "images": self.num_images,
            "accuracy": asdict(self.accuracy),
            **({"top_k_accuracy": asdict(self.top_k_accuracy)} if self.top_k_accuracy else {}),
            "macro_f1": self.macro_f1,
            "calibration": asdict(self.calibration),
            "intervals": {key: asdict(interval) for key, interval in self.intervals.items()},
            "classes": [asdict(score) for score in self.classes],
            "mistakes": [asdict(mistake) for mistake in self.mistakes],
        }

    def more_tables(self) -> list[tuple[str, ScoreTable]]:
        """Return none."""
        return []

    def details(self) -> dict[str, Any]:
        """Return the confusion matrix."""
        return {"confusion": self.confusion.tolist()}

    def mistakes_table(self) -> ScoreTable | None:
        """Return the confused classes, the most frequent first; None if there are none."""
        rows: list[tuple[str, ...]] = [
            (mistake.true_class_name, mistake.predicted_class_name, str(mistake.count)) for mistake in self.mistakes
        ]
        return (("class", "predicted as", "images"), rows) if rows else None

    def score_file(self) -> ScoreFile:
        """Return the scores of each class."""
        columns = ("class_name", "precision", "recall", "f1", "support")
        return "per_class.csv", columns, [[getattr(score, column) for column in columns] for score in self.classes]

    def headline(self) -> str:
        """Return accuracy, macro-F1 and calibration error in a sentence."""
        if len(self.classes) == 1:
            return f"The model has only one class, {self.classes[0].class_name}, so there is no accuracy to measure."
        top_k = self.top_k_accuracy
        of_top_k = f"top-{top_k.k} accuracy {top_k.interval.in_words()}, " if top_k else ""
        return (
            f"Accuracy {self.accuracy.in_words()}, {of_top_k}macro-F1 {self.macro_f1:.3f}, "
            f"calibration error {self.calibration.error:.3f}, on {self.num_images:,} images."
        )

    def facts(self) -> dict[str, str]:
        """Return the key figures by name."""
        if len(self.classes) == 1:
            return {"images": f"{self.num_images:,}"}
        top_k = self.top_k_accuracy
        return {
            "accuracy": self.accuracy.in_brief(),
            **({f"top-{top_k.k} accuracy": top_k.interval.in_brief()} if top_k else {}),
            "macro-F1": self.intervals["macro_f1"].in_brief(),
            "calibration error": self.intervals["calibration"].in_brief(),
            "images": f"{self.num_images:,}",
        }

    def score_table(self) -> ScoreTable:
        """Return column titles, one row of strings per class, and the macro averages; "-" for undefined values."""
        columns = ("class", "precision", "recall", "F1", "images")
        rows: list[tuple[str, ...]] = [
            (
                score.class_name,
                format_fraction(score.precision),
                format_fraction(score.recall),
                format_fraction(score.f1),
                str(score.support),
            )
            for score in self.classes
        ]
        rows.append(
            (
                "mean of the classes",
                format_fraction(mean_of_defined([score.precision for score in self.classes])),
                format_fraction(mean_of_defined([score.recall for score in self.classes])),
                format_fraction(self.macro_f1),
                str(self.num_images),
            )
        )
        return columns, rows


def compute_classification_report(
    labels: NDArray[np.integer[Any]],
    probabilities: NDArray[np.floating[Any]],
    class_names: Sequence[str],
    *,
    top_k: int | None = None,
) -> ClassificationReport:
    """Score predictions.

    Macro-F1 is the mean over the classes that occur among the labels or the predictions, as in scikit-learn's
    `f1_score(average="macro")`.

    Args:
        labels: Integer (n,), n >= 1: the true class of each image, 0..classes-1.
        probabilities: Float (n, classes), 0..1: row i belongs to label i.
        class_names: The name of each class, in label order.
        top_k: k of the top-k accuracy, at least 1; None to skip it.

    Raises:
        NumericsError: A probability is not a finite number.
        ValueError: The shapes do not match, a label is out of range, or there are no rows.
    """
    num_classes = len(class_names)
    if len(labels) == 0 or probabilities.shape != (len(labels), num_classes):
        raise ValueError(
            f"expected probabilities of shape (n, {num_classes}) for n >= 1 labels. "
            f"Received: probabilities.shape={probabilities.shape}, {len(labels)} labels"
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(f"expected labels in 0..{num_classes - 1}. Received: {labels.min()}..{labels.max()}")
    check_finite(probabilities, kind="probabilities")

    predicted = probabilities.argmax(axis=1)
    confusion = count_confusions(labels, predicted, num_classes)

    classes = tuple(_score_class(confusion, label, name) for label, name in enumerate(class_names))
    every = np.arange(num_classes)
    macro_f1 = measure_macro_f1(labels[:, np.newaxis] == every, predicted[:, np.newaxis] == every)
    assert macro_f1 is not None, "at least one class occurs in a set that has images"
    calibration = compute_calibration(labels, probabilities)
    return ClassificationReport(
        num_images=len(labels),
        accuracy=compute_wilson_interval(int(np.trace(confusion)), len(labels)),
        macro_f1=macro_f1.value,
        classes=classes,
        confusion=confusion,
        mistakes=_rank_mistakes(confusion, class_names),
        calibration=calibration,
        intervals={
            "macro_f1": macro_f1,
            "calibration": measure_calibration_error(labels, probabilities, calibration),
        },
        top_k_accuracy=None if top_k is None else _measure_top_k(labels, probabilities, top_k),
    )


def _measure_top_k(labels: NDArray[np.integer[Any]], probabilities: NDArray[np.floating[Any]], k: int) -> TopKAccuracy:
    """Count the images whose true class is among the top `k`; the first class wins ties."""
    true = np.take_along_axis(probabilities, labels[:, np.newaxis], axis=1)
    is_earlier = np.arange(probabilities.shape[1]) < labels[:, np.newaxis]
    ranks = ((probabilities > true) | ((probabilities == true) & is_earlier)).sum(axis=1)
    return TopKAccuracy(k, compute_wilson_interval(int((ranks < k).sum()), len(labels)))


def _score_class(confusion: NDArray[np.int64], label: int, class_name: str) -> ClassScore:
    right = int(confusion[label, label])
    support = int(confusion[label].sum())
    claimed = int(confusion[:, label].sum())
    return ClassScore(
        class_name=class_name,
        precision=compute_precision(right, claimed),
        recall=compute_recall(right, support),
        f1=compute_f1(right, claimed, support),
        support=support,
        claimed=claimed,
    )


def _rank_mistakes(confusion: NDArray[np.int64], class_names: Sequence[str]) -> tuple[Mistake, ...]:
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    pairs = [(int(true), int(predicted)) for true, predicted in np.argwhere(wrong)]
    pairs.sort(key=lambda pair: -int(wrong[pair]))
    return tuple(
        Mistake(class_names[true], class_names[predicted], int(wrong[true, predicted])) for true, predicted in pairs
    )
