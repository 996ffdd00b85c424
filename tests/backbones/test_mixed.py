from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tlkit.backbones.fused import make_lean
from tlkit.backbones.mixed import computing_in

layers = keras.layers
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 12, 12, 3)).astype(np.float32)


def build_model() -> keras.Model:
    """Return a network that begins with pixels, with frozen and trained batch norm, strides and a nested model."""
    keras.utils.set_random_seed(1)
    images = keras.Input((12, 12, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(images)
    x = layers.BatchNormalization(trainable=False)(layers.Conv2D(8, 3)(x))
    x = layers.BatchNormalization(trainable=False)(layers.DepthwiseConv2D(3, strides=2, activation="linear")(x))
    inner = keras.Input((4, 4, 8))
    nested = keras.Model(inner, layers.Conv2D(8, 1, activation="relu", name="nested")(inner))
    x = layers.BatchNormalization(name="trained")(nested(x))
    return make_lean(keras.Model(images, layers.GlobalAveragePooling2D()(x)))


def differentiate(model: keras.Model) -> tuple[Any, list[Any]]:
    with tf.GradientTape() as tape:
        output = model(IMAGES, training=True)
        loss = tf.reduce_sum(tf.cast(output, tf.float32) ** 2)
    return output, tape.gradient(loss, [variable.value for variable in model.trainable_variables])


def test_layers_compute_in_bfloat16_on_weights_and_gradients_of_float32() -> None:
    model = build_model()
    before, expected = differentiate(model)
    with computing_in(model, "mixed_bfloat16"):
        output, gradients = differentiate(model)
        inside = {layer.name: layer.compute_dtype for layer in model.layers}
    assert (before.dtype, output.dtype) == (tf.float32, tf.bfloat16)
    assert {variable.dtype for variable in model.variables} == {"float32"}
    assert {gradient.dtype for gradient in gradients} == {tf.float32}
    assert 1e-5 < float(tf.reduce_max(abs(tf.cast(output, tf.float32) - before))) < 0.05
    for found, wanted in zip(gradients, expected, strict=True):
        assert np.abs(found - wanted).max() < 0.1 * np.abs(wanted).max() + 0.05
    assert inside.pop("rescaling") == "float32"
    assert set(inside.values()) == {"float32", "bfloat16"}  # the input itself is in float32
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}


def test_float32_changes_nothing() -> None:
    model = build_model()
    before, _ = differentiate(model)
    with computing_in(model, "float32"):
        after, _ = differentiate(model)
    np.testing.assert_array_equal(before, after)


def test_policies_come_back_when_the_call_fails() -> None:
    model = build_model()
    with pytest.raises(ValueError, match="expected shape"), computing_in(model, "mixed_bfloat16"):
        model(IMAGES[:, :5])
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
