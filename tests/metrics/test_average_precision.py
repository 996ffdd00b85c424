"""Average precision against a case worked out by hand, and against its definition, with and without equal scores."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.metrics.average_precision import compute_average_precisions, measure_mean_average_precision


def average_precision_by_definition(is_borne: np.ndarray, scores: np.ndarray) -> float:
    """Sum, over falling thresholds, the recall gained times the precision."""
    area, recall_before = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        taken = scores >= threshold
        recall = float((taken & is_borne).sum() / is_borne.sum())
        area += (recall - recall_before) * float((taken & is_borne).sum() / taken.sum())
        recall_before = recall
    return area


def test_the_area_is_what_one_computes_by_hand() -> None:
    labels = np.array([[1, 0, 1, 0, 1]], bool).T
    (area,) = compute_average_precisions(labels, np.array([[0.9, 0.8, 0.7, 0.6, 0.5]]).T)
    assert area == pytest.approx((1 / 1 + 2 / 3 + 3 / 5) / 3)


def test_equal_scores_are_taken_in_together() -> None:
    scores = np.array([[0.9, 0.5, 0.5, 0.5]]).T
    for order in ([1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]):
        (area,) = compute_average_precisions(np.array([order], bool).T, scores)
        assert area == pytest.approx(0.5 * 1 + 0.5 * 2 / 4)


@pytest.mark.parametrize("num_scores", [2, 5, 1_000_000])
def test_areas_follow_the_definition_on_random_scores(num_scores: int) -> None:
    rng = np.random.default_rng(num_scores)
    labels = rng.random((60, 12)) < rng.uniform(0.05, 0.9, 12)
    scores = (rng.integers(0, num_scores, (60, 12)) / num_scores).astype(np.float32)
    labels[0] = True
    expected = [average_precision_by_definition(*column) for column in zip(labels.T, scores.T, strict=True)]
    assert compute_average_precisions(labels, scores) == pytest.approx(expected)


def test_a_label_without_images_has_no_area_and_is_left_out_of_the_mean() -> None:
    labels = np.array([[1, 0], [0, 0]], bool)
    scores = np.array([[0.2, 0.9], [0.6, 0.1]])
    assert compute_average_precisions(labels, scores) == (0.5, None)
    mean = measure_mean_average_precision(labels, scores)
    assert mean
    assert mean.value == 0.5
    assert measure_mean_average_precision(labels[:, 1:], scores[:, 1:]) is None


def test_the_interval_is_that_of_resampled_images() -> None:
    rng = np.random.default_rng(5)
    labels = rng.random((50, 3)) < 0.3
    scores = (labels + rng.normal(0, 1, (50, 3))).round(1)
    figures = []
    for _ in range(1500):
        drawn = rng.integers(50, size=50)
        areas = compute_average_precisions(labels[drawn], scores[drawn])
        figures.append(np.mean([area for area in areas if area is not None]))
    mean = measure_mean_average_precision(labels, scores)
    assert mean
    assert mean.low < mean.value < mean.high
    assert np.allclose([mean.low, mean.high], np.percentile(figures, [2.5, 97.5]), atol=0.02)
