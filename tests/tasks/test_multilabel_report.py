"""Scores of several labels an image: by hand, at the ends, and where labels are missing from the set."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tlkit.errors import NumericsError
from tlkit.tasks.multilabel_report import MultilabelReport, compute_multilabel_report
from tlkit.tasks.report import Report

LABELS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]], np.float32)
PROBABILITIES = np.array([[0.9, 0.2, 0.1], [0.6, 0.4, 0.1], [0.7, 0.8, 0.6], [0.1, 0.3, 0.2]], np.float32)
THRESHOLDS = np.array([0.5, 0.5, 0.5], np.float32)


def score(labels: np.ndarray = LABELS, probabilities: np.ndarray = PROBABILITIES) -> MultilabelReport:
    return compute_multilabel_report(labels, probabilities, ["cat", "dog", "eel"], THRESHOLDS)


def test_the_report_of_a_small_set_is_what_one_counts_by_hand() -> None:
    report = score()
    cat, dog, eel = report.labels
    assert (cat.precision, cat.recall, cat.f1, cat.support) == (2 / 3, 1.0, 0.8, 2)
    assert (dog.precision, dog.recall, dog.f1, dog.support) == (1.0, 0.5, 2 / 3, 2)
    assert (eel.precision, eel.recall, eel.f1, eel.support) == (0.0, None, 0.0, 0)
    assert cat.average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert (dog.average_precision, eel.average_precision) == (1.0, None)
    assert report.mean_average_precision
    assert report.mean_average_precision.value == pytest.approx((5 / 6 + 1) / 2)
    assert report.micro_f1 == pytest.approx(2 * 3 / (5 + 4))
    assert report.macro_f1 == pytest.approx((0.8 + 2 / 3 + 0) / 3)
    assert report.all_right.value == 2 / 4


def test_perfect_answers_have_scores_of_1() -> None:
    report = score(probabilities=LABELS)
    assert report.mean_average_precision
    for interval in (report.mean_average_precision, report.all_right):
        assert (interval.value, interval.high) == (1, 1)
    assert (report.micro_f1, report.macro_f1) == (1, 1)
    assert report.labels[2].f1 is None


def test_answers_unrelated_to_the_labels_have_no_good_score() -> None:
    rng = np.random.default_rng(0)
    labels = rng.random((300, 3)) < 0.2
    report = score(labels, rng.random((300, 3)))
    assert report.mean_average_precision
    assert report.mean_average_precision.high < 0.35
    assert report.mean_average_precision.low < report.mean_average_precision.value


@pytest.mark.parametrize("bearing", [[1, 0, 1], [0, 0, 0], [1, 1, 1]])
def test_one_image_can_be_scored(bearing: list[int]) -> None:
    report = score(np.array([bearing]), np.array([[0.9, 0.1, 0.2]]))
    assert report.num_images == 1
    assert (report.mean_average_precision is None) == (not any(bearing))
    assert report.all_right.low <= report.all_right.value <= report.all_right.high


def test_a_set_without_any_label_has_nothing_defined() -> None:
    report = score(np.zeros((2, 3)), np.zeros((2, 3)))
    assert (report.mean_average_precision, report.micro_f1, report.macro_f1) == (None, None, None)
    assert report.headline() == (
        "mAP -, micro-F1 -, macro-F1 -, all labels right 1.000 (95% interval 0.342 to 1.000), on 2 images. "
        "mAP leaves out 3 of 3 labels that no image has."
    )
    assert report.facts()["mAP"] == "-"


def test_each_label_is_scored_at_its_own_threshold() -> None:
    thresholds = np.array([0.65, 0.35, 0.7], np.float32)
    report = compute_multilabel_report(LABELS, PROBABILITIES, ["cat", "dog", "eel"], thresholds)
    assert [label.threshold for label in report.labels] == [0.65, 0.35, 0.7]
    assert [label.f1 for label in report.labels] == [0.5, 1.0, None]


def test_the_words_and_the_table_have_every_figure() -> None:
    report: Report = score()
    assert report.headline() == (
        "mAP 0.917 (95% interval 0.667 to 1.000), micro-F1 0.667, macro-F1 0.489, all labels right 0.500 "
        "(95% interval 0.150 to 0.850), on 4 images. mAP leaves out 1 of 3 labels that no image has."
    )
    assert report.facts() == {
        "mAP": "0.917 (0.667 to 1.000)",
        "micro-F1": "0.667 (0.500 to 1.000)",
        "macro-F1": "0.489 (0.333 to 1.000)",
        "all labels right": "0.500 (0.150 to 0.850)",
        "images": "4",
    }
    assert report.score_table() == (
        ("label", "threshold", "AP", "precision", "recall", "F1", "images"),
        [
            ("cat", "0.500", "0.833", "0.667", "1.000", "0.800", "2"),
            ("dog", "0.500", "1.000", "1.000", "0.500", "0.667", "2"),
            ("eel", "0.500", "-", "0.000", "-", "0.000", "0"),
            ("mean of the labels", "-", "0.917", "0.556", "0.750", "0.489", "4"),
        ],
    )


def test_the_payload_is_json_and_names_the_labels_that_are_left_out() -> None:
    payload = json.loads(json.dumps(score().to_payload(), allow_nan=False))
    assert payload["images"] == 4
    assert set(payload["mean_average_precision"]) == {"value", "low", "high"}
    assert payload["labels_without_images"] == ["eel"]
    assert payload["labels"][2] == {
        "label_name": "eel",
        "threshold": 0.5,
        "average_precision": None,
        "precision": 0.0,
        "recall": None,
        "f1": 0.0,
        "support": 0,
        "claimed": 1,
    }


def test_answers_that_are_no_numbers_are_an_error() -> None:
    probabilities = PROBABILITIES.copy()
    probabilities[1:3, 0] = np.nan
    with pytest.raises(NumericsError) as caught:
        score(probabilities=probabilities)
    assert str(caught.value) == (
        "the model's output is not finite for 2 of 4 images.\n"
        "  Expected: finite probabilities for every image\n"
        "  Fix: train again with a lower learning rate; the weights have diverged."
    )


@pytest.mark.parametrize(
    ("labels", "probabilities", "thresholds"),
    [
        (LABELS[:3], PROBABILITIES, THRESHOLDS),
        (LABELS[:, :2], PROBABILITIES[:, :2], THRESHOLDS),
        (LABELS, PROBABILITIES, THRESHOLDS[:2]),
        (LABELS[:0], PROBABILITIES[:0], THRESHOLDS),
        (LABELS[0], PROBABILITIES[0], THRESHOLDS),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(
    labels: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray
) -> None:
    with pytest.raises(ValueError) as caught:
        compute_multilabel_report(labels, probabilities, ["cat", "dog", "eel"], thresholds)
    assert str(caught.value) == (
        "expected labels and probabilities of shape (n, 3), n >= 1, and a threshold each. "
        f"Received: labels.shape={labels.shape}, probabilities.shape={probabilities.shape}, "
        f"thresholds.shape={thresholds.shape}"
    )


def test_labels_other_than_0_and_1_are_refused() -> None:
    with pytest.raises(ValueError) as caught:
        score(labels=LABELS * 2)
    assert str(caught.value) == "expected labels of 0 and 1. Received: [0. 2.]"
