"""Probes against what one works out by hand, and what they may and may not find."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.metadata.columns import ColumnRequest
from tlkit.metadata.encoding import fit_encoding
from tlkit.metrics.intervals import Interval, compute_wilson_interval
from tlkit.outputs import CLASSIFICATION, MULTILABEL, REGRESSION
from tlkit.probes.folds import make_stratified_folds
from tlkit.probes.probe import describe_gain, probe_features, run_majority, run_probes
from tlkit.tasks import find_task


def test_the_majority_is_what_one_counts_by_hand() -> None:
    targets = np.eye(2)[[0] * 70 + [1] * 30]
    probe = run_majority(CLASSIFICATION, targets, make_stratified_folds(find_task(CLASSIFICATION).stratify(targets)))
    assert probe.score == compute_wilson_interval(70, 100)
    assert probe.each.tolist() == [1.0] * 70 + [0.0] * 30


def test_the_majority_of_labels_is_taken_label_by_label() -> None:
    targets = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 0]] * 25, float)
    probe = run_majority(MULTILABEL, targets, make_stratified_folds(find_task(MULTILABEL).stratify(targets)))
    assert probe.value == pytest.approx((0.75 + 0.75 + 1.0) / 3)
    assert probe.score.low < probe.value < probe.score.high


def test_the_mean_value_has_an_r2_of_0() -> None:
    targets = np.random.default_rng(0).normal(7.0, 3.0, (60, 1))
    assert (
        run_majority(REGRESSION, targets, make_stratified_folds(find_task(REGRESSION).stratify(targets))).value == 0.0
    )


def test_r2_of_random_inputs_is_about_0_or_below() -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        targets, inputs = rng.normal(size=(150, 1)), rng.normal(size=(150, 20))
        probe = run_probes(REGRESSION, targets, inputs, make_stratified_folds(find_task(REGRESSION).stratify(targets)))[
            0
        ]
        assert -0.3 < probe.value < 0.1
        assert probe.score.low < 0.05


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
        folds = make_stratified_folds(find_task(task).stratify(targets))
        probe, majority = run_probes(task, targets, inputs, folds)[0], run_majority(task, targets, folds)
        assert probe.is_better_than(majority)
        assert not majority.is_better_than(probe)
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
    folds = make_stratified_folds(find_task(REGRESSION).stratify(targets))
    changed = targets.copy()
    changed[folds[2].test] += 100.0
    before, after = (run_probes(REGRESSION, each, inputs, folds)[0].outputs for each in (targets, changed))
    np.testing.assert_array_equal(before[folds[2].test], after[folds[2].test])
    assert not np.allclose(before[folds[1].test], after[folds[1].test])


def test_equal_values_have_an_r2_of_0() -> None:
    targets = np.full((20, 1), 3.0)
    folds = make_stratified_folds(find_task(REGRESSION).stratify(targets))
    assert run_probes(REGRESSION, targets, np.random.default_rng(0).normal(size=(20, 2)), folds)[0].value == 0.0


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


def test_a_gain_is_told_in_points_and_that_of_values_as_it_is() -> None:
    gain = Interval(0.02, -0.001, 0.04)
    assert describe_gain(MULTILABEL, gain) == "+2.0 points (95% interval -0.1 to +4.0)"
    assert describe_gain(REGRESSION, gain) == "+0.020 (95% interval -0.001 to +0.040)"
