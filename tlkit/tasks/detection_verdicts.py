"""What became of each image with objects: what is missed in it, what is mistaken, and how to say so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.detection_counts import count_detections
from tlkit.metrics.detection_errors import (
    BACKGROUND,
    BOTH,
    CLASS,
    DUPLICATE,
    KINDS,
    MISSED,
    PLACE,
    DetectionErrors,
    find_errors,
)
from tlkit.metrics.detection_matches import ALL_SIZES, DetectionMatches, match_detections
from tlkit.metrics.detection_thresholds import GOOD_OVERLAP, find_shown
from tlkit.outputs import Box
from tlkit.reports.captions import format_percent
from tlkit.reports.frames import Mark, choose_colour
from tlkit.tasks.verdicts import NONE, CommonMistake, Verdict, Verdicts, sort_mistakes

FOUND = "found"
IGNORED = "ignored"


@dataclass(frozen=True)
class JudgedBox:
    """A true or shown box, and what became of it.

    Attributes:
        box: In pixels of the upright picture.
        label: Its class.
        kind: One of `KINDS`, "found" or "ignored"; of a true box "missed", "found" or "ignored".
        score: Of a shown box, 0..1; None for a true one.
    """

    box: Box
    label: int
    kind: str
    score: float | None = None


@dataclass(frozen=True)
class _Mistake:
    """A mistake in an image."""

    kind: str
    title: str
    line: str
    label: int
    weight: float


@dataclass(frozen=True, eq=False)
class DetectionVerdicts(Verdicts):
    """Of images with any number of objects each.

    The loss of an image is the number of objects that no shown box finds, and the scores of the boxes that are wrong.

    Attributes:
        matches: At an intersection over union of 0.5.
        errors: The kinds of mistakes.
        is_shown: Which detections are shown, bool (d,).
        is_found: Which objects a shown box finds, bool (g,).
        class_names: Name of each class.
    """

    matches: DetectionMatches = field(kw_only=True)
    errors: DetectionErrors = field(kw_only=True)
    is_shown: NDArray[np.bool_] = field(kw_only=True)
    is_found: NDArray[np.bool_] = field(kw_only=True)
    class_names: tuple[str, ...] = field(kw_only=True)
    facets: ClassVar[Mapping[str, str]] = {
        "mistake": "Mistake",
        "missed": "Missed class",
        "false": "Class of a wrong box",
        "true": "True class",
        "predicted": "Detected class",
    }

    def kind_of(self, row: int) -> Hashable:
        """Return the mistakes of an image without repetition, or its true classes."""
        titles = {mistake.title for mistake in self._list_mistakes(row)}
        return tuple(sorted(titles)) if titles else tuple(sorted(self._count_true(row)))

    def describe(self, row: int) -> Verdict:
        """Return the missed objects, the wrong boxes by kind, and the number of right ones."""
        mistakes = self._list_mistakes(row)
        lines = [
            f"{start}: {_list([mistake.line for mistake in mistakes if mistake.kind == kind])}"
            for start, kind in _LINES
            if any(mistake.kind == kind for mistake in mistakes)
        ]
        if found := self._find_labels(row, FOUND):
            lines.append(f"found: {_list([self.class_names[label] for label in found])}")
        num_missed, num_false = self._num_missed(row), self._num_false(row)
        parts = [f"{number} {word}" for number, word in ((num_missed, "missed"), (num_false, "wrong")) if number]
        shown = {self.class_names[box.label] for box in self.list_shown(row)}
        facets = {
            "mistake": sorted({mistake.title for mistake in mistakes}) or [NONE],
            "missed": sorted({self.class_names[label] for label in self._find_labels(row, MISSED)}),
            "false": sorted({self.class_names[box.label] for box in self.list_shown(row) if box.kind in KINDS}),
            "true": sorted(self._count_true(row)) or [NONE],
            "predicted": sorted(shown) or [NONE],
        }
        name = " ".join(dict.fromkeys(mistake.title for mistake in mistakes))
        return Verdict(tuple(lines) or ("no object, rightly",), ", ".join(parts) or "right", name, facets)

    def find_output(self, row: int) -> int:
        """Return the class of the worst mistake, or of the best box; 0 without either."""
        if mistakes := self._list_mistakes(row):
            return max(mistakes, key=lambda mistake: mistake.weight).label
        return next((box.label for box in self.list_shown(row)), 0)

    def find_behind(self, column: str, row_name: str) -> Mapping[str, str]:
        """Return those with a box of the class for precision and threshold, those with an object of it for all else."""
        if row_name not in self.class_names:
            return {}
        return {"predicted" if column in {"precision", "threshold"} else "true": row_name}

    def list_common_mistakes(self) -> list[CommonMistake]:
        """Return the mistakes by kind and class."""
        rows_of: dict[str, list[int]] = {}
        assert self.is_right is not None
        for row in self.rank(np.flatnonzero(~self.is_right)).tolist():
            for title in dict.fromkeys(mistake.title for mistake in self._list_mistakes(row)):
                rows_of.setdefault(title, []).append(row)
        return sort_mistakes([CommonMistake(title, {"mistake": title}, rows) for title, rows in rows_of.items()])

    def list_true(self, row: int) -> list[JudgedBox]:
        """Return the true boxes of an image."""
        true = self.matches.true
        return [
            JudgedBox(_to_box(true.boxes[each]), int(true.labels[each]), self._kind_of_object(each))
            for each in _find_rows(true.images, row)
        ]

    def list_shown(self, row: int) -> list[JudgedBox]:
        """Return the shown boxes of an image, the highest score first."""
        detected = self.matches.detected
        return [
            JudgedBox(
                _to_box(detected.boxes[each]),
                int(detected.labels[each]),
                self._kind_of_detection(each),
                float(detected.scores[each]),
            )
            for each in _find_rows(detected.images, row)
            if self.is_shown[each]
        ]

    def list_marks(self, row: int, size: tuple[int, int]) -> list[Mark]:
        """Return the boxes of an image for a picture: shown ones solid, true ones dashed, by class; the surest first.

        Args:
            row: The image.
            size: Its height and width in pixels, upright.
        """
        height, width = size

        def mark(each: JudgedBox) -> Mark:
            is_true = each.score is None
            edges = (edge / length for edge, length in zip(each.box, (width, height) * 2, strict=True))
            left, top, right, bottom = (min(1.0, max(0.0, edge)) for edge in edges)
            return Mark(
                (left, top, right, bottom),
                choose_colour(each.label),
                name=self.class_names[each.label] if not is_true or each.kind == MISSED else "",
                figure="" if each.score is None else f"{each.score:.0%} {_REMARKS.get(each.kind, '')}".strip(),
                is_dashed=is_true,
            )

        return [mark(each) for each in (*self.list_shown(row), *self.list_true(row))]

    def _kind_of_object(self, each: int) -> str:
        if self.matches.true.is_ignored[each]:
            return IGNORED
        return FOUND if self.is_found[each] else MISSED

    def _kind_of_detection(self, each: int) -> str:
        kind = int(self.errors.kinds[each])
        return KINDS[kind] if kind >= 0 else (FOUND if kind == -1 else IGNORED)

    def _find_labels(self, row: int, kind: str) -> list[int]:
        return [box.label for box in self.list_true(row) if box.kind == kind]

    def _count_true(self, row: int) -> Counter[str]:
        return Counter(self.class_names[box.label] for box in self.list_true(row) if box.kind != IGNORED)

    def _num_missed(self, row: int) -> int:
        return len(self._find_labels(row, MISSED))

    def _num_false(self, row: int) -> int:
        return sum(box.kind in KINDS for box in self.list_shown(row))

    def _list_mistakes(self, row: int) -> list[_Mistake]:
        """Return the missed objects, then the wrong boxes, the highest score first.

        An object of which there is a box of another class or in a wrong place is told with that box.
        """
        true, detected = self.matches.true, self.matches.detected
        wrong = [
            each for each in _find_rows(detected.images, row) if self.is_shown[each] and self.errors.kinds[each] >= 0
        ]
        told = {int(self.errors.objects[each]) for each in wrong if self._kind_of_detection(each) in {CLASS, PLACE}}
        mistakes = []
        for each in _find_rows(true.images, row):
            if self._kind_of_object(each) == MISSED and each not in told:
                label = int(true.labels[each])
                name = self.class_names[label]
                mistakes.append(_Mistake(MISSED, f"{name} missed", name, label, 1.0))
        return mistakes + [self._describe_wrong(each) for each in wrong]

    def _describe_wrong(self, each: int) -> _Mistake:
        kind, label = self._kind_of_detection(each), int(self.matches.detected.labels[each])
        score = float(self.matches.detected.scores[each])
        name = self.class_names[label]
        line = f"{name} {format_percent(score)}"
        about = int(self.errors.objects[each])
        other = self.class_names[int(self.matches.true.labels[about])] if about >= 0 else ""
        iou = f"IoU {self.errors.overlaps[each]:.2f}"
        titles = {
            CLASS: (f"{other} as {name}", f"{line} for {other}"),
            PLACE: (f"{name} misplaced", f"{line} {iou}"),
            BOTH: (f"{other} as {name}, misplaced", f"{line} for {other} {iou}"),
            DUPLICATE: (f"{name} twice", line),
            BACKGROUND: (f"{name} where no object is", line),
        }
        title, text = titles[kind]
        return _Mistake(kind, title, text, label, score)


_REMARKS = {CLASS: "class", PLACE: "place", BOTH: "class, place", DUPLICATE: "twice", BACKGROUND: "no object"}
"""What is wrong with a box, in a word."""
_LINES = (
    ("missed", MISSED),
    ("wrong class", CLASS),
    ("wrong place", PLACE),
    ("wrong class and place", BOTH),
    ("twice", DUPLICATE),
    ("no object", BACKGROUND),
)


def judge_detections(
    targets: NDArray[np.floating[Any]],
    detections: NDArray[np.floating[Any]],
    class_names: Sequence[str],
    thresholds: Sequence[float],
) -> DetectionVerdicts:
    """Return what became of each image; arguments as for `compute_detection_report`.

    The margin of an image is the least distance of a score from its threshold, 1 without detections.
    """
    matches = match_detections(targets, detections, len(class_names), overlaps=(GOOD_OVERLAP,), sizes=(ALL_SIZES,))
    detected = matches.detected
    is_shown = find_shown(detected.scores, detected.labels, thresholds)
    errors, counts = find_errors(matches), count_detections(matches, is_shown)
    is_wrong = is_shown & (errors.kinds >= 0)
    is_found = np.zeros(len(matches.true), bool)
    is_found[matches.partners[is_shown & matches.find_right()]] = True
    num_missed = counts.missed.sum(axis=1)
    false_scores = np.bincount(
        detected.images[is_wrong], weights=detected.scores[is_wrong], minlength=matches.num_images
    )
    margins = np.ones(matches.num_images)
    distances = np.abs(detected.scores.astype(np.float64) - np.array(thresholds)[detected.labels])
    np.minimum.at(margins, detected.images, distances)
    return DetectionVerdicts(
        losses=num_missed + false_scores,
        is_right=(num_missed == 0) & (counts.false.sum(axis=1) == 0),
        margins=margins,
        matches=matches,
        errors=errors,
        is_shown=is_shown,
        is_found=is_found,
        class_names=tuple(class_names),
    )


def _find_rows(images: NDArray[np.int64], row: int) -> range:
    """Return the rows of an image; `images` is ascending."""
    start, stop = np.searchsorted(images, [row, row + 1]).tolist()
    return range(start, stop)


def _to_box(corners: NDArray[np.float64]) -> Box:
    left, top, right, bottom = corners.tolist()
    return left, top, right, bottom


def _list(texts: Sequence[str]) -> str:
    """Return "cat, 2 dog" of equal and different texts."""
    return ", ".join(text if number == 1 else f"{number} {text}" for text, number in Counter(texts).items())
