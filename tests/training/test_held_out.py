"""A head that answers for images held out learns from the images that it is given, and from no other."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tlkit.outputs import CLASSIFICATION, MULTILABEL, REGRESSION
from tlkit.recipes import HeadSettings, Recipe, Stage, TrainingSettings, resolve_stages
from tlkit.tasks import Outputs
from tlkit.training.held_out import FeatureSource, HeadTraining, HeldOutAnswers, NewHead, Parts, answer_held_out
from tlkit.training.steps import Steps, compile_steps

NUM_IMAGES, NUM_VIEWS, WIDTH = 120, 2, 6
HEAD = HeadSettings(kind="linear", dropout=0.0)
PARTS = Parts(np.arange(0, 60), np.arange(60, 80), np.arange(80, NUM_IMAGES))


def make_features(hidden: NDArray[np.floating[Any]], *, num_views: int = 1) -> FeatureSource:
    """Features in which the first columns are the hidden numbers, with a little noise in each view."""
    rng = np.random.default_rng(1)
    rows = 0.02 * rng.normal(size=(NUM_IMAGES, NUM_VIEWS, WIDTH)).astype(np.float32)
    rows[:, :, : hidden.shape[1]] += hidden[:, None]
    return FeatureSource(lambda images, views: rows[images, views], num_views, (WIDTH,), rows[0, 0].nbytes)


def try_out(
    features: FeatureSource, answers: NDArray[Any], outputs: Outputs, *, parts: Parts = PARTS, epochs: int = 20
) -> HeldOutAnswers:
    return answer_held_out(features, answers, parts, make_training(outputs, epochs=epochs))


def make_training(outputs: Outputs, *, epochs: int) -> HeadTraining:
    stage = Stage(epochs=epochs, batch_size=20, lr=0.05, patience=0)
    (resolved,) = resolve_stages(Recipe(stages=(stage,)))
    return HeadTraining(outputs=outputs, head=HEAD, stage=resolved, training=TrainingSettings(seed=3))


@pytest.fixture(scope="module")
def hidden() -> NDArray[np.floating[Any]]:
    return np.random.default_rng(0).normal(size=(NUM_IMAGES, 2))


def test_classes_are_told_by_an_image_as_it_is_after_training_on_views(hidden: NDArray[Any]) -> None:
    labels = (hidden[:, 0] > 0).astype(np.int32)
    answered = try_out(make_features(hidden, num_views=NUM_VIEWS), labels, Outputs(CLASSIFICATION, 2))
    assert np.mean(answered.outputs.argmax(axis=1) == labels[PARTS.test]) >= 0.9
    assert answered.outputs.sum(axis=1) == pytest.approx(np.ones(len(PARTS.test)), abs=1e-5)
    assert answered.num_parameters == 2 * WIDTH + 2 + 2 * WIDTH  # and the moments of standardising


def test_random_answers_are_not_told(hidden: NDArray[Any]) -> None:
    labels = np.random.default_rng(5).integers(2, size=NUM_IMAGES).astype(np.int32)
    answered = try_out(make_features(hidden), labels, Outputs(CLASSIFICATION, 2))
    assert np.mean(answered.outputs.argmax(axis=1) == labels[PARTS.test]) <= 0.7


def test_neither_the_answers_that_are_asked_for_nor_another_time_change_anything(hidden: NDArray[Any]) -> None:
    labels = (hidden[:, 0] > 0).astype(np.int32)
    others = labels.copy()
    others[PARTS.test] = 1 - others[PARTS.test]
    first, second = (
        try_out(make_features(hidden), answers, Outputs(CLASSIFICATION, 2), epochs=2) for answers in (labels, others)
    )
    np.testing.assert_array_equal(first.outputs, second.outputs)


@pytest.mark.usefixtures("untraced")
def test_a_head_that_is_trained_anew_answers_as_a_new_one_and_is_compiled_once(
    hidden: NDArray[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = []

    def compile_and_count(*args: Any, **settings: Any) -> Steps:
        compiled.append(args)
        return compile_steps(*args, **settings)

    monkeypatch.setattr("tlkit.training.steps.compile_steps", compile_and_count)
    labels = (hidden[:, 0] > 0).astype(np.int32)
    features, how = make_features(hidden), make_training(Outputs(CLASSIFICATION, 2), epochs=2)
    alone = answer_held_out(features, labels, PARTS, how)
    new_head = NewHead.build(features.shape, how)
    other, again = (answer_held_out(features, given, PARTS, how, new_head) for given in (1 - labels, labels))
    assert not np.array_equal(other.outputs, alone.outputs)
    np.testing.assert_array_equal(again.outputs, alone.outputs)
    assert again.progress.rows[0]["train_loss"] == alone.progress.rows[0]["train_loss"]
    assert len(compiled) == 2  # of two heads


def test_the_epoch_is_chosen_by_the_images_for_it(hidden: NDArray[Any]) -> None:
    """Their answers are the opposite of those that are learnt, so that every epoch makes them worse."""
    labels = (hidden[:, 0] > 0).astype(np.int32)
    labels[PARTS.validation] = 1 - labels[PARTS.validation]
    progress = try_out(make_features(hidden), labels, Outputs(CLASSIFICATION, 2), epochs=5).progress
    assert (progress.best_epoch, progress.epochs_done) == (1, 5)


def test_labels_come_as_probabilities_and_values_in_the_unit_of_the_answers(hidden: NDArray[Any]) -> None:
    labels = (hidden > 0).astype(np.float32)
    outputs = try_out(make_features(hidden), labels, Outputs(MULTILABEL, 2)).outputs
    assert np.mean((outputs > 0.5) == (labels[PARTS.test] > 0.5)) >= 0.85
    values = 1000 + 50 * hidden[:, :1]
    parts = dataclasses.replace(PARTS, test=PARTS.test[:10])
    outputs = try_out(make_features(hidden), values, Outputs(REGRESSION, 1), parts=parts).outputs
    assert outputs.shape == (10, 1)
    assert np.abs(outputs - values[parts.test]).mean() < 20
