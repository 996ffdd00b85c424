from __future__ import annotations

import numpy as np
import pytest

from tlkit.probes.shift import compare_features, compare_values


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
