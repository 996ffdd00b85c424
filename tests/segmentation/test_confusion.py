"""Counts of places, and scores that agree with their definitions, place by place."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.segmentation.confusion import (
    compute_dice,
    compute_iou,
    compute_mean_of_classes,
    compute_pixel_accuracy,
    count_confusions,
)


def draw_masks(seed: int = 0, num_classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return a true and a predicted mask that agree in part, with places to ignore in both."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, num_classes + 1, (30, 40)).astype(np.uint8)
    predicted = np.where(rng.random(truth.shape) < 0.6, truth, rng.integers(0, num_classes + 1, truth.shape))
    truth[rng.random(truth.shape) < 0.1] = 255
    predicted[:2] = 255
    return truth, predicted.astype(np.uint8)


def test_scores_are_those_of_sets_of_places() -> None:
    truth, predicted = draw_masks()
    counted = (truth != 255) & (predicted != 255)
    counts = count_confusions(truth, predicted, 3)
    assert counts.sum() == counted.sum()
    for place in range(4):
        true, given = counted & (truth == place), counted & (predicted == place)
        assert compute_iou(counts)[place] == pytest.approx((true & given).sum() / (true | given).sum())
        assert compute_dice(counts)[place] == pytest.approx(2 * (true & given).sum() / (true.sum() + given.sum()))
        for other in range(4):
            assert counts[place, other] == (true & (predicted == other)).sum()
    assert compute_pixel_accuracy(counts) == pytest.approx((truth == predicted)[counted].mean())


def test_scores_agree_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="install scikit-learn to compare with it")
    truth, predicted = draw_masks(seed=1)
    counted = (truth != 255) & (predicted != 255)
    true, given = truth[counted], predicted[counted]
    counts = count_confusions(truth, predicted, 3)
    assert (metrics.confusion_matrix(true, given, labels=range(4)) == counts).all()
    assert metrics.jaccard_score(true, given, labels=range(4), average=None) == pytest.approx(compute_iou(counts))
    assert metrics.f1_score(true, given, labels=range(4), average=None) == pytest.approx(compute_dice(counts))


def test_a_class_in_neither_mask_has_no_score_and_does_not_count_in_the_mean() -> None:
    counts = count_confusions(np.array([0, 1, 1], np.uint8), np.array([0, 1, 0], np.uint8), 2)
    assert np.isnan(compute_iou(counts)[2])
    assert compute_mean_of_classes(compute_iou(counts)) == 0.5
    assert compute_mean_of_classes(compute_iou(counts), with_background=True) == 0.5
    empty = count_confusions(np.array([0], np.uint8), np.array([0], np.uint8), 2)
    assert np.isnan(compute_mean_of_classes(compute_iou(empty)))


def test_a_model_that_finds_nothing_scores_zero_whatever_the_background() -> None:
    truth = np.zeros(1000, np.uint8)
    truth[:5] = 1
    counts = count_confusions(truth, np.zeros_like(truth), 1)
    assert compute_mean_of_classes(compute_iou(counts)) == 0
    assert compute_mean_of_classes(compute_iou(counts), with_background=True) > 0.49
    assert compute_pixel_accuracy(counts) == 0.995


def test_an_index_beyond_the_classes_is_refused() -> None:
    with pytest.raises(ValueError) as refused:
        count_confusions(np.array([0, 2], np.uint8), np.array([0, 1], np.uint8), 1)
    assert str(refused.value) == "Expected indices 0..1 or 255. Received: 2"
