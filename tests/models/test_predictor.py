"""From logits to answers and from values to what a model learns of them, there and back."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from tlkit.metadata.encoding import NO_METADATA, CategoryColumn, MetadataEncoding, NumberColumn
from tlkit.models.descriptions import (
    metadata_document,
    parse_metadata_document,
    parse_target_document,
    target_document,
)
from tlkit.models.predictor import to_deviations, to_values
from tlkit.outputs import CLASSIFICATION, MULTILABEL, REGRESSION, Target
from tlkit.tasks import find_task
from tlkit.tasks.regression import TASK as VALUES

EXTREME = np.array([[1e38, -1e38, 0.0], [-1e38, -1e38, -1e38], [1000.0, 0.0, -1000.0]], np.float32)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (CLASSIFICATION, [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3], [1, 0, 0]]),
        (MULTILABEL, [[1, 0, 0.5], [0, 0, 0], [1, 0.5, 0]]),
        (REGRESSION, EXTREME),
    ],
)
def test_extreme_logits_are_answers_without_a_warning(task: str, expected: object) -> None:
    with warnings.catch_warnings(), np.errstate(over="raise", invalid="raise", divide="raise"):
        warnings.simplefilter("error")
        answers = find_task(task).activate(EXTREME)
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, np.asarray(expected, np.float32), rtol=1e-6, atol=1e-30)


def test_classes_share_1_and_labels_do_not() -> None:
    logits = np.random.default_rng(0).normal(scale=3, size=(20, 4)).astype(np.float32)
    classes, labels = find_task(CLASSIFICATION).activate(logits), find_task(MULTILABEL).activate(logits)
    np.testing.assert_allclose(classes.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(classes[:, 1:] / classes[:, :1], np.exp(logits[:, 1:] - logits[:, :1]), rtol=1e-4)
    np.testing.assert_allclose(np.log(labels / (1 - labels)), logits, rtol=1e-3, atol=1e-4)
    assert find_task(MULTILABEL).activate(np.zeros((0, 4), np.float32)).shape == (0, 4)


@pytest.mark.parametrize("is_log", [False, True])
@pytest.mark.parametrize("shape", [(200,), (200, 1)])
def test_values_become_deviations_and_come_back(is_log: bool, shape: tuple[int, ...]) -> None:
    values = np.exp(np.random.default_rng(1).normal(12, 1, shape))
    target = VALUES.fit_target("price", values, is_log=is_log)
    numbers = np.log(values) if is_log else values
    assert (target.name, target.is_log) == ("price", is_log)
    assert [target.mean, target.scale] == pytest.approx([numbers.mean(), numbers.std()])
    deviations = to_deviations(target, values)
    assert (deviations.dtype, deviations.shape) == (np.dtype(np.float32), shape)
    assert [deviations.mean(), deviations.std()] == pytest.approx([0, 1], abs=1e-5)
    again = to_values(target, deviations)
    assert (again.dtype, again.shape) == (np.dtype(np.float64), shape)
    np.testing.assert_allclose(again, values, rtol=1e-5, atol=0.01)


def test_large_values_that_differ_little_keep_their_difference() -> None:
    values = 1e9 + np.arange(10.0)
    target = VALUES.fit_target("time", values, is_log=False)
    np.testing.assert_allclose(to_values(target, to_deviations(target, values)), values, rtol=0, atol=1e-5)


@pytest.mark.parametrize("is_log", [False, True])
def test_equal_values_have_deviations_of_0(is_log: bool) -> None:
    values = np.full(5, 7.0)
    target = VALUES.fit_target("age", values, is_log=is_log)
    assert target.scale == 1.0
    np.testing.assert_allclose(to_deviations(target, values), 0, atol=1e-6)
    np.testing.assert_allclose(to_values(target, np.zeros(1, np.float32)), 7.0)


def test_targets_and_metadata_survive_their_documents() -> None:
    encoding = MetadataEncoding(
        (NumberColumn("hour", 11.5, 0.1, 0.0, 23.0), CategoryColumn("boat, or none", ("a:b", "ü")))
    )
    assert parse_metadata_document(metadata_document(encoding), place="bundle.json: metadata") == encoding
    assert parse_metadata_document(metadata_document(NO_METADATA), place="bundle.json: metadata") == NO_METADATA
    target = Target("price", -1.5, 0.1, is_log=True)
    assert parse_target_document(target_document(target), place="bundle.json: target", is_needed=True) == target
    assert target_document(None) is None
    assert parse_target_document(None, place="bundle.json: target", is_needed=False) is None
