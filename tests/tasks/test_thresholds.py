"""Thresholds against every other that there could be."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.tasks.thresholds import apply_thresholds, choose_thresholds


def compute_f1(is_borne: np.ndarray, probabilities: np.ndarray, threshold: float) -> float:
    is_said = probabilities >= np.float32(threshold)
    return float(2 * (is_borne & is_said).sum() / (is_borne.sum() + is_said.sum()))


def choose(is_borne: list[int], probabilities: list[float]) -> float:
    (threshold,) = choose_thresholds(np.array([is_borne]).T, np.array([probabilities], np.float32).T)
    return float(threshold)


@pytest.mark.parametrize("num_scores", [3, 10, 1_000_000])
def test_no_other_threshold_has_a_better_f1(num_scores: int) -> None:
    rng = np.random.default_rng(num_scores)
    labels = (rng.random((40, 25)) < rng.uniform(0.1, 0.9, 25)).astype(np.float32)
    probabilities = (rng.integers(0, num_scores + 1, (40, 25)) / num_scores).astype(np.float32)
    thresholds = choose_thresholds(labels, probabilities)
    assert thresholds.dtype == np.float32
    assert thresholds.shape == (25,)
    assert ((thresholds > 0) & (thresholds < 1)).all()
    others = np.concatenate([np.linspace(0.001, 0.999, 500), np.unique(probabilities)[1:-1]])
    for is_borne, column, threshold in zip(labels.T == 1, probabilities.T, thresholds, strict=True):
        best = max(compute_f1(is_borne, column, other) for other in others)
        assert compute_f1(is_borne, column, threshold) >= best


def test_the_threshold_lies_midway_between_the_neighbouring_probabilities() -> None:
    assert choose([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9]) == pytest.approx(0.4)
    assert choose([0, 1, 1], [0.1, 0.8, 0.9]) == pytest.approx(0.45)


def test_of_equally_good_thresholds_the_one_nearest_a_half_is_chosen() -> None:
    # Taking 2 of 2 bearers with 2 others, or 1 of 2 bearers with none, has an F1 of 2/3 both times.
    assert choose([1, 0, 0, 1], [0.9, 0.7, 0.3, 0.2]) == pytest.approx(0.8)
    assert choose([1, 0, 0, 1], [0.99, 0.97, 0.7, 0.6]) == pytest.approx(0.3)


@pytest.mark.parametrize("is_borne", [[0, 0, 0], [1, 1, 1]])
def test_a_label_of_all_images_or_none_gets_a_half(is_borne: list[int]) -> None:
    assert choose(is_borne, [0.9, 0.1, 0.2]) == 0.5


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_certain_answers_leave_a_threshold_between_0_and_1(probability: float) -> None:
    assert choose([1, 0], [probability, probability]) == 0.5
    assert 0 < choose([1, 0], [1.0, np.nextafter(np.float32(1), np.float32(0))]) < 1
    assert 0 < choose([1, 0], [np.nextafter(np.float32(0), np.float32(1)), 0.0]) < 1


def test_neighbouring_float32_are_still_parted() -> None:
    low = np.float32(0.3)
    high = np.nextafter(low, np.float32(1))
    probabilities = np.array([[low], [high]])
    thresholds = choose_thresholds(np.array([[0], [1]]), probabilities)
    assert apply_thresholds(probabilities, thresholds).tolist() == [[False], [True]]


def test_a_label_is_there_from_its_own_threshold_on() -> None:
    thresholds = np.array([0.3, 0.7], np.float32)
    assert apply_thresholds(np.array([[0.3, 0.69], [0.29, 0.7]]), thresholds).tolist() == [[True, False], [False, True]]
    assert apply_thresholds(np.array([0.5, 0.5], np.float32), thresholds).tolist() == [True, False]
