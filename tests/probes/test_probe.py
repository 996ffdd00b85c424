"""Probes against what one works out by hand, and what they may and may not find."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tlkit.metadata.columns import ColumnRequest
from tlkit.metadata.encoding import fit_encoding
from tlkit.metrics.intervals import compute_wilson_interval
from tlkit.outputs import CLASSIFICATION, MULTILABEL, REGRESSION
from tlkit.probes.folds import make_stratified_folds
from tlkit.probes.probe import (
    Probe,
    compute_gain,
    compute_losses,
    is_better,
    make_strata,
    probe_features,
    run_majority,
    run_probes,
    score_outputs,
)


def answered(task: str, each: list[float]) -> Probe:
    values = np.array(each)
    return Probe(task, np.zeros((len(each), 1)), values, np.ones(len(each)))


def test_the_majority_is_what_one_counts_by_hand() -> None:
    targets = np.eye(2)[[0] * 70 + [1] * 30]
    probe = run_majority(CLASSIFICATION, targets, make_stratified_folds(make_strata(CLASSIFICATION, targets)))
    assert probe.score == compute_wilson_interval(70, 100)
    assert probe.each.tolist() == [1.0] * 70 + [0.0] * 30


def test_the_majority_of_labels_is_taken_label_by_label() -> None:
    targets = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 0]] * 25, float)
    probe = run_majority(MULTILABEL, targets, make_stratified_folds(make_strata(MULTILABEL, targets)))
    assert probe.value == pytest.approx((0.75 + 0.75 + 1.0) / 3)
    assert probe.score.low < probe.value < probe.score.high


def test_the_mean_value_has_an_r2_of_0() -> None:
    targets = np.random.default_rng(0).normal(7.0, 3.0, (60, 1))
    assert run_majority(REGRESSION, targets, make_stratified_folds(make_strata(REGRESSION, targets))).value == 0.0


def test_r2_of_random_inputs_is_about_0_or_below() -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        targets, inputs = rng.normal(size=(150, 1)), rng.normal(size=(150, 20))
        probe = run_probes(REGRESSION, targets, inputs, make_stratified_folds(make_strata(REGRESSION, targets)))[0]
        assert -0.3 < probe.value < 0.1
        assert probe.score.low < 0.05


def test_losses_are_those_that_one_counts_by_hand() -> None:
    classes = compute_losses(CLASSIFICATION, np.eye(2), np.array([[0.5, 0.5], [1.0, 0.0]]))
    assert classes == pytest.approx([math.log(2), math.log(1e7)])
    labels = compute_losses(MULTILABEL, np.array([[1.0, 0.0]]), np.array([[0.5, 0.75]]))
    assert labels == pytest.approx([(math.log(2) + math.log(4)) / 2])
    assert compute_losses(REGRESSION, np.array([[1.0], [3.0]]), np.array([[1.0], [1.5]])) == pytest.approx([0, 2.25])


def test_outputs_are_scored_as_one_would_by_hand() -> None:
    nothing = np.zeros((2, 2))
    classes = score_outputs(CLASSIFICATION, np.eye(2), np.array([[0.6, 0.4], [3.0, 2.0]]), nothing)
    assert classes.each.tolist() == [1, 0]
    labels = score_outputs(MULTILABEL, np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([[0.9, 0.1], [0.6, 0.4]]), nothing)
    assert labels.each.tolist() == [1, 0.5]
    values = score_outputs(REGRESSION, np.array([[1.0], [3.0]]), np.array([[1.0], [2.0]]), np.array([[2.0], [2.0]]))
    assert (values.each.tolist(), values.value) == ([0, 1], 0.5)


@pytest.mark.parametrize("width", [3, 200])
def test_what_inputs_tell_is_found_in_each_task(width: int) -> None:
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(120, 3))
    inputs = hidden @ rng.normal(size=(3, width)) + 0.05 * rng.normal(size=(120, width))
    cases = {
        CLASSIFICATION: np.eye(3)[hidden.argmax(axis=1)],
        MULTILABEL: (hidden > 0).astype(float),
        REGRESSION: 100 + 5 * hidden[:, :1],
    }
    for task, targets in cases.items():
        folds = make_stratified_folds(make_strata(task, targets))
        probe, majority = run_probes(task, targets, inputs, folds)[0], run_majority(task, targets, folds)
        assert is_better(probe, majority)
        assert not is_better(majority, probe)
        assert probe.score.low <= probe.value <= probe.score.high
        assert probe.value > 0.8


def test_a_probe_beside_nothing_is_the_probe_alone_and_one_beside_the_answer_is_right() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 90)
    targets, inputs = np.eye(3)[labels], rng.normal(size=(90, 30))
    folds = make_stratified_folds(labels.tolist())
    alone, beside_nothing, beside_answer = run_probes(
        CLASSIFICATION, targets, inputs, folds, beside=[None, np.zeros((90, 2)), targets]
    )
    assert np.array_equal(alone.outputs, beside_nothing.outputs)
    assert beside_answer.value == 1.0


def test_a_prediction_does_not_depend_on_the_images_own_answer() -> None:
    rng = np.random.default_rng(0)
    targets, inputs = rng.normal(size=(60, 1)), rng.normal(size=(60, 40))
    folds = make_stratified_folds(make_strata(REGRESSION, targets))
    changed = targets.copy()
    changed[folds[2].test] += 100.0
    before, after = (run_probes(REGRESSION, each, inputs, folds)[0].outputs for each in (targets, changed))
    np.testing.assert_array_equal(before[folds[2].test], after[folds[2].test])
    assert not np.allclose(before[folds[1].test], after[folds[1].test])


@pytest.mark.parametrize(
    ("won", "lost", "better"),
    [(5, 0, False), (6, 0, True), (8, 1, True), (7, 1, False), (0, 9, False), (600, 500, True), (560, 500, False)],
)
def test_classes_are_compared_by_mcnemars_test(won: int, lost: int, better: bool) -> None:
    one = answered(CLASSIFICATION, [1.0] * won + [0.0] * lost + [1.0] * 20)
    two = answered(CLASSIFICATION, [0.0] * won + [1.0] * lost + [1.0] * 20)
    assert is_better(one, two) is better


def test_of_values_the_one_with_smaller_errors_is_better() -> None:
    errors = np.random.default_rng(0).uniform(1, 2, 50).tolist()
    halved = [error / 2 for error in errors]
    assert is_better(answered(REGRESSION, halved), answered(REGRESSION, errors))
    assert not is_better(answered(REGRESSION, errors), answered(REGRESSION, halved))
    assert not is_better(answered(REGRESSION, errors), answered(REGRESSION, errors))


def test_the_score_of_a_part_is_that_of_its_images() -> None:
    assert answered(CLASSIFICATION, [1.0, 0.0, 1.0, 1.0]).score_part(np.array([0, 1])) == 0.5
    values = Probe(REGRESSION, np.zeros((3, 1)), np.array([1.0, 2.0, 0.0]), np.array([4.0, 4.0, 0.0]))
    assert values.score_part(np.array([0, 1])) == pytest.approx(1 - 3 / 8)
    assert values.score_part(np.array([2])) is None


def test_equal_values_have_an_r2_of_0() -> None:
    targets = np.full((20, 1), 3.0)
    folds = make_stratified_folds(make_strata(REGRESSION, targets))
    assert run_probes(REGRESSION, targets, np.random.default_rng(0).normal(size=(20, 2)), folds)[0].value == 0.0


def test_strata_are_classes_sets_of_labels_or_ranges_of_values() -> None:
    assert make_strata(CLASSIFICATION, np.eye(3)[[2, 0, 1]]) == [2, 0, 1]
    sets = np.array([[1, 0]] * 6 + [[0, 1]] * 5 + [[1, 1]] * 2, float)
    assert make_strata(MULTILABEL, sets) == [(True, False)] * 6 + [(False, True)] * 5 + [(True, False)] * 2
    strata = make_strata(REGRESSION, np.array([[value] for value in (30.0, 10.0, 20.0, 40.0)] * 5))
    assert strata == [2, 0, 1, 3] * 5


def test_a_number_becomes_steps_and_exact_values_beside_what_a_model_takes() -> None:
    texts = ["512"] * 6 + [str(640 + place) for place in range(20)] + ["", "7"]
    rows = [(text, "grey") for text in texts]
    encoding = fit_encoding([ColumnRequest("width"), ColumnRequest("colour")], rows)
    marks = probe_features(encoding, rows)
    np.testing.assert_array_equal(marks[:, : encoding.width], encoding.encode(rows))
    added = marks[:, encoding.width :]
    assert marks.dtype == np.float32
    assert added[26].sum() == 0, "a missing value has no step"
    assert added[:6].sum(axis=1).tolist() == [2.0] * 6, "a step, and 512 exactly"
    assert added[6:26].sum(axis=1).tolist() == [1.0] * 20, "a step alone"
    np.testing.assert_array_equal(added[:, -1], [text == "512" for text in texts])


def test_a_column_without_numbers_adds_nothing() -> None:
    rows = [("",), ("",)]
    encoding = fit_encoding([ColumnRequest("width", "number")], rows)
    assert probe_features(encoding, rows).shape == (2, encoding.width)
    assert probe_features(encoding, []).shape[0] == 0


def test_a_gain_is_the_difference_of_two_scores_on_the_same_images() -> None:
    right, wrong = [1.0] * 30, [0.0] * 30
    gain = compute_gain(
        answered(CLASSIFICATION, right + wrong), answered(CLASSIFICATION, [0.0] * 6 + right[6:] + wrong)
    )
    assert (gain.value, gain.low > 0) == (0.1, True)
    errors = np.random.default_rng(0).uniform(1, 2, 50)
    spread = np.full(50, 4.0)
    one, other = (Probe(REGRESSION, np.zeros((50, 1)), each, spread) for each in (errors / 2, errors))
    gain = compute_gain(one, other)
    assert gain.value == pytest.approx(one.value - other.value)
    assert 0 < gain.low < gain.value < gain.high
