"""Scores against values worked out by hand, and against the definitions for random ones."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tlkit.errors import NumericsError
from tlkit.tasks.classification_report import Mistake, compute_classification_report
from tlkit.tasks.report import Report


def one_hot(predicted: list[int], num_classes: int) -> np.ndarray:
    return np.eye(num_classes, dtype=np.float32)[predicted]


def test_the_report_of_a_small_set_is_what_one_counts_by_hand() -> None:
    labels = np.array([0, 0, 0, 1, 1, 2])
    report = compute_classification_report(labels, one_hot([0, 0, 1, 1, 0, 1], 3), ["cat", "dog", "eel"])

    assert report.num_images == 6
    assert report.accuracy.value == 0.5
    assert report.confusion.tolist() == [[2, 1, 0], [1, 1, 0], [0, 1, 0]]
    cat, dog, eel = report.classes
    assert (cat.precision, cat.recall, cat.f1, cat.support) == (2 / 3, 2 / 3, 2 / 3, 3)
    assert (dog.precision, dog.recall, dog.f1, dog.support) == (1 / 3, 1 / 2, 0.4, 2)
    assert (eel.precision, eel.recall, eel.f1, eel.support) == (None, 0.0, 0.0, 1)
    assert report.macro_f1 == pytest.approx((2 / 3 + 0.4 + 0) / 3)


def test_confusion_has_true_classes_in_rows() -> None:
    report = compute_classification_report(np.array([0, 0]), one_hot([1, 1], 2), ["no", "yes"])
    assert report.confusion.tolist() == [[0, 2], [0, 0]]
    assert report.mistakes == (Mistake("no", "yes", 2),)


def test_mistakes_come_with_the_most_frequent_first() -> None:
    labels = np.array([0, 1, 1, 2, 2, 2, 2])
    report = compute_classification_report(labels, one_hot([1, 0, 0, 0, 0, 0, 2], 3), ["a", "b", "c"])
    assert report.mistakes == (Mistake("c", "a", 3), Mistake("b", "a", 2), Mistake("a", "b", 1))


def test_a_class_that_neither_occurs_nor_is_predicted_does_not_change_macro_f1() -> None:
    labels, predicted = np.array([0, 1, 1]), [0, 1, 0]
    two = compute_classification_report(labels, one_hot(predicted, 2), ["a", "b"])
    three = compute_classification_report(labels, one_hot(predicted, 3), ["a", "b", "absent"])
    assert three.macro_f1 == two.macro_f1
    assert three.classes[2].f1 is None


def test_a_class_that_is_only_predicted_counts_as_a_failure_in_macro_f1() -> None:
    report = compute_classification_report(np.array([0, 0]), one_hot([0, 1], 2), ["a", "b"])
    assert report.classes[1].f1 == 0
    assert report.macro_f1 == pytest.approx((2 / 3) / 2)


def test_figures_agree_with_their_definitions_on_random_answers() -> None:
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 5, 400)
    probabilities = rng.dirichlet(np.ones(5), 400).astype(np.float32)
    report = compute_classification_report(labels, probabilities, list("abcde"))
    predicted = probabilities.argmax(axis=1)

    assert report.accuracy.value == np.mean(predicted == labels)
    assert report.confusion.sum() == 400
    for label, score in enumerate(report.classes):
        hits = np.sum((predicted == label) & (labels == label))
        assert score.precision == pytest.approx(hits / np.sum(predicted == label))
        assert score.recall == pytest.approx(hits / np.sum(labels == label))
        assert score.precision
        assert score.recall
        assert score.f1 == pytest.approx(2 / (1 / score.precision + 1 / score.recall))


def test_of_equal_probabilities_the_first_class_is_the_answer() -> None:
    report = compute_classification_report(np.array([0]), np.full((1, 2), 0.5, np.float32), ["a", "b"])
    assert report.accuracy.value == 1


def test_the_payload_is_json_and_the_table_has_a_row_for_each_class_and_the_mean() -> None:
    report = compute_classification_report(np.array([0, 1]), one_hot([0, 0], 3), ["a", "b", "c"])
    payload = json.loads(json.dumps(report.to_payload(), allow_nan=False))
    assert set(payload["accuracy"]) == {"value", "low", "high"}
    assert payload["classes"][1] == {
        "class_name": "b",
        "precision": None,
        "recall": 0.0,
        "f1": 0.0,
        "support": 1,
        "claimed": 0,
    }
    assert report.score_table() == (
        ("class", "precision", "recall", "F1", "images"),
        [
            ("a", "0.500", "1.000", "0.667", "1"),
            ("b", "-", "0.000", "0.000", "1"),
            ("c", "-", "-", "-", "0"),
            ("mean of the classes", "0.500", "0.500", "0.333", "2"),
        ],
    )


def test_the_headline_and_the_facts_have_the_interval() -> None:
    report: Report = compute_classification_report(np.array([0] * 10), one_hot([0] * 9 + [1], 2), ["a", "b"])
    assert report.headline() == (
        "Accuracy 0.900 (95% interval 0.596 to 0.982), macro-F1 0.474, calibration error 0.100, on 10 images."
    )
    assert report.facts() == {
        "accuracy": "0.900 (0.596 to 0.982)",
        "macro-F1": "0.474 (0.412 to 1.000)",
        "calibration error": "0.100 (0.000 to 0.300)",
        "images": "10",
    }


def test_answers_that_are_no_numbers_are_an_error() -> None:
    probabilities = one_hot([0, 1, 1], 2)
    probabilities[2] = np.nan
    with pytest.raises(NumericsError) as caught:
        compute_classification_report(np.array([0, 1, 1]), probabilities, ["a", "b"])
    assert str(caught.value) == (
        "the model's output is not finite for 1 of 3 images.\n"
        "  Expected: finite probabilities for every image\n"
        "  Fix: train again with a lower learning rate; the weights have diverged."
    )


@pytest.mark.parametrize("labels", [[0, 1, 2], [0], []])
def test_labels_and_probabilities_that_do_not_fit_together_are_refused(labels: list[int]) -> None:
    with pytest.raises(ValueError, match=r"expected probabilities of shape \(n, 2\) for n >= 1 labels"):
        compute_classification_report(np.array(labels, dtype=int), one_hot([0, 1], 2), ["a", "b"])


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_without_a_class_is_refused(label: int) -> None:
    with pytest.raises(ValueError, match=r"expected labels in 0\.\.1"):
        compute_classification_report(np.array([label, 0]), one_hot([0, 1], 2), ["a", "b"])


@pytest.mark.parametrize(("k", "num_right"), [(1, 2), (2, 3), (3, 4)])
def test_top_k_accuracy_counts_the_true_class_among_the_first_and_of_equals_the_first(k: int, num_right: int) -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2], [0.4, 0.4, 0.2], [0.1, 0.2, 0.7]], np.float32)
    report = compute_classification_report(np.array([0, 0, 1, 0]), probabilities, ("a", "b", "c"), top_k=k)
    assert report.top_k_accuracy is not None
    interval = report.top_k_accuracy.interval
    assert interval.value == num_right / 4
    assert (k == 1) == (interval == report.accuracy)
    assert f", top-{k} accuracy {interval.in_words()}, macro-F1" in report.headline()
    assert report.facts()[f"top-{k} accuracy"] == interval.in_brief()
    assert report.to_payload()["top_k_accuracy"]["k"] == k
