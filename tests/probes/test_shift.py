from __future__ import annotations

import numpy as np
import pytest

from tlkit.probes.shift import (
    FeatureShift,
    compare_features,
    compare_values,
    estimate_error,
    estimate_score,
    list_decisions,
)


def test_a_higher_sample_is_seen_to_be_higher() -> None:
    rng = np.random.default_rng(0)
    found = compare_values(rng.normal(size=60), rng.normal(1.5, size=40))
    assert found.above > 0.75
    assert found.p_value == 0.001
    assert found.new - found.known > 1


def test_equal_values_are_no_difference() -> None:
    found = compare_values(np.ones(5), np.ones(7))
    assert (found.above, found.p_value) == (0.5, 1.0)


def test_two_samples_of_the_same_are_rarely_different() -> None:
    p_values = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        p_values.append(compare_values(rng.normal(size=30), rng.normal(size=20), seed=seed).p_value)
    assert 0.25 < np.mean(p_values) < 0.75
    assert np.mean(np.array(p_values) < 0.05) <= 0.15


@pytest.mark.parametrize("num_new", [5, 40])
def test_features_that_have_moved_are_different_and_others_are_not(num_new: int) -> None:
    rng = np.random.default_rng(2)
    known, same = 1 + rng.normal(size=(60, 8)), 1 + rng.normal(size=(num_new, 8))
    moved = compare_features(known, same + np.array([4, 0, 0, 0, 0, 0, 0, 0]))
    assert moved.p_value < 0.01
    assert moved.separability > 0.9
    alike = compare_features(known, same)
    assert alike.p_value > 0.05
    assert alike.separability < 0.75


def test_images_are_told_apart_where_there_are_more_features_than_images() -> None:
    rng = np.random.default_rng(4)
    known, new = rng.normal(size=(32, 200)), rng.normal(size=(40, 200))
    assert compare_features(known, new + 2 * (np.arange(200) % 2)).separability > 0.95
    assert 0.3 < compare_features(known, new).separability < 0.7


def test_a_single_image_can_be_compared() -> None:
    rng = np.random.default_rng(3)
    found = compare_features(rng.normal(size=(20, 4)), rng.normal(size=(1, 4)))
    assert 0 <= found.separability <= 1
    assert 0 < found.p_value <= 1


def draw_answers(num_images: int, sureness: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return calibrated probabilities of three classes, and whether the most probable is right."""
    rng = np.random.default_rng(seed)
    logits = sureness * rng.normal(size=(num_images, 3))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(3, p=row) for row in probabilities])
    return probabilities, probabilities.argmax(axis=1) == labels


def test_the_expected_accuracy_falls_with_the_confidence_and_its_interval_holds_the_true_one() -> None:
    known, is_right = draw_answers(800, 3.0, 0)
    new, is_new_right = draw_answers(800, 1.5, 1)
    decisions = [list_decisions(each, is_exclusive=True) for each in (known, new)]
    expected = estimate_score(decisions[0], is_right[:, None], decisions[1])
    assert is_new_right.mean() < is_right.mean() - 0.1
    assert expected.value < is_right.mean() - 0.1
    assert expected.low <= is_new_right.mean() <= expected.high


def test_on_images_like_the_known_ones_the_known_accuracy_is_expected() -> None:
    known, is_right = draw_answers(800, 3.0, 0)
    new, is_new_right = draw_answers(800, 3.0, 5)
    decisions = [list_decisions(each, is_exclusive=True) for each in (known, new)]
    expected = estimate_score(decisions[0], is_right[:, None], decisions[1])
    assert abs(expected.value - is_new_right.mean()) < 0.04
    assert expected.high - expected.low < 0.2


def test_few_images_have_a_wide_interval() -> None:
    known, is_right = draw_answers(300, 3.0, 0)
    decisions = list_decisions(known, is_exclusive=True)
    many, few = (estimate_score(decisions, is_right[:, None], each) for each in (decisions, decisions[:5]))
    assert few.high - few.low > 2 * (many.high - many.low)
    assert 0 <= few.low <= few.value <= few.high <= 1


def test_a_model_that_was_always_right_is_expected_to_be_so_where_it_is_as_sure() -> None:
    known = np.array([[0.9, 0.1], [0.8, 0.2], [0.95, 0.05]])
    new = np.array([[0.85, 0.15], [0.5, 0.5]])
    decisions = [list_decisions(each, is_exclusive=True) for each in (known, new)]
    expected = estimate_score(decisions[0], np.ones((3, 1), np.bool_), decisions[1])
    assert expected.value == pytest.approx(0.75 * 0.5 + 0.25 * (1 - 0.8833 + 0.675), abs=1e-3)


def test_each_label_is_a_decision() -> None:
    decisions = list_decisions(np.array([[0.5, 1.0]]), is_exclusive=False)
    np.testing.assert_allclose(decisions, [[[0.5, 0.5], [1.0, 0.0]]])


def test_the_expected_error_of_values_is_that_of_images_like_them() -> None:
    known = np.repeat(np.eye(2), 20, axis=0)
    residuals = np.repeat([1.0, 5.0], 20)
    new = np.tile([0.0, 1.0], (30, 1))
    close, far = (estimate_error(known, residuals, new, FeatureShift(each, 0.5)) for each in (0.5, 1.0))
    assert close.value == far.value == 5.0
    assert far.high - far.low > close.high - close.low
