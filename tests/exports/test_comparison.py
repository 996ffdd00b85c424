"""How an export's answers are compared with the bundle's, and when they are not good enough."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tlkit.exports.asking import Question
from tlkit.exports.comparison import Comparison, Reference, compare
from tlkit.models.spec import BundleSpec
from tlkit.outputs import Target
from tlkit.recipes import HeadSettings

NUM = 40
CLASSES = BundleSpec("tiny", (32, 32), "squash", 2, "avg", HeadSettings("linear"), ("a", "b"))
LABELS = dataclasses.replace(CLASSES, task="multilabel", thresholds=(0.5, 0.2))
VALUE = dataclasses.replace(CLASSES, task="regression", class_names=(), target=Target("kg", 100.0, 10.0, False))
TRUE = np.eye(2)[np.arange(NUM) % 2]
SURE = np.where(TRUE > 0.5, 0.9, 0.1)
BOX = (10.0, 10.0, 50.0, 60.0)


def make_reference(
    answers: np.ndarray[Any, Any], targets: np.ndarray[Any, Any] | None = TRUE, **more: Any
) -> Reference:
    questions = [Question(Path(f"{number}.jpg")) for number in range(len(answers))]
    return Reference("tests", questions, answers, [(100, 200)] * len(answers), targets=targets, **more)


def answer(answers: np.ndarray[Any, Any], name: str = "probabilities", **more: Any) -> list[dict[str, Any]]:
    return [{"image": "x", name: row.tolist(), "seconds": 0.002, **more} for row in answers]


def test_equal_answers_have_no_fault() -> None:
    found = compare(CLASSES, make_reference(SURE), answer(SURE))

    assert (found.largest_difference, found.same_answer, found.latency_ms) == (0.0, 1.0, 2.0)
    assert found.score is not None
    assert found.gain is not None
    assert (found.score.value, found.gain.value, found.is_worse) == (1.0, 0.0, False)
    assert [found.find_fault(precision) for precision in ("float32", "float16", "int8")] == ["", "", ""]


def test_a_float_export_may_differ_by_rounding_only() -> None:
    found = compare(CLASSES, make_reference(SURE), answer(SURE + np.array([0.004, -0.004])))

    assert found.find_fault("float32") == "a probability differs by 0.004, more than 0.001"
    assert found.find_fault("float16") == ""


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_answers_that_are_not_numbers_are_a_fault(wrong: float) -> None:
    found = compare(CLASSES, make_reference(SURE), answer(np.full_like(SURE, wrong)))

    assert found.find_fault("float32") == f"a probability differs by {wrong}, more than 0.001"
    assert found.find_fault("int8") == "an output is not finite"
    assert found.to_payload()["largest_difference"] is None


def test_a_quantised_export_may_not_lose_more_than_chance() -> None:
    few, many = SURE.copy(), SURE.copy()
    few[:2], many[:12] = 1 - few[:2], 1 - many[:12]

    assert compare(CLASSES, make_reference(SURE), answer(few)).find_fault("int8") == ""
    fault = compare(CLASSES, make_reference(SURE), answer(many)).find_fault("int8")

    assert fault.startswith("the score is worse beyond chance: by -0.300 (95% interval -0.4")


def test_a_certain_but_negligible_loss_is_accepted() -> None:
    ours = np.linspace(80, 120, NUM)[:, np.newaxis]
    found = compare(
        VALUE, make_reference(ours, ours), [{**row, "value": row["value"][0]} for row in answer(ours + 0.5, "value")]
    )

    assert found.is_worse
    assert found.find_fault("int8") == ""


def test_a_loss_is_compared_with_what_is_allowed() -> None:
    few = SURE.copy()
    few[:2] = 1 - few[:2]
    found = compare(CLASSES, make_reference(SURE), answer(few))

    assert found.find_fault("int8", allowed_loss=0.05) == ""
    assert found.find_fault("int8", allowed_loss=0.01) == "the score is 0.050 lower, and --allow is 0.01"


def test_labels_are_compared_one_by_one_at_their_thresholds() -> None:
    ours = np.full((NUM, 2), 0.3)
    found = compare(LABELS, make_reference(ours, np.ones((NUM, 2))), answer(np.full((NUM, 2), 0.15)))

    assert found.same_by_label == {"a": 1.0, "b": 0.0}
    assert found.same_answer == 0.0
    assert found.bundle_score is not None
    assert found.score is not None
    assert (found.bundle_score.value, found.score.value, found.is_worse) == (0.5, 0.0, True)


def test_values_are_compared_in_standard_deviations() -> None:
    ours = np.linspace(80, 120, NUM)[:, np.newaxis]
    rows = answer(ours + 0.5, "value")
    found = compare(VALUE, make_reference(ours, ours), [{**row, "value": row["value"][0]} for row in rows])

    assert found.largest_difference == pytest.approx(0.05, rel=1e-3)
    assert found.largest_in_unit == pytest.approx(0.5)
    assert found.same_answer is None
    assert found.find_fault("float32") == "a value, in standard deviations, differs by 0.05, more than 0.001"


def test_boxes_are_compared_with_the_bundles_and_with_the_true_ones() -> None:
    moved = [14.0, 10.0, 50.0, 60.0]
    reference = make_reference(SURE, boxes=[BOX] * NUM, true_boxes=[BOX, *[None] * (NUM - 1)])
    found = compare(CLASSES, reference, answer(SURE, box=moved))

    assert found.box_difference == pytest.approx(4 / 200)
    assert found.smallest_iou == pytest.approx(0.9)
    assert found.find_fault("float16") == ""
    assert found.find_fault("float32") == "an edge of a box differs by 0.02, more than 0.001"
    assert found.find_fault("int8") == "the boxes are worse beyond chance: IoU -0.100 (95% interval -0.100 to -0.100)"


def test_distances_and_maps_are_compared() -> None:
    reference = make_reference(SURE, distances=np.full(NUM, 0.5))
    rows = answer(SURE, distance=0.51)
    rows[0]["map"] = [[[1.0, 2.0]]]
    found = compare(CLASSES, reference, rows, [np.array([[[1.0, 2.2]]], np.float32)])

    assert found.distance_difference == pytest.approx(0.01)
    assert found.map_difference == pytest.approx(0.2 / 2.2)
    assert found.find_fault("float32") == (
        "the distance from the training images differs by 0.01, more than 0.001 and a map differs by 0.091, more than 0.005"
    )


def test_a_quantised_export_must_know_what_is_unknown() -> None:
    reference = make_reference(SURE, distances=np.full(NUM, 0.5))

    found = compare(CLASSES, reference, answer(SURE, distance=0.61))

    assert found.find_fault("int8", allowed_loss=0.5) == (
        "the distance from the training images differs by 0.11, more than 0.1"
    )
    assert compare(CLASSES, reference, answer(SURE, distance=0.59)).find_fault("int8") == ""


def test_an_image_that_the_reader_cannot_read_is_a_fault() -> None:
    rows = [*answer(SURE[1:]), {"image": "y.tif", "error": "ValueError: no"}]

    fault = compare(CLASSES, make_reference(SURE), rows).find_fault("float32")

    assert fault == "the export's reader cannot read y.tif (ValueError: no)"


def test_a_payload_has_every_figure() -> None:
    found = compare(CLASSES, make_reference(SURE), answer(SURE)).to_payload()

    assert {*found} == {field.name for field in dataclasses.fields(Comparison)}
    assert found["gain"] == {
        "value": 0.0,
        "low": pytest.approx(-0.066, abs=0.01),
        "high": pytest.approx(0.066, abs=0.01),
    }
