"""What became of each image: how far its outputs are from its target, whether it is right, and how to say so.

Each task returns its own kind from `Task.judge`. A report shows the worst images first and links every number of its
tables to the images behind it; both ask here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tlkit.outputs import format_value
from tlkit.reports.captions import format_percent
from tlkit.reports.sheet import Facets

NONE = "none"
"""The facet of an image without labels."""


@dataclass(frozen=True)
class Verdict:
    """One image in words.

    Attributes:
        lines: What is true of it and what the model says, a line each.
        badge: The number to see first.
        name: The same in few words, for a file's name: "true cat as dog".
        facets: What it can be found by, by the names of `Verdicts.facets`.
    """

    lines: tuple[str, ...]
    badge: str
    name: str
    facets: Facets


@dataclass(frozen=True)
class CommonMistake:
    """A mistake that is made with several images.

    Attributes:
        title: What it is: "cat predicted as dog".
        facets: What its images can be found by.
        rows: Its images, those with the highest loss first.
    """

    title: str
    facets: Mapping[str, str]
    rows: Sequence[int]


@dataclass(frozen=True, eq=False)
class Verdicts(ABC):
    """All images, one a row.

    Attributes:
        losses: float64 (n,): the higher, the worse.
        is_right: bool (n,): whether nothing is wrong with the answer; None for values, which are never quite right.
        margins: float64 (n,), 0..1: how sure an answer is; None for values.
        facets: Titles by the names of what images can be found by.
        worst_title: Heading of the images with the highest loss.
    """

    losses: NDArray[np.float64]
    is_right: NDArray[np.bool_] | None = None
    margins: NDArray[np.float64] | None = None
    facets: ClassVar[Mapping[str, str]]
    worst_title: ClassVar[str] = "Wrong, the highest loss first"

    @abstractmethod
    def kind_of(self, row: int) -> Hashable:
        """Return what kind of mistake, or of right answer, an image is, so that each kind can be shown."""

    @abstractmethod
    def describe(self, row: int) -> Verdict:
        """Return one image in words."""

    @abstractmethod
    def find_output(self, row: int) -> int:
        """Return the output to explain: the predicted class, or the label that is wrong; 0 for values."""

    @abstractmethod
    def find_behind(self, column: str, row_name: str) -> Mapping[str, str]:
        """Return the facets of the images behind a cell of the report's `score_table`; none: those of all images."""

    def list_common_mistakes(self) -> list[CommonMistake]:
        """Return the mistakes by name, the most frequent first; none for values."""
        return []

    def rank(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return some images in the order of their losses, the highest first."""
        return rows[np.argsort(-self.losses[rows], kind="stable")]


def sort_mistakes(mistakes: list[CommonMistake]) -> list[CommonMistake]:
    """Return mistakes by the number of their images, the most frequent first."""
    return sorted(mistakes, key=lambda each: (-len(each.rows), each.title))


@dataclass(frozen=True, eq=False)
class ClassVerdicts(Verdicts):
    """Of images with one class each.

    Attributes:
        true: The true classes, int (n,).
        predicted: The most probable ones, int (n,).
        probabilities: Float (n, classes), 0..1.
        class_names: Name of each class.
    """

    true: NDArray[np.integer[Any]] = field(kw_only=True)
    predicted: NDArray[np.integer[Any]] = field(kw_only=True)
    probabilities: NDArray[np.floating[Any]] = field(kw_only=True)
    class_names: tuple[str, ...] = field(kw_only=True)
    facets: ClassVar[Mapping[str, str]] = {"true": "True class", "predicted": "Predicted class"}

    def kind_of(self, row: int) -> Hashable:
        """Return true and predicted class."""
        return int(self.true[row]), int(self.predicted[row])

    def describe(self, row: int) -> Verdict:
        """Return both classes with their probabilities."""
        true, predicted = (self.class_names[labels[row]] for labels in (self.true, self.predicted))
        chances = [
            format_percent(float(self.probabilities[row, labels[row]])) for labels in (self.true, self.predicted)
        ]
        if true == predicted:
            lines: tuple[str, ...] = (f"{true} {chances[0]}",)
        else:
            lines = (f"true: {true} {chances[0]}", f"predicted: {predicted} {chances[1]}")
        name = f"true {true}" if true == predicted else f"true {true} as {predicted}"
        return Verdict(lines, chances[1], name, {"true": true, "predicted": predicted})

    def find_output(self, row: int) -> int:
        """Return the predicted class."""
        return int(self.predicted[row])

    def find_behind(self, column: str, row_name: str) -> Mapping[str, str]:
        """Return those predicted as the class for precision, those of the class for all else."""
        if row_name not in self.class_names:
            return {}
        return {"predicted" if column == "precision" else "true": row_name}

    def count_confusions(self) -> NDArray[np.int64]:
        """Return the number of images by true and predicted class, int64 (classes, classes)."""
        return count_confusions(self.true, self.predicted, len(self.class_names))

    def list_common_mistakes(self) -> list[CommonMistake]:
        """Return the confused pairs of classes."""
        pairs: dict[tuple[str, str], list[int]] = {}
        for row in self.rank(np.flatnonzero(self.true != self.predicted)).tolist():
            names = self.class_names[self.true[row]], self.class_names[self.predicted[row]]
            pairs.setdefault(names, []).append(row)
        return sort_mistakes(
            [
                CommonMistake(f"{true} predicted as {predicted}", {"true": true, "predicted": predicted}, rows)
                for (true, predicted), rows in pairs.items()
            ]
        )


@dataclass(frozen=True, eq=False)
class LabelVerdicts(Verdicts):
    """Of images with several labels each.

    Attributes:
        true: bool (n, labels).
        predicted: bool (n, labels), by the thresholds.
        probabilities: Float (n, labels), 0..1.
        label_names: Name of each label.
    """

    true: NDArray[np.bool_] = field(kw_only=True)
    predicted: NDArray[np.bool_] = field(kw_only=True)
    probabilities: NDArray[np.floating[Any]] = field(kw_only=True)
    label_names: tuple[str, ...] = field(kw_only=True)
    facets: ClassVar[Mapping[str, str]] = {
        "missed": "Missed label",
        "added": "Wrong label",
        "true": "True label",
        "predicted": "Predicted label",
    }

    def kind_of(self, row: int) -> Hashable:
        """Return the first label that is wrong, and how; or the first true one."""
        wrong = np.flatnonzero(self.true[row] != self.predicted[row])
        first = wrong[:1] if len(wrong) else np.flatnonzero(self.true[row])[:1]
        return len(wrong) > 0, tuple((int(label), bool(self.true[row, label])) for label in first)

    def describe(self, row: int) -> Verdict:
        """Return the missed labels, the wrong ones and the right ones."""
        true, predicted = self.true[row], self.predicted[row]
        missed, added, right = (
            self._name(row, mask) for mask in (true & ~predicted, predicted & ~true, true & predicted)
        )
        parts = (("missed", missed), ("wrong", added), ("right", right))
        lines = tuple(
            f"{what}: {', '.join(f'{name} {chance}' for name, chance in named)}" for what, named in parts if named
        )
        num_wrong = len(missed) + len(added)
        facets = {
            "missed": [name for name, _ in missed],
            "added": [name for name, _ in added],
            "true": [name for name, _ in self._name(row, true)] or [NONE],
            "predicted": [name for name, _ in self._name(row, predicted)] or [NONE],
        }
        name = " ".join([*(f"missed {name}" for name, _ in missed), *(f"wrong {name}" for name, _ in added)])
        return Verdict(lines or ("no label, rightly",), f"{num_wrong} wrong" if num_wrong else "right", name, facets)

    def find_output(self, row: int) -> int:
        """Return the label whose probability is the most wrong."""
        return int(np.abs(self.true[row] - self.probabilities[row]).argmax())

    def find_behind(self, column: str, row_name: str) -> Mapping[str, str]:
        """Return those predicted to have the label for precision and threshold, those that have it for all else."""
        if row_name not in self.label_names:
            return {}
        return {"predicted" if column in {"precision", "threshold"} else "true": row_name}

    def list_common_mistakes(self) -> list[CommonMistake]:
        """Return the labels that are missed, and those that are wrongly predicted."""
        mistakes = []
        kinds = {"missed": self.true & ~self.predicted, "added": self.predicted & ~self.true}
        for facet, masks in kinds.items():
            for label in np.flatnonzero(masks.any(axis=0)).tolist():
                name, rows = self.label_names[label], self.rank(np.flatnonzero(masks[:, label])).tolist()
                title = f"{name} missed" if facet == "missed" else f"{name} predicted wrongly"
                mistakes.append(CommonMistake(title, {facet: name}, rows))
        return sort_mistakes(mistakes)

    def _name(self, row: int, mask: NDArray[np.bool_]) -> list[tuple[str, str]]:
        """Return names and probabilities of some labels of an image."""
        return [
            (self.label_names[label], format_percent(float(self.probabilities[row, label])))
            for label in np.flatnonzero(mask)
        ]


@dataclass(frozen=True, eq=False)
class ValueVerdicts(Verdicts):
    """Of images with a value each.

    Attributes:
        true: float64 (n,), in their unit.
        predicted: The same.
        quarters: (lowest, highest true value) of each quarter, as in the report.
    """

    true: NDArray[np.float64] = field(kw_only=True)
    predicted: NDArray[np.float64] = field(kw_only=True)
    quarters: Sequence[tuple[float, float]] = field(kw_only=True)
    facets: ClassVar[Mapping[str, str]] = {"quarter": "True value", "error": "Error"}
    worst_title: ClassVar[str] = "Largest errors"

    def kind_of(self, row: int) -> Hashable:
        """Return the quarter of the true value, and whether the prediction is too high."""
        return self._find_quarter(row), bool(self.predicted[row] > self.true[row])

    def describe(self, row: int) -> Verdict:
        """Return both values and their difference."""
        true, predicted = float(self.true[row]), float(self.predicted[row])
        error = format_value(predicted - true, signed=True)
        facets = {"quarter": self._find_quarter(row), "error": "too high" if predicted > true else "too low"}
        lines = (f"true: {format_value(true)}", f"predicted: {format_value(predicted)}")
        return Verdict(lines, error, f"true {format_value(true)} off by {error}", facets)

    def find_output(self, row: int) -> int:
        """Return the value."""
        return 0

    def find_behind(self, column: str, row_name: str) -> Mapping[str, str]:
        """Return those of the quarter."""
        return {"quarter": row_name}

    def _find_quarter(self, row: int) -> str:
        """Return a quarter as the report's table names it."""
        low, high = next(pair for pair in self.quarters if pair[0] <= self.true[row] <= pair[1])
        return name_quarter(low, high)


def count_confusions(
    true: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]], num_classes: int
) -> NDArray[np.int64]:
    """Return the number of images by true and predicted class, int64 (classes, classes); arguments are int (n,)."""
    counts = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(counts, (true, predicted), 1)
    return counts


def name_quarter(low: float, high: float) -> str:
    """Return the range of a quarter of the values."""
    return f"{format_value(low)} to {format_value(high)}"
