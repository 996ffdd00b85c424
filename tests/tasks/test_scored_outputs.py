"""How outputs fare, by the numbers that one works out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tlkit.outputs import CLASSIFICATION, MULTILABEL, REGRESSION
from tlkit.tasks import find_task
from tlkit.tasks.scored_outputs import ScoredClasses, ScoredValues


def score_classes(each: list[float]) -> ScoredClasses:
    return ScoredClasses(np.zeros((len(each), 1)), np.array(each))


def score_values(errors: list[float]) -> ScoredValues:
    return ScoredValues(np.zeros((len(errors), 1)), np.array(errors), np.ones(len(errors)))


def test_losses_are_those_that_one_counts_by_hand() -> None:
    classes = find_task(CLASSIFICATION).measure_losses(np.eye(2), np.array([[0.5, 0.5], [1.0, 0.0]]))
    assert classes == pytest.approx([math.log(2), math.log(1e7)])
    labels = find_task(MULTILABEL).measure_losses(np.array([[1.0, 0.0]]), np.array([[0.5, 0.75]]))
    assert labels == pytest.approx([(math.log(2) + math.log(4)) / 2])
    assert find_task(REGRESSION).measure_losses(np.array([[1.0], [3.0]]), np.array([[1.0], [1.5]])) == pytest.approx(
        [0, 2.25]
    )


def test_outputs_are_scored_as_one_would_by_hand() -> None:
    nothing = np.zeros((2, 2))
    classes = find_task(CLASSIFICATION).score_outputs(np.eye(2), np.array([[0.6, 0.4], [3.0, 2.0]]), nothing)
    assert classes.each.tolist() == [1, 0]
    labels = find_task(MULTILABEL).score_outputs(
        np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([[0.9, 0.1], [0.6, 0.4]]), nothing
    )
    assert labels.each.tolist() == [1, 0.5]
    values = find_task(REGRESSION).score_outputs(
        np.array([[1.0], [3.0]]), np.array([[1.0], [2.0]]), np.array([[2.0], [2.0]])
    )
    assert (values.each.tolist(), values.value) == ([0, 1], 0.5)


@pytest.mark.parametrize(
    ("won", "lost", "better"),
    [(5, 0, False), (6, 0, True), (8, 1, True), (7, 1, False), (0, 9, False), (600, 500, True), (560, 500, False)],
)
def test_classes_are_compared_by_mcnemars_test(won: int, lost: int, better: bool) -> None:
    one = score_classes([1.0] * won + [0.0] * lost + [1.0] * 20)
    two = score_classes([0.0] * won + [1.0] * lost + [1.0] * 20)
    assert one.is_better_than(two) is better


def test_of_values_the_one_with_smaller_errors_is_better() -> None:
    errors = np.random.default_rng(0).uniform(1, 2, 50).tolist()
    halved = [error / 2 for error in errors]
    assert score_values(halved).is_better_than(score_values(errors))
    assert not score_values(errors).is_better_than(score_values(halved))
    assert not score_values(errors).is_better_than(score_values(errors))


def test_the_score_of_a_part_is_that_of_its_images() -> None:
    assert score_classes([1.0, 0.0, 1.0, 1.0]).score_part(np.array([0, 1])) == 0.5
    values = ScoredValues(np.zeros((3, 1)), np.array([1.0, 2.0, 0.0]), np.array([4.0, 4.0, 0.0]))
    assert values.score_part(np.array([0, 1])) == pytest.approx(1 - 3 / 8)
    assert values.score_part(np.array([2])) is None


def test_strata_are_classes_sets_of_labels_or_ranges_of_values() -> None:
    assert find_task(CLASSIFICATION).stratify(np.eye(3)[[2, 0, 1]]) == [2, 0, 1]
    sets = np.array([[1, 0]] * 6 + [[0, 1]] * 5 + [[1, 1]] * 2, float)
    assert find_task(MULTILABEL).stratify(sets) == [(True, False)] * 6 + [(False, True)] * 5 + [(True, False)] * 2
    strata = find_task(REGRESSION).stratify(np.array([[value] for value in (30.0, 10.0, 20.0, 40.0)] * 5))
    assert strata == [2, 0, 1, 3] * 5


def test_a_gain_is_the_difference_of_two_scores_on_the_same_images() -> None:
    right, wrong = [1.0] * 30, [0.0] * 30
    gain = score_classes(right + wrong).compute_gain(score_classes([0.0] * 6 + right[6:] + wrong))
    assert (gain.value, gain.low > 0) == (0.1, True)
    errors = np.random.default_rng(0).uniform(1, 2, 50)
    spread = np.full(50, 4.0)
    one, other = (ScoredValues(np.zeros((50, 1)), each, spread) for each in (errors / 2, errors))
    gain = one.compute_gain(other)
    assert gain.value == pytest.approx(one.value - other.value)
    assert 0 < gain.low < gain.value < gain.high


def test_the_losses_of_images_are_one_minus_the_score_on_average() -> None:
    assert score_classes([1.0, 0.0, 1.0, 1.0]).losses.mean() == 0.25
    values = ScoredValues(np.zeros((2, 1)), np.array([1.0, 2.0]), np.array([4.0, 8.0]))
    assert 1 - values.losses.mean() == pytest.approx(values.value) == 0.75
    assert ScoredValues(np.zeros((2, 1)), np.zeros(2), np.zeros(2)).losses.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("task", "targets", "encoded"),
    [
        (CLASSIFICATION, np.array([1, 0]), [[0.0, 1.0], [1.0, 0.0]]),
        (MULTILABEL, np.array([[1.0, 1.0], [0.0, 1.0]]), [[1.0, 1.0], [0.0, 1.0]]),
        (REGRESSION, np.array([[7.0], [3.0]]), [[7.0], [3.0]]),
    ],
)
def test_probes_learn_numbers(task: str, targets: np.ndarray, encoded: list[list[float]]) -> None:
    assert find_task(task).encode_targets(targets, 2).tolist() == encoded
