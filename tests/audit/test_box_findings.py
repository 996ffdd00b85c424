from __future__ import annotations

from pathlib import Path

import numpy as np

from tlkit.audit.box_findings import make_box_findings
from tlkit.audit.box_pairs import CLASS, DOUBLE, DOUBTFUL, MISSING, PLACE, Doubt, Scene
from tlkit.audit.findings import KINDS, Finding
from tlkit.data.manifest import ImageRecord
from tlkit.reports.frames import choose_colour

RECORD = ImageRecord(Path("/photos/1.jpg"), "0" * 64, 200, 100, "train", "[]")
SCENE = Scene(
    np.array([[10, 20, 60, 70, 1, 0], [12, 20, 60, 70, 1, 0]], np.float32),
    np.array([[100.4, 20, 150, 70.6, 0.876, 1]], np.float32),
)


def describe(doubt: Doubt) -> Finding:
    (finding,) = make_box_findings([RECORD], [SCENE], [doubt], ("cat", "dog"))
    assert finding.kind in KINDS
    assert (finding.path, finding.split, finding.score) == (RECORD.path, "train", doubt.score)
    return finding


def test_a_missing_box_is_suggested_and_drawn_first_beside_the_given_ones() -> None:
    finding = describe(Doubt(MISSING, 0, 0.8, None, 0))
    assert (finding.given, finding.suggested) == ("", "dog (100, 20, 150, 71)")
    assert finding.evidence == "Found with a score of 88%, and there is no box."
    first, *others = finding.marks
    assert (first.name, first.figure, first.is_dashed, first.colour) == ("dog", "88%", False, choose_colour(1))
    np.testing.assert_allclose(first.box, (0.502, 0.2, 0.75, 0.706), atol=1e-6)
    assert [(mark.name, mark.is_dashed) for mark in others] == [("", True), ("", True)]


def test_a_wrong_class_names_what_is_found() -> None:
    finding = describe(Doubt(CLASS, 0, 0.93, 1, 0, label=1))
    assert (finding.given, finding.suggested) == ("cat (12, 20, 60, 70)", "dog (12, 20, 60, 70)")
    assert finding.evidence == (
        "Wrong with a probability of 93%: it looks like dog, which is found there with a score of 88%."
    )
    without = describe(Doubt(CLASS, 0, 0.93, 1, label=1))
    assert without.evidence == "Wrong with a probability of 93%: it looks like dog."
    assert without.suggested == finding.suggested
    assert [mark.name for mark in finding.marks] == ["dog", "cat?", ""]
    assert finding.marks[1].box == (0.06, 0.2, 0.3, 0.7)


def test_each_other_kind_says_why() -> None:
    assert describe(Doubt(PLACE, 0, 0.5, 0, 0, measure=0.4)).evidence == (
        "Found elsewhere with a score of 88%: the IoU with the box is 0.40."
    )
    finding = describe(Doubt(DOUBTFUL, 0, 0.5, 0))
    assert finding.evidence == "Much less is found there than at most boxes of about this size."
    assert finding.suggested == ""
    assert describe(Doubt(DOUBLE, 0, 0.96, 1, other=0, measure=0.96)).evidence == (
        "The box cat (10, 20, 60, 70) has nearly the same place: their IoU is 0.96."
    )
