"""Losses by hand-made numbers, and how boxes agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tlkit.outputs import CLASSIFICATION, MULTILABEL, REGRESSION
from tlkit.tasks import find_task
from tlkit.training.losses import compute_box_losses, compute_class_weights, compute_iou, compute_object_weights

LEFT = [0.25, 0.5, 0.5, 1.0]
RIGHT = [0.75, 0.5, 0.5, 1.0]
MIDDLE = [0.5, 0.5, 0.5, 1.0]


def boxes(*rows: list[float]) -> Any:
    """Return float32 boxes cx, cy, w, h."""
    return np.array(rows, np.float32)


def test_an_undecided_answer_costs_what_information_theory_says() -> None:
    undecided = np.zeros((2, 4), np.float32)
    classes = find_task(CLASSIFICATION).compute_losses(np.array([0, 3], np.int32), undecided, label_smoothing=0.1)
    np.testing.assert_allclose(classes, np.log(4), rtol=1e-6)
    labels = np.array([[1, 0, 0, 1], [0, 0, 0, 0]], np.float32)
    np.testing.assert_allclose(
        find_task(MULTILABEL).compute_losses(labels, undecided, label_smoothing=0.0), np.log(2), rtol=1e-6
    )


def test_a_sure_and_right_answer_costs_nothing_unless_labels_are_smoothed() -> None:
    sure = np.array([[30, -30, -30]], np.float32)
    for task, answer in ((CLASSIFICATION, np.array([0], np.int32)), (MULTILABEL, np.array([[1, 0, 0]], np.float32))):
        plain, smoothed = (
            float(find_task(task).compute_losses(answer, sure, label_smoothing=amount)[0]) for amount in (0.0, 0.1)
        )
        assert plain == pytest.approx(0, abs=1e-6)
        assert smoothed > 0.5


def test_a_value_costs_its_square_when_near_and_its_distance_when_far() -> None:
    values = np.array([[0.5], [4.0]], np.float32)
    losses = find_task(REGRESSION).compute_losses(values, np.zeros((2, 1), np.float32), label_smoothing=0.0)
    np.testing.assert_allclose(losses, [0.125, 3.5])


def test_the_focal_loss_is_the_formula_of_the_paper() -> None:
    logits = np.array([[2, 0, -1], [0.5, 0, 3]], np.float32)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    right = probabilities[[0, 1], [0, 1]]
    np.testing.assert_allclose(
        find_task(CLASSIFICATION).compute_losses(np.array([0, 1], np.int32), logits, focal=2.0),
        -((1 - right) ** 2) * np.log(right),
        rtol=1e-5,
    )
    labels = np.array([[1, 0, 0], [1, 1, 0]], np.float32)
    right = np.where(labels == 1, 1 / (1 + np.exp(-logits)), 1 / (1 + np.exp(logits)))
    np.testing.assert_allclose(
        find_task(MULTILABEL).compute_losses(labels, logits, focal=0.5),
        (-((1 - right) ** 0.5) * np.log(right)).mean(axis=1),
        rtol=1e-5,
    )


@pytest.mark.parametrize("task", [CLASSIFICATION, MULTILABEL])
def test_a_focal_loss_near_zero_is_the_cross_entropy(task: str) -> None:
    logits = np.array([[2, 0, -1], [0.5, 0, 3]], np.float32)
    answers = {CLASSIFICATION: np.array([0, 1], np.int32), MULTILABEL: np.array([[1, 0, 0], [1, 1, 0]], np.float32)}
    plain, focal = (
        find_task(task).compute_losses(answers[task], logits, label_smoothing=0.1, focal=gamma) for gamma in (0.0, 1e-7)
    )
    np.testing.assert_allclose(focal, plain, rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_the_focal_loss_of_a_certain_answer_has_a_slope(gamma: float) -> None:
    """The slope of a root at 0 is infinite; times the logarithm of 1 it would be no number."""
    logits = tf.constant([[200.0, -200.0], [-200.0, 200.0]])
    for task, answers in ((CLASSIFICATION, tf.constant([0, 0])), (MULTILABEL, tf.constant([[1.0, 0.0], [1.0, 0.0]]))):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            losses = find_task(task).compute_losses(answers, logits, focal=gamma)
        assert np.isfinite(tape.gradient(losses, logits).numpy()).all()
        assert losses.numpy()[1] > 100


def test_iou_of_equal_shifted_and_separate_boxes() -> None:
    np.testing.assert_allclose(
        compute_iou(boxes(LEFT, LEFT, LEFT), boxes(LEFT, MIDDLE, RIGHT)), [1, 1 / 3, 0], atol=1e-6
    )
    assert float(compute_iou(boxes([0.5, 0.5, 0, 0]), boxes([0.5, 0.5, 0, 0]))[0]) == 0


@pytest.mark.parametrize("kind", ["mse", "huber", "ciou"])
def test_every_box_loss_is_nothing_at_the_truth_and_grows_with_distance(kind: str) -> None:
    losses = np.asarray(compute_box_losses(kind, boxes(LEFT, LEFT, LEFT), boxes(LEFT, MIDDLE, RIGHT)))
    assert losses[0] == pytest.approx(0, abs=1e-6)
    assert 0 < losses[1] < losses[2]


def test_ciou_of_separate_boxes_is_the_formula_of_the_paper() -> None:
    """No overlap, equal proportions: 1 + squared distance of the centres / squared diagonal of what encloses both."""
    loss = compute_box_losses("ciou", boxes([0.2, 0.2, 0.2, 0.2]), boxes([0.8, 0.6, 0.2, 0.2]))
    assert float(loss[0]) == pytest.approx(1 + (0.36 + 0.16) / (0.64 + 0.36), rel=1e-5)


def test_balanced_weights_make_every_class_count_alike() -> None:
    labels = np.array([0, 0, 0, 1], dtype=np.int32)
    weights = compute_class_weights(labels, num_classes=2, mode="balanced")
    assert weights.dtype == np.float32
    assert weights[:3].sum() == pytest.approx(weights[3:].sum())
    assert weights.mean() == pytest.approx(1.0)
    assert compute_class_weights(labels, num_classes=2, mode="none").tolist() == [1, 1, 1, 1]


def test_an_image_of_objects_weighs_as_much_as_the_rarest_of_its_classes() -> None:
    targets = np.zeros((10, 2, 6), np.float32)
    targets[:9, 0, 4] = 1  # nine images of the first class, one of them with the second, too, and one without any
    targets[0, 1, 4] = 2
    targets[1, 1, 4:] = (2, 1)  # ignored
    weights = compute_object_weights(targets, num_classes=3, mode="balanced")
    np.testing.assert_allclose(weights, np.array([3.0] + [1.0] * 9) / 1.2, rtol=1e-6)
    assert weights.dtype == np.float32
    assert compute_object_weights(targets, num_classes=3, mode="none").tolist() == [1.0] * 10
