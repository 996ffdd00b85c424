"""Scores of detections: by hand, at the ends, and where classes or objects are missing from the set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.metrics.test_detection_errors import CAT, DOG, make_box, make_object, stack
from tests.metrics.test_detection_precision import draw_set
from tlkit.errors import NumericsError
from tlkit.metrics.detection_errors import KINDS
from tlkit.tasks.detection_pictures import PICTURES, draw_detection_pictures
from tlkit.tasks.detection_report import DetectionReport, compute_detection_report
from tlkit.tasks.report import Report

NAMES, THRESHOLDS = ("cat", "dog", "eel"), (0.5, 0.4, 0.5)
TARGETS = stack(
    [make_object(0, CAT), make_object(100, CAT), make_object(200, DOG)],
    [make_object(0, CAT, ignored=1)],
    [],
)
DETECTIONS = stack(
    [make_box(0, CAT, 0.9), make_box(500, CAT, 0.8), make_box(100, CAT, 0.3), make_box(200, DOG, 0.7)],
    [make_box(0, CAT, 0.9)],
    [make_box(0, DOG, 0.45)],
)


def score(targets: np.ndarray = TARGETS, detections: np.ndarray = DETECTIONS) -> DetectionReport:
    return compute_detection_report(targets, detections, NAMES, THRESHOLDS)


def test_the_report_of_a_small_set_is_what_one_counts_by_hand() -> None:
    report = score()
    cat, dog, eel = report.classes
    assert (cat.precision, cat.recall, cat.f1, cat.objects, cat.shown, cat.right) == (0.5, 0.5, 0.5, 2, 2, 1)
    assert (dog.precision, dog.recall, dog.f1, dog.objects, dog.shown, dog.right) == (0.5, 1.0, 2 / 3, 1, 2, 1)
    assert (eel.precision, eel.recall, eel.f1, eel.objects, eel.average_precision_50) == (None, None, None, 0, None)
    # Precision 1 at the 51 recalls up to a half, 2/3 above.
    assert cat.average_precision_50 == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert dog.average_precision_50 == dog.average_precision_50_95 == 1
    assert report.precision.at_50
    assert report.precision.at_50.value == pytest.approx((1 + (51 + 50 * 2 / 3) / 101) / 2)
    assert report.errors == {**dict.fromkeys(KINDS, 0), "background": 2, "missed": 1}
    assert [report.counting.error.value, report.counting.right.value] == pytest.approx([1 / 3, 2 / 3])
    assert report.undisturbed
    assert report.undisturbed.value == 0


def test_the_words_and_the_tables_have_every_figure() -> None:
    report: Report = score()
    assert report.headline() == (
        "mAP@.5 0.917 (95% interval 0.174 to 0.998), mAP@.5:.95 0.917 (95% interval 0.174 to 0.998); at the thresholds "
        "2 of 3 objects are found, and 2 of 4 boxes are wrong, on 3 images. mAP leaves out 1 of 3 classes without "
        "objects."
    )
    facts = report.facts()
    assert list(facts) == [
        "mAP@.5",
        "mAP@.5:.95",
        "precision of the boxes",
        "objects found",
        "F1",
        "error of the count",
        "count right",
        "images without objects and boxes",
        "objects",
        "images",
    ]
    assert (facts["F1"], facts["objects"], facts["images"]) == ("0.571 (0.000 to 0.667)", "3", "3")
    assert report.score_table() == (
        ("class", "threshold", "AP50", "AP50-95", "precision", "recall", "F1", "objects"),
        [
            ("cat", "0.500", "0.835", "0.835", "0.500", "0.500", "0.500", "2"),
            ("dog", "0.400", "1.000", "1.000", "0.500", "1.000", "0.667", "1"),
            ("eel", "0.500", "-", "-", "-", "-", "-", "0"),
            ("mean of the classes", "-", "0.917", "0.917", "0.500", "0.750", "0.583", "3"),
        ],
    )
    assert report.mistakes_table() == (
        ("mistake", "number", "AP50 without it"),
        [("no object", "2", "+0.083"), ("missed", "1", "+0.000")],
    )
    sizes = [
        ("small, up to 32² px", "0.917", "0.917", "1.000", "3"),
        ("medium, 32² to 96² px", "-", "-", "-", "0"),
        ("large, from 96² px", "-", "-", "-", "0"),
    ]
    assert report.more_tables() == [
        ("Scores by size", (("size", "AP50", "AP50-95", "average recall", "objects"), sizes))
    ]


def test_the_payload_is_json_and_names_the_classes_that_are_left_out() -> None:
    report = score()
    payload = json.loads(json.dumps(report.to_payload(), allow_nan=False))
    assert payload["images"] == 3
    assert payload["classes_without_objects"] == ["eel"]
    assert payload["average_recall"] == {"1": 0.75, "10": 1.0, "100": 1.0}
    assert payload["sizes"]["medium"] == {"map_50": None, "map": None, "average_recall": None, "objects": 0}
    assert payload["kinds_of_mistakes"]["no object"]["number"] == 2
    assert payload["kinds_of_mistakes"]["no object"]["map_50_gained_without"] == pytest.approx(0.0825, abs=1e-4)
    assert {key: payload[key] for key in ("objects", "boxes_shown", "boxes_right")} == {
        "objects": 3,
        "boxes_shown": 4,
        "boxes_right": 2,
    }
    details = json.loads(json.dumps(report.details(), allow_nan=False))
    assert list(details["precision_by_recall"]["classes"]) == ["cat", "dog"]
    name, columns, rows = report.score_file()
    assert name == "per_class.csv"
    assert columns[:2] == ("class_name", "threshold")
    assert [len(row) for row in rows] == [len(columns)] * 3
    assert rows[2] == ["eel", 0.5, None, None, None, None, None, 0, 0, 0, None, None, None, None]


def test_a_set_without_objects_has_nothing_defined() -> None:
    report = score(TARGETS * 0, DETECTIONS)
    assert report.headline() == (
        "mAP@.5 -, mAP@.5:.95 -; at the thresholds 0 of 0 objects are found, and 5 of 5 boxes are wrong, on 3 images. "
        "mAP leaves out 3 of 3 classes without objects."
    )
    assert report.facts()["mAP@.5"] == "-"
    json.dumps(report.to_payload(), allow_nan=False)


def test_answers_unrelated_to_the_objects_have_no_good_score() -> None:
    targets, detections, num_classes = draw_set("plain", num_images=100)
    names, thresholds = [str(label) for label in range(num_classes)], [0.3] * num_classes
    report = compute_detection_report(targets, detections[::-1], names, thresholds)
    assert report.precision.at_50
    assert report.precision.at_50.high < 0.05


def test_outputs_that_are_no_numbers_are_an_error() -> None:
    detections = DETECTIONS.copy()
    detections[1, 0, 2] = np.nan
    with pytest.raises(NumericsError) as caught:
        score(TARGETS, detections)
    assert str(caught.value) == (
        "the model's output is not finite for 1 of 3 images.\n"
        "  Expected: finite boxes and scores for every image\n"
        "  Fix: train again with a lower learning rate; the weights have diverged."
    )


def test_thresholds_of_other_classes_and_empty_sets_are_refused() -> None:
    with pytest.raises(ValueError) as caught:
        compute_detection_report(TARGETS, DETECTIONS, NAMES, (0.5,))
    assert str(caught.value) == (
        "expected at least one image, and as many thresholds as classes. Received: 3 images, 3 classes, 1 thresholds"
    )
    with pytest.raises(ValueError):
        score(TARGETS[:0], DETECTIONS[:0])


def test_every_figure_is_drawn(tmp_path: Path) -> None:
    draw_detection_pictures(tmp_path, score())
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(PICTURES)
    for name in PICTURES:
        with Image.open(tmp_path / name) as picture:
            picture.load()
            assert min(picture.size) > 200


def test_figures_of_sets_without_objects_or_detections_leave_out_what_is_undefined(tmp_path: Path) -> None:
    draw_detection_pictures(tmp_path, score(TARGETS * 0, DETECTIONS * 0))
    assert [path.name for path in tmp_path.iterdir()] == ["detection-mistakes.png"]


def test_many_classes_are_drawn_without_names(tmp_path: Path) -> None:
    targets, detections, _ = draw_set("plain", num_images=30)
    targets[..., 4] *= 5
    detections[..., 5] = detections[..., 5] * 5 + 4
    report = compute_detection_report(targets, detections, [f"class {n}" for n in range(36)], [0.3] * 36)
    draw_detection_pictures(tmp_path, report)
    with Image.open(tmp_path / "precision-recall.png") as picture:
        assert picture.width < 900
