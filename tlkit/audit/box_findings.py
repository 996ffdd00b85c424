"""Doubts about boxes as findings, with the boxes to draw into the picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tlkit.audit.box_pairs import DOUBLE, DOUBTFUL, MISSING, PLACE, Doubt, Scene
from tlkit.audit.findings import Finding
from tlkit.data.manifest import ImageRecord
from tlkit.reports.frames import Mark, choose_colour


def make_box_findings(
    records: Sequence[ImageRecord], scenes: Sequence[Scene], doubts: Sequence[Doubt], class_names: Sequence[str]
) -> list[Finding]:
    """Return a finding for each doubt, which gives boxes as "class (left, top, right, bottom)" in whole pixels.

    Args:
        records: The images.
        scenes: Their boxes and detections.
        doubts: What is wrong.
        class_names: The classes in label order.
    """
    findings = []
    for doubt in doubts:
        record, scene = records[doubt.image], scenes[doubt.image]
        given = _name_box(scene.boxes[doubt.box], class_names, first=1) if doubt.box is not None else ""
        suggested = _name_box(scene.found[doubt.detection], class_names) if doubt.detection is not None else ""
        if doubt.label is not None and doubt.box is not None:
            suggested = f"{class_names[doubt.label]} {_write_edges(scene.boxes[doubt.box])}"
        findings.append(
            Finding(
                doubt.kind,
                record.path,
                record.split,
                given,
                suggested,
                doubt.score,
                evidence=_explain(doubt, scene, class_names),
                marks=_list_marks(doubt, scene, record, class_names),
            )
        )
    return findings


def _explain(doubt: Doubt, scene: Scene, class_names: Sequence[str]) -> str:
    """Return the evidence in a sentence."""
    found = "" if doubt.detection is None else _name(scene.found[doubt.detection, 5], class_names)
    score = 0.0 if doubt.detection is None else float(scene.found[doubt.detection, 4])
    sentences = {
        MISSING: f"Found with a score of {score:.0%}, and there is no box.",
        PLACE: f"Found elsewhere with a score of {score:.0%}: the IoU with the box is {doubt.measure:.2f}.",
        DOUBTFUL: "Much less is found there than at most boxes of about this size.",
    }
    if doubt.kind == DOUBLE:
        assert doubt.other is not None
        other = _name_box(scene.boxes[doubt.other], class_names, first=1)
        return f"The box {other} has nearly the same place: their IoU is {doubt.measure:.2f}."
    if doubt.label is not None:
        seen = f", which is found there with a score of {score:.0%}" if found else ""
        return f"Wrong with a probability of {doubt.score:.0%}: it looks like {class_names[doubt.label]}{seen}."
    return sentences[doubt.kind]


def _list_marks(doubt: Doubt, scene: Scene, record: ImageRecord, class_names: Sequence[str]) -> tuple[Mark, ...]:
    """Return the boxes in question with names, what is found first, then the other boxes that are given."""
    marks = []
    if doubt.detection is not None:
        row = scene.found[doubt.detection]
        marks.append(_make_mark(row, int(row[5]), record, _name(row[5], class_names), f"{row[4]:.0%}"))
    order = sorted(range(len(scene.boxes)), key=lambda box: box != doubt.box)
    for box in order:
        row = scene.boxes[box]
        name = f"{_name(row[4] - 1, class_names)}?" if box == doubt.box else ""
        marks.append(_make_mark(row, int(row[4]) - 1, record, name, is_dashed=True))
    return tuple(marks)


def _make_mark(
    row: NDArray[np.float32], label: int, record: ImageRecord, name: str, figure: str = "", *, is_dashed: bool = False
) -> Mark:
    left, top, right, bottom = np.clip(row[:4] / np.array([record.width, record.height] * 2), 0, 1).tolist()
    return Mark((left, top, right, bottom), choose_colour(label), name, figure, is_dashed)


def _name_box(row: NDArray[np.float32], class_names: Sequence[str], *, first: int = 0) -> str:
    """Return the class and the edges of a row of boxes, whose classes begin with `first` = 1, or of detections."""
    label = row[4] - first if first else row[5]
    return f"{_name(label, class_names)} {_write_edges(row)}"


def _write_edges(row: NDArray[np.float32]) -> str:
    return f"({', '.join(f'{edge:.0f}' for edge in row[:4].tolist())})"


def _name(label: np.floating, class_names: Sequence[str]) -> str:
    return class_names[int(label)]
