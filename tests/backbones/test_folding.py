"""Every family is folded in test_families.py, where they are built; here stand the cases one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tlkit.backbones.folding import ScaleAndShift, fold_batch_norm

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


def test_a_folded_network_can_compute_in_bfloat16() -> None:
    model = make_model(CASES["after an activation"][0])
    folded = fold_batch_norm(model, dtype="mixed_bfloat16")
    assert folded.output.dtype == "bfloat16"
    assert {weight.dtype for weight in folded.weights} == {"float32"}
    assert isinstance(folded.layers[-1], ScaleAndShift)
    expected = run(model)
    difference = np.abs(run(folded) - expected).max() / np.abs(expected).max()
    assert 0 < difference < 0.02
