"""Every family is made lean in test_families.py, where they are built; here stand the cases one by one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.backbones.test_folding import CASES, JOINED, make_model, run
from tlkit.backbones.fused import LeanConvolution, make_lean
from tlkit.backbones.kernel_gradients import can_multiply, convolve_by_products
from tlkit.backbones.strided_depthwise import convolve_strided
from tlkit.devices import ON_GPUS

layers = keras.layers
STRIDED = {
    "strides": lambda x: layers.BatchNormalization()(layers.DepthwiseConv2D(3, strides=2, padding="same")(x)),
    "strides, without batch norm": lambda x: layers.DepthwiseConv2D(5, strides=2, activation="relu")(x),
    "strides and no bias": lambda x: layers.DepthwiseConv2D(3, strides=3, use_bias=False, depth_multiplier=2)(x),
}
PRODUCTS = {
    "one place": lambda x: layers.BatchNormalization()(layers.Conv2D(5, 1)(x)),
    "one place, without batch norm": lambda x: layers.Conv2D(5, 1, activation="relu")(x),
    "one place, strides": lambda x: layers.BatchNormalization()(layers.Conv2D(5, 1, strides=2)(x)),
    "nine places": lambda x: layers.Conv2D(5, 3, padding="same", use_bias=False)(x),
    "nine places, no padding": lambda x: layers.BatchNormalization()(layers.Conv2D(5, 3)(x)),
}
BUILDS = {name: build for name, (build, _) in CASES.items()} | STRIDED | PRODUCTS


def freeze_batch_norm(model: keras.Model) -> keras.Model:
    for layer in model.layers:
        layer.trainable = not isinstance(layer, layers.BatchNormalization)
    return model


def differentiate(model: keras.Model, weights: list[Any]) -> list[np.ndarray]:
    """Return the gradients of a sum over the outputs, each with another weight, for the input and the model's weights."""
    images = tf.constant(np.random.default_rng(1).normal(size=(3, 8, 8, 6)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(images)
        output = model(images, training=True)
        loss = tf.reduce_sum(output * np.random.default_rng(2).normal(size=output.shape).astype(np.float32))
    return [np.asarray(part) for part in tape.gradient(loss, [images, *(weight.value for weight in weights)])]


@pytest.mark.parametrize("case", BUILDS)
def test_a_lean_network_computes_the_same_and_has_the_same_gradients(case: str) -> None:
    model = freeze_batch_norm(make_model(BUILDS[case]))
    lean = make_lean(model)
    np.testing.assert_allclose(run(lean), run(model), rtol=1e-5, atol=1e-5)
    weights = model.trainable_variables
    for found, expected in zip(differentiate(lean, weights), differentiate(model, weights), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", [*JOINED, *STRIDED, *PRODUCTS])
def test_a_convolution_takes_in_the_batch_norm_after_it_and_all_weights_stay_where_they_are(case: str) -> None:
    model = freeze_batch_norm(make_model(BUILDS[case]))
    lean = make_lean(model)
    assert [type(layer) for layer in lean.layers[1:]] == [LeanConvolution]
    assert {id(weight) for weight in lean.variables} == {id(weight) for weight in model.variables}
    assert list(map(id, lean.trainable_variables)) == list(map(id, model.trainable_variables))


def test_what_is_learnt_is_at_once_in_the_network_itself() -> None:
    model = freeze_batch_norm(make_model(BUILDS["convolution"]))
    lean = make_lean(model)
    before = run(model)
    for weight in lean.trainable_variables:
        weight.assign(weight * 1.5)
    assert np.abs(run(model) - before).max() > 0.1
    np.testing.assert_allclose(run(lean), run(model), rtol=1e-5, atol=1e-5)


def test_batch_norm_that_is_trained_stays() -> None:
    model = make_model(BUILDS["convolution"])
    lean = make_lean(model)
    assert [type(layer) for layer in lean.layers[1:]] == [LeanConvolution, layers.BatchNormalization]
    assert lean.layers[1].norm is None


@pytest.mark.parametrize("case", PRODUCTS)
def test_the_gradient_of_a_kernel_is_multiplied_on_processors_alone(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    multiplied = []

    def convolve(*arguments: Any, **keywords: Any) -> Any:
        multiplied.append(keywords)
        return convolve_by_products(*arguments, **keywords)

    monkeypatch.setattr("tlkit.backbones.fused.convolve_by_products", convolve)
    make_lean(freeze_batch_norm(make_model(BUILDS[case])))
    assert len(multiplied) == 1
    monkeypatch.setattr("tlkit.backbones.fused.find_practice", lambda: ON_GPUS)
    make_lean(freeze_batch_norm(make_model(BUILDS[case])))
    assert len(multiplied) == 1


def test_what_products_do_not_make_faster_is_left_as_it_is() -> None:
    build = {
        "a large map": ((3, 3), (1, 1), (14, 14)),
        "a large kernel": ((5, 5), (1, 1), (7, 7)),
        "strides of a 3 by 3 kernel": ((3, 3), (2, 2), (8, 8)),
        "an odd map": ((1, 1), (2, 2), (7, 8)),
        "a map of unknown size": ((1, 1), (1, 1), (None, None)),
        "two strides": ((1, 1), (1, 2), (8, 8)),
    }
    assert {name for name, case in build.items() if can_multiply(*case)} == set()
    assert can_multiply((3, 3), (1, 1), (7, 7))
    assert can_multiply((1, 1), (2, 2), (56, 56))


def test_strides_alone_are_left_to_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlkit.backbones.fused.find_practice", lambda: ON_GPUS)
    monkeypatch.setattr("tlkit.backbones.fused.convolve_strided", None)
    alone = make_lean(freeze_batch_norm(make_model(BUILDS["strides, without batch norm"])))
    assert [type(layer) for layer in alone.layers[1:]] == [layers.DepthwiseConv2D]
    model = freeze_batch_norm(make_model(BUILDS["strides"]))
    lean = make_lean(model)
    assert [type(layer) for layer in lean.layers[1:]] == [LeanConvolution]
    np.testing.assert_allclose(run(lean), run(model), rtol=1e-5, atol=1e-5)


def compute_with_gradients(convolve: Callable[[Any, Any], Any], maps: Any, kernel: Any) -> list[Any]:
    """Return a convolution, and the gradients of the sum of its squares for the maps and the kernel."""
    with tf.GradientTape() as tape:
        tape.watch([maps, kernel])
        output = convolve(maps, kernel)
        loss = tf.reduce_sum(output**2)
    return [output, *tape.gradient(loss, [maps, kernel])]


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("height", "width"), [(8, 9), (9, 8), (11, 12)])
@pytest.mark.parametrize(("edge", "stride"), [(3, 2), (5, 2), (3, 3), (2, 3)])
def test_the_gradients_of_a_convolution_with_strides_are_those_of_tensorflow(
    padding: str, height: int, width: int, edge: int, stride: int
) -> None:
    rng = np.random.default_rng(0)
    maps = tf.constant(rng.normal(size=(2, height, width, 4)), tf.float32)
    kernel = tf.constant(rng.normal(size=(edge, edge, 4, 2)), tf.float32)

    found = compute_with_gradients(partial(convolve_strided, stride=stride, padding=padding), maps, kernel)
    expected = compute_with_gradients(
        lambda maps, kernel: tf.nn.depthwise_conv2d(maps, kernel, [1, stride, stride, 1], padding), maps, kernel
    )
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("edge", "stride", "padding"), [(1, 1, "SAME"), (1, 2, "VALID"), (1, 2, "SAME"), (3, 1, "SAME"), (3, 1, "VALID")]
)
def test_gradients_by_products_are_those_of_tensorflow(edge: int, stride: int, padding: str) -> None:
    rng = np.random.default_rng(0)
    maps = tf.constant(rng.normal(size=(3, 6, 8, 4)), tf.float32)
    kernel = tf.constant(rng.normal(size=(edge, edge, 4, 5)), tf.float32)

    found = compute_with_gradients(partial(convolve_by_products, stride=stride, padding=padding), maps, kernel)
    expected = compute_with_gradients(lambda maps, kernel: tf.nn.conv2d(maps, kernel, stride, padding), maps, kernel)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
