"""The fixed layers of a head: what numpy computes from the training features, and nothing else."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from tlkit.heads import HEADS, build_head
from tlkit.outputs import CLASSIFICATION
from tlkit.recipes import HeadSettings, Recipe, Stage, TrainingSettings, resolve_stages
from tlkit.tasks import Outputs
from tlkit.training import whitening
from tlkit.training.held_out import FeatureSource, HeadTraining, NewHead, Parts, make_stage_data, train_head
from tlkit.training.steps import StageModel
from tlkit.training.whitening import fit_whitening

pytestmark = pytest.mark.usefixtures("untraced")
OUTPUTS = Outputs(CLASSIFICATION, 2)
NUM_IMAGES, NUM_VIEWS = 90, 2
PARTS = Parts(np.arange(60), np.arange(60, 75), np.arange(75, 90))
LABELS = np.arange(NUM_IMAGES) % 2


def make_source(kind: str, *, changed: Any = ()) -> FeatureSource:
    """Features with strong correlations, of which the images `changed` have others."""
    shape = (6,) if HEADS[kind].pooling == "avg" else (2, 2, 6)
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(NUM_IMAGES, NUM_VIEWS, *shape)) @ rng.normal(size=(6, 6)) + 4.0
    rows[list(changed)] *= 50
    rows = rows.astype(np.float32)
    return FeatureSource(lambda images, views: rows[images, views], NUM_VIEWS, shape, rows[0, 0].nbytes)


def make_training(kind: str, whiten: str, floor: float = 1e-3, epochs: int = 1) -> HeadTraining:
    (stage,) = resolve_stages(Recipe(stages=(Stage(epochs=epochs, batch_size=20),)))
    head = HeadSettings(kind, units=4, whiten=whiten, whiten_floor=floor)
    return HeadTraining(OUTPUTS, head, stage, TrainingSettings())


def fit(kind: str, whiten: str, source: FeatureSource, floor: float = 1e-3) -> keras.Model:
    how = make_training(kind, whiten, floor)
    model = NewHead.build(source.shape, how).model
    data = make_stage_data(source, LABELS, PARTS, outputs=OUTPUTS, stage=how.stage, training=how.training)
    fit_whitening(model, data, how.head)
    return model.head


def read_all(source: FeatureSource, images: NDArray[np.int64]) -> NDArray[Any]:
    return np.concatenate([source.read(images, np.full(len(images), view)) for view in range(NUM_VIEWS)])


def flatten(kind: str, features: NDArray[Any]) -> NDArray[np.float64]:
    """Return what the head's fixed layers see, (rows, channels), by numpy alone."""
    if kind == "dense":
        features = features.max(axis=(1, 2))
    rows = features.reshape(len(features), -1) if kind == "flat" else features.reshape(-1, features.shape[-1])
    return rows.astype(np.float64)


@pytest.mark.parametrize(("kind", "whiten"), [("linear", "pca"), ("dense", "zca"), ("conv", "pca"), ("flat", "zca")])
def test_whitened_training_features_have_no_correlations_as_numpy_says(kind: str, whiten: str) -> None:
    source = make_source(kind)
    head = fit(kind, whiten, source, floor=1e-9)
    features = read_all(source, PARTS.train)
    rows = flatten(kind, features)
    layers = keras.Model(head.input["feature"], head.get_layer("whiten").output)
    found = np.asarray(layers(features)).reshape(rows.shape)

    assert np.cov(found.T, bias=True) == pytest.approx(np.eye(rows.shape[1]), abs=1e-3)
    assert found.mean(axis=0) == pytest.approx(0, abs=1e-4)
    standard = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    values, vectors = np.linalg.eigh(standard.T @ standard / len(rows))
    turned = standard @ vectors / np.sqrt(values)
    if whiten == "zca":
        np.testing.assert_allclose(found, turned @ vectors.T, atol=2e-3)
    else:
        np.testing.assert_allclose(np.abs(found), np.abs(turned[:, ::-1]), atol=2e-3)


@pytest.mark.parametrize(("whiten", "spread"), [("centre", None), ("standard", 1.0)])
def test_features_are_centred_or_standardised_without_a_matrix(whiten: str, spread: float | None) -> None:
    source = make_source("linear")
    head = fit("linear", whiten, source)
    features = read_all(source, PARTS.train)
    found = np.asarray(keras.Model(head.input["feature"], head.get_layer("standardise").output)(features))
    expected = features.std(axis=0) if spread is None else np.full(6, spread)
    assert found.mean(axis=0) == pytest.approx(0, abs=1e-4)
    assert found.std(axis=0) == pytest.approx(expected, rel=1e-4)
    assert "whiten" not in {layer.name for layer in head.layers}


def test_nothing_of_validation_or_test_images_enters_and_every_view_counts() -> None:
    plain = fit("dense", "zca", make_source("dense")).get_layer("whiten").get_weights()[0]
    others = fit("dense", "zca", make_source("dense", changed=range(60, 90))).get_layer("whiten").get_weights()[0]
    np.testing.assert_array_equal(plain, others)
    learnt = fit("dense", "zca", make_source("dense", changed=[59])).get_layer("whiten").get_weights()[0]
    assert np.abs(plain - learnt).max() > 1e-2


def test_the_layers_stay_as_they_are_while_the_head_is_trained_and_fit_each_fold_anew() -> None:
    source, how = make_source("linear"), make_training("linear", "pca", epochs=2)
    new_head = NewHead.build(source.shape, how)
    fixed = []
    for train in (PARTS.train, PARTS.train[:30]):
        parts = dataclasses.replace(PARTS, train=train)
        head = train_head(source, LABELS, parts, how, new_head).model.head
        fixed.append([*head.get_layer("standardise").get_weights(), *head.get_layer("whiten").get_weights()])
        assert np.asarray(head.get_layer("logits").kernel).any()
    for array, expected in zip(fixed[0], (*_read_fixed(fit("linear", "pca", source)),), strict=True):
        np.testing.assert_array_equal(array, expected)
    assert not np.array_equal(fixed[0][-1], fixed[1][-1])


def _read_fixed(head: keras.Model) -> list[NDArray[Any]]:
    return [*head.get_layer("standardise").get_weights(), *head.get_layer("whiten").get_weights()]


def test_of_many_images_evenly_spaced_ones_are_read_after_the_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whitening, "MAX_ROWS", 30)
    source = make_source("linear")
    how = make_training("linear", "standard")
    tail = keras.Sequential([keras.Input((6,)), keras.layers.Rescaling(2.0)])
    head = build_head("linear", feature_shape=(6,), outputs=OUTPUTS, dropout=0.0, units=1, whiten="standard")
    data = make_stage_data(source, LABELS, PARTS, outputs=OUTPUTS, stage=how.stage, training=how.training)
    fit_whitening(StageModel(tail, head, tail_trains=False), data, how.head)
    chosen = source.read(np.arange(0, 60, 2), np.zeros(30, np.int64))  # 120 views, of which every fourth
    np.testing.assert_allclose(head.get_layer("standardise").moving_mean, 2 * chosen.mean(axis=0), rtol=1e-5)
