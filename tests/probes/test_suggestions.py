from __future__ import annotations

import numpy as np
import pytest

from tlkit.metrics.intervals import Interval
from tlkit.outputs import CLASSIFICATION, MULTILABEL, REGRESSION
from tlkit.probes import suggestions
from tlkit.probes.suggestions import Replay, compute_uncertainty, estimate_residuals, replay_batches, select_batch


def test_an_image_is_the_more_unsure_the_nearer_its_two_most_probable_classes_are() -> None:
    probabilities = np.array([[0.5, 0.5, 0.0], [0.8, 0.1, 0.1], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(compute_uncertainty(CLASSIFICATION, probabilities), [1, 0.3, 0])


def test_an_image_with_labels_is_as_unsure_as_its_least_sure_label() -> None:
    probabilities = np.array([[0.5, 0.99], [0.9, 0.05]])
    np.testing.assert_allclose(compute_uncertainty(MULTILABEL, probabilities), [1, 0.2])


def test_with_one_class_only_unlikeness_counts() -> None:
    assert compute_uncertainty(CLASSIFICATION, np.ones((3, 1))).tolist() == [1, 1, 1]


def test_the_expected_error_is_that_of_the_nearest_known_images() -> None:
    known = np.repeat(np.eye(2), 10, axis=0)
    residuals = np.repeat([1.0, 5.0], 10)
    np.testing.assert_allclose(estimate_residuals(np.array([[0.9, 0.1], [0.1, 0.9]]), known, residuals), [1, 5])


def test_a_batch_holds_unsure_images_that_are_unlike_each_other() -> None:
    features = np.repeat(np.eye(4), 10, axis=0)
    uncertainty = np.tile([0.9, *[0.1] * 9], 4)
    chosen = select_batch(uncertainty, features, 4, seed=0)
    assert sorted(chosen) == [0, 10, 20, 30]


def test_equal_images_come_last_and_a_batch_is_never_larger_than_what_there_is() -> None:
    features = np.array([[1, 0], [1, 0], [0, 1]], np.float16)
    chosen = select_batch(np.array([1.0, 1.0, 0.5]), features, 10, seed=0)
    assert sorted(chosen) == [0, 1, 2]
    assert set(chosen[:2]) in ({0, 2}, {1, 2})
    assert select_batch(np.zeros(0), np.zeros((0, 2)), 3, seed=0) == []


def test_the_same_seed_gives_the_same_batch() -> None:
    rng = np.random.default_rng(0)
    features, uncertainty = rng.normal(size=(50, 6)), rng.random(50)
    assert select_batch(uncertainty, features, 9, seed=4) == select_batch(uncertainty, features, 9, seed=4)


def draw_classes(num_images: int, num_rare: int) -> tuple[np.ndarray, np.ndarray]:
    """Return one-hot targets and features of two common classes and some rare images of a third."""
    rng = np.random.default_rng(1)
    labels = np.concatenate([np.arange(num_images) % 2, np.full(num_rare, 2)])
    features = np.eye(3)[labels] @ rng.normal(size=(3, 12)) + 0.1 * rng.normal(size=(len(labels), 12))
    return np.eye(3)[labels], features.astype(np.float32)


def test_the_replay_finds_no_gain_where_features_are_noise_and_says_that_images_are_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(suggestions, "NUM_REPEATS", 10)
    rng = np.random.default_rng(0)
    replay = replay_batches(CLASSIFICATION, np.eye(2)[rng.integers(2, size=120)], rng.normal(size=(120, 8)), 10)
    assert replay is not None
    assert replay.verdict == "unclear"
    assert replay.gain.low < 0 < replay.gain.high
    assert (replay.num_start, replay.num_pool, replay.num_test, replay.num_added) == (40, 40, 40, 10)


def test_the_replay_learns_from_few_images_with_many_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suggestions, "NUM_REPEATS", 5)
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = np.eye(3)[labels] @ rng.normal(size=(3, 400)) + 2.5 * rng.normal(size=(60, 400))
    replay = replay_batches(CLASSIFICATION, np.eye(3)[labels], features, 10)
    assert replay is not None
    assert replay.before > 0.8


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.01, 0.2, "gain"), (-0.2, -0.01, "loss"), (-0.01, 0.02, "no gain"), (-0.02, 0.03, "unclear")],
)
def test_a_wide_interval_around_nothing_is_unclear(low: float, high: float, verdict: str) -> None:
    replay = Replay(20, 5, 20, 20, 20, 0.5, 0.6, 0.6, Interval((low + high) / 2, low, high))
    assert replay.verdict == verdict


@pytest.mark.parametrize("task", [CLASSIFICATION, MULTILABEL, REGRESSION])
def test_every_task_has_a_replay_that_tells_its_steps(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suggestions, "NUM_REPEATS", 3)
    targets, features = draw_classes(80, 10)
    if task == REGRESSION:
        targets = targets @ np.array([[1.0], [4.0], [9.0]])
    told: list[int] = []
    replay = replay_batches(task, targets, features, 500, advance=told.append)
    assert replay is not None
    assert sum(told) == 3
    assert replay.num_added == 15
    assert replay.before <= replay.chosen + 0.05


def test_too_few_labelled_images_have_no_replay() -> None:
    assert replay_batches(CLASSIFICATION, np.eye(2)[[0, 1] * 19], np.ones((38, 3)), 5) is None
