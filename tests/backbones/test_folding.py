"""Every family is folded in test_families.py, where they are built; here stand the cases one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tlkit.backbones.folding import FoldedNetwork, ScaleAndShift, fold_batch_norm, fold_for_training

layers = keras.layers
Build = Callable[[Any], Any]


def make_model(build: Build) -> keras.Model:
    """Return a model on 8x8x6 with random weights and statistics of batch norm."""
    images = keras.Input((8, 8, 6))
    model = keras.Model(images, build(images))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        is_positive = weight.name in ("gamma", "moving_variance")
        weight.assign(rng.uniform(0.2, 3, weight.shape) if is_positive else rng.normal(0, 0.5, weight.shape))
    return model


def run(model: keras.Model) -> np.ndarray:
    images = np.random.default_rng(1).normal(size=(2, 8, 8, 6)).astype(np.float32)
    return np.asarray(model(images, training=False), np.float32)


def kinds(model: keras.Model) -> list[str]:
    return [type(layer).__name__ for layer in model.layers[1:]]


def read_twice(x: Any) -> Any:
    convolved = layers.Conv2D(5, 3)(x)
    return layers.Add()([layers.BatchNormalization()(convolved), convolved])


def call_twice(x: Any) -> Any:
    convolution = layers.Conv2D(6, 3, padding="same")
    return layers.BatchNormalization()(convolution(convolution(x)))


def return_both(x: Any) -> Any:
    return layers.BatchNormalization()(layers.BatchNormalization()(layers.Conv2D(4, 3, activation="relu")(x)))


JOINED: dict[str, tuple[Build, list[str]]] = {
    "convolution": (lambda x: layers.BatchNormalization()(layers.Conv2D(5, 3)(x)), ["Conv2D"]),
    "no bias": (lambda x: layers.BatchNormalization()(layers.Conv2D(5, 3, use_bias=False)(x)), ["Conv2D"]),
    "depthwise": (
        lambda x: layers.BatchNormalization()(layers.DepthwiseConv2D(3, depth_multiplier=2)(x)),
        ["DepthwiseConv2D"],
    ),
    "separable": (lambda x: layers.BatchNormalization()(layers.SeparableConv2D(5, 3)(x)), ["SeparableConv2D"]),
    "dense": (lambda x: layers.BatchNormalization()(layers.Dense(5)(x)), ["Dense"]),
    "axis by number": (lambda x: layers.BatchNormalization(axis=3)(layers.Conv2D(5, 3)(x)), ["Conv2D"]),
    "neither gamma nor beta": (
        lambda x: layers.BatchNormalization(scale=False, center=False)(layers.Conv2D(5, 3)(x)),
        ["Conv2D"],
    ),
    "one group a channel": (
        lambda x: layers.BatchNormalization()(layers.Conv2D(12, 3, strides=2, padding="same", groups=6)(x)),
        ["DepthwiseConv2D"],
    ),
}
APART: dict[str, tuple[Build, list[str]]] = {
    "after an activation": (
        lambda x: layers.BatchNormalization()(layers.Conv2D(5, 3, activation="relu")(x)),
        ["Conv2D", "ScaleAndShift"],
    ),
    "after nothing": (lambda x: layers.BatchNormalization()(x), ["ScaleAndShift"]),
    "after nothing, without gamma": (lambda x: layers.BatchNormalization(scale=False)(x), ["ScaleAndShift"]),
    "after nothing, without beta": (lambda x: layers.BatchNormalization(center=False)(x), ["ScaleAndShift"]),
    "nested": (lambda x: keras.Sequential([layers.Conv2D(4, 3)])(x), ["Sequential"]),
    "read by another": (read_twice, ["Conv2D", "ScaleAndShift", "Add"]),
    "called twice": (call_twice, ["Conv2D", "ScaleAndShift"]),
    "one after the other": (return_both, ["Conv2D", "ScaleAndShift", "ScaleAndShift"]),
    "over the rows": (
        lambda x: layers.BatchNormalization(axis=1)(layers.Conv2D(5, 3)(x)),
        ["Conv2D", "BatchNormalization"],
    ),
    "two groups": (lambda x: layers.Conv2D(4, 3, groups=2)(x), ["Conv2D"]),
}
CASES = JOINED | APART


@pytest.mark.parametrize("case", CASES)
def test_a_folded_network_computes_the_same_with_fewer_layers(case: str) -> None:
    build, expected = CASES[case]
    model = make_model(build)
    folded = fold_batch_norm(model)
    assert kinds(folded) == expected
    np.testing.assert_allclose(run(folded), run(model), rtol=1e-5, atol=1e-5)


def test_a_convolution_whose_output_is_asked_for_stays_as_it_is() -> None:
    images = keras.Input((8, 8, 6))
    convolved = layers.Conv2D(5, 3)(images)
    model = keras.Model(images, [convolved, layers.BatchNormalization()(convolved)])
    assert kinds(fold_batch_norm(model)) == ["Conv2D", "ScaleAndShift"]


def test_a_folded_network_has_weights_of_its_own() -> None:
    model = make_model(CASES["convolution"][0])
    before = [np.asarray(weight) for weight in model.weights]
    folded = fold_batch_norm(model)
    expected = run(model)
    for weight in folded.weights:
        weight.assign(weight * 0)
    for weight, array in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(np.asarray(weight), array)
    np.testing.assert_array_equal(run(model), expected)


def test_a_scale_and_a_shift_can_be_trained() -> None:
    folded = fold_batch_norm(make_model(CASES["after nothing"][0]))
    assert [weight.name for weight in folded.trainable_weights] == ["scale", "shift"]


def test_a_folded_network_can_compute_in_bfloat16() -> None:
    model = make_model(CASES["after an activation"][0])
    folded = fold_batch_norm(model, dtype="mixed_bfloat16")
    assert folded.output.dtype == "bfloat16"
    assert {weight.dtype for weight in folded.weights} == {"float32"}
    assert isinstance(folded.layers[-1], ScaleAndShift)
    expected = run(model)
    difference = np.abs(run(folded) - expected).max() / np.abs(expected).max()
    assert 0 < difference < 0.02


def train_a_little(folded: FoldedNetwork) -> None:
    """Change every trainable weight by something like what training does."""
    rng = np.random.default_rng(2)
    for weight in folded.model.trainable_variables:
        weight.assign(weight + rng.normal(0, 0.1, weight.shape))


@pytest.mark.parametrize("case", CASES)
def test_what_was_trained_folded_is_written_back(case: str) -> None:
    model = make_model(CASES[case][0])
    for weight in model.weights:
        if weight.name == "gamma":
            weight.assign(weight * np.where(np.arange(weight.shape[0]) % 2, 1, -1))
    folded = fold_for_training(model)
    before = run(model)
    train_a_little(folded)
    assert np.allclose(run(folded.model), before, rtol=1e-2) == (not folded.model.trainable_variables)
    np.testing.assert_array_equal(run(model), before)
    folded.write_back()
    np.testing.assert_allclose(run(model), run(folded.model), rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("case", JOINED)
def test_batch_norm_that_was_written_back_can_be_trained_as_before(case: str) -> None:
    """In training batch norm goes by the statistics of the batch, so the scale must not be lost in the kernels."""
    model = make_model(JOINED[case][0])
    model.layers[-1].momentum = 0.0  # the statistics are those of the last batch
    images = np.random.default_rng(1).normal(size=(16, 8, 8, 6)).astype(np.float32)
    expected = np.asarray(model(images, training=True))
    fold_for_training(model).write_back()
    statistics = [model.layers[-1].moving_mean, model.layers[-1].moving_variance]
    written = [np.asarray(weight) for weight in statistics]
    np.testing.assert_allclose(np.asarray(model(images, training=True)), expected, atol=0.02 * np.abs(expected).max())
    for weight, array in zip(statistics, written, strict=True):
        np.testing.assert_allclose(np.asarray(weight), array, rtol=0.01, atol=1e-3)


def test_what_a_folded_network_trains_is_kept_apart_from_what_cannot_be_written_back() -> None:
    folded = fold_for_training(make_model(lambda x: layers.BatchNormalization(scale=False)(layers.Conv2D(5, 3)(x))))
    assert [weight.name for weight in folded.model.trainable_weights] == ["kernel", "bias"]
    for case in ("after nothing, without gamma", "after nothing, without beta"):
        assert fold_for_training(make_model(APART[case][0])).model.trainable_weights == []
    over_rows = fold_for_training(make_model(APART["over the rows"][0]))
    assert [weight.name for weight in over_rows.model.trainable_weights] == ["kernel", "bias"]


def test_the_layer_that_a_folded_weight_comes_from_is_known() -> None:
    model = make_model(read_twice)
    folded = fold_for_training(model)
    convolution, norm = model.layers[1:3]
    assert [folded.find_source(weight) for weight in folded.model.weights] == [convolution] * 2 + [norm] * 2


def test_dropout_goes_on_where_it_stood_before_folding_and_after() -> None:
    model = make_model(lambda x: layers.Dropout(0.5)(layers.BatchNormalization()(layers.Conv2D(4, 3)(x))))
    images = np.ones((1, 8, 8, 6), np.float32)
    model(images, training=True)
    folded = fold_for_training(model)
    ours, theirs = (network.layers[-1].seed_generator.state for network in (folded.model, model))
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
    folded.model(images, training=True)
    assert not np.array_equal(np.asarray(ours), np.asarray(theirs))
    folded.write_back()
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
