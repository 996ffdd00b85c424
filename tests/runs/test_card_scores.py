"""Scores of objects in a model card."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

from tests.metrics.test_detection_errors import CAT, DOG, make_box, make_object, stack
from tlkit.runs.card_scores import RecordedScores
from tlkit.tasks.detection_report import compute_detection_report


@dataclass(frozen=True)
class Spec:
    has_one_class: bool = False


def record() -> RecordedScores:
    targets = stack([make_object(0, CAT), make_object(100, CAT), make_object(200, DOG)], [make_object(0, DOG)], [])
    detections = stack(
        [make_box(0, CAT, 0.9), make_box(500, CAT, 0.8), make_box(100, CAT, 0.3), make_box(200, DOG, 0.7)],
        [make_box(0, DOG, 0.9)],
        [make_box(0, DOG, 0.45)],
    )
    report = compute_detection_report(targets, detections, ("cat", "dog"), (0.5, 0.4))
    return RecordedScores("the validation images", "validation", json.loads(json.dumps(report.to_payload())))


def test_a_card_has_the_scores_of_objects_with_their_intervals() -> None:
    measures = {each.name: each for each in record().list_measures(cast("Any", Spec()))}
    assert list(measures) == [
        "mAP@.5",
        "mAP@.5:.95",
        "precision of the boxes",
        "share of the objects that are found",
        "F1 of the boxes",
        "mean error of the number of objects",
        "images without objects on which no box is shown",
    ]
    assert all(each.interval for each in measures.values())
    assert measures["precision of the boxes"].value == 3 / 5
    assert measures["share of the objects that are found"].value == 3 / 4


def test_a_card_has_a_row_for_each_class() -> None:
    *_, table = record().describe(cast("Any", Spec()))
    assert table[0] == "| class | threshold | AP50 | AP50-95 | precision | recall | F1 | objects |"
    assert table[2].startswith("| cat | 0.500 | 0.835 (")
    assert table[3].startswith("| dog | 0.400 | 1.000 (")
    assert table[3].endswith(" | 0.667 | 1.000 | 0.800 | 2 |")
