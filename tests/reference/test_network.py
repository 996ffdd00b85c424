"""Networks as wholes: Keras, tlkit's faster forms of them, OpenVINO and a step of training, against the arithmetic by hand."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.backbones.test_folding import make_model
from tests.backbones.test_fused import BUILDS
from tests.reference.keras_networks import by_hand
from tlkit.backbones.build import build_backbone
from tlkit.backbones.folding import fold_batch_norm
from tlkit.backbones.fused import make_lean
from tlkit.reference.activations import cross_entropy, softmax
from tlkit.reference.layers import Dense
from tlkit.reference.network import INPUT, Network, Node
from tlkit.reference.operations import Product, Sum
from tlkit.reference.optimizer import AdamW
from tlkit.training.layer_groups import GroupedOptimizer

layers = keras.layers


def fill(model: keras.Model) -> keras.Model:
    """Give the weights values as of a trained network: neither 0 nor 1."""
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif weight.name in ("beta", "bias", "moving_mean"):
            weight.assign(rng.normal(0, 0.2, weight.shape))
    return model


def draw_images(number: int, edge_px: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (number, edge_px, edge_px, 3)).astype(np.float32)


def compute_difference(found: Any, expected: Any) -> float:
    """Return the largest difference in parts of the largest number."""
    return float(np.abs(np.asarray(found) - np.asarray(expected)).max() / np.abs(np.asarray(expected)).max())


def differentiate(model: keras.Model, images: np.ndarray, above: np.ndarray, *, training: bool = False) -> list[Any]:
    """Return the gradients of the images and of each trainable variable, by TensorFlow."""
    given = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(given)
        loss = tf.reduce_sum(model(given, training=training) * above)
    return list(tape.gradient(loss, [given, *(variable.value for variable in model.trainable_variables)]))


def find_trainable(model: keras.Model) -> list[tuple[str, str]]:
    """Return the place of each trainable variable in the network by hand: (layer, weight)."""
    nested = [
        inner for layer in model.layers for inner in (layer.layers if isinstance(layer, keras.Model) else [layer])
    ]
    owner = {id(variable): layer.name for layer in nested for variable in layer.trainable_variables}
    return [(owner[id(variable)], variable.name) for variable in model.trainable_variables]


def test_an_output_that_two_layers_take_gets_the_sum_of_their_gradients() -> None:
    network = Network([
        Node("doubled", Sum((2.0,)), (INPUT,)),
        Node("square", Product(), ("doubled", "doubled")),
        Node("both", Sum(), ("square", "doubled")),
        Node("unused", Dense({"kernel": np.ones((1, 1))}), ("doubled",)),
        Node("last", Sum(), ("both",)),
    ])  # fmt: skip
    np.testing.assert_array_equal(network.forward(np.array([[3.0]])), [[42.0]])  # (2 x)^2 + 2 x
    of_images, of_weights = network.backward(np.array([[1.0]]))
    np.testing.assert_array_equal(of_images, [[26.0]])  # 8 x + 2
    assert of_weights == {}
    assert [place for place, _ in network.weights()] == [("unused", "kernel")]


# By hand, a layer that is called twice is two, and batch norm is over the channels.
@pytest.mark.parametrize("case", sorted(BUILDS.keys() - {"called twice", "over the rows"}))
def test_a_fused_layer_and_its_gradients_are_those_of_the_layers_by_hand(case: str) -> None:
    model = fill(make_model(BUILDS[case]))
    for layer in model.layers:
        layer.trainable = not isinstance(layer, layers.BatchNormalization)
    lean, hand = make_lean(model), by_hand(model)
    images = np.random.default_rng(0).normal(size=(3, 8, 8, 6)).astype(np.float32)
    output = hand.forward(images.astype(float))
    assert compute_difference(lean(images, training=True), output) < 1e-5
    assert compute_difference(fold_batch_norm(model)(images), output) < 1e-5
    above = np.random.default_rng(3).normal(size=output.shape).astype(np.float32)
    of_images, of_weights = hand.backward(above.astype(float))
    expected = [of_images, *(of_weights[place] for place in find_trainable(model))]
    for found, gradient in zip(differentiate(lean, images, above, training=True), expected, strict=True):
        assert compute_difference(found, gradient) < 1e-4


def test_vgg16_with_its_classifier_is_the_network_by_hand() -> None:
    model = keras.applications.VGG16(weights=None, input_shape=(32, 32, 3), classes=10)
    images = draw_images(2, 32) - 110
    hand = by_hand(model)
    output = hand.forward(images.astype(float))
    assert output.shape == (2, 10)
    assert len(hand.nodes) == 13 * 2 + 5 + 1 + 2 * 2 + 2  # convolutions and relus, poolings, flatten, dense layers
    assert compute_difference(model(images), output) < 1e-5


def test_batch_norm_in_training_is_the_network_by_hand() -> None:
    inputs = keras.Input((8, 8, 3))
    outputs = layers.BatchNormalization()(layers.Conv2D(4, 3, name="first")(inputs))
    outputs = layers.Dense(2)(layers.Flatten()(layers.MaxPooling2D()(layers.Activation("relu")(outputs))))
    model = fill(keras.Model(inputs, outputs))
    images = draw_images(5, 8) / 255
    hand = by_hand(model, norms_train=True)
    output = hand.forward(images.astype(float))
    above = np.random.default_rng(3).normal(size=output.shape).astype(np.float32)
    of_images, of_weights = hand.backward(above.astype(float))
    found = differentiate(model, images, above, training=True)
    assert compute_difference(found[0], of_images) < 1e-4
    for place, gradient in zip(find_trainable(model), found[1:], strict=True):
        if place == ("first", "bias"):  # the mean that is subtracted takes it away
            np.testing.assert_allclose(gradient, of_weights[place], atol=1e-4)
        else:
            assert compute_difference(gradient, of_weights[place]) < 1e-4


def make_digits_network() -> keras.Model:
    """Return the MNIST network with the head that the course notes give it, without dropout."""
    backbone = build_backbone("mnist_cnn", image_size=(28, 28), pooling="none", weights="random").model
    outputs = layers.Dense(10, name="logits")(layers.Flatten(name="flatten")(backbone.output))
    return fill(keras.Model(backbone.input, outputs))


def test_steps_of_training_are_those_by_hand() -> None:
    model = make_digits_network()
    hand = by_hand(model)
    images, targets = draw_images(8, 28), np.eye(10)[np.arange(8)]
    places = find_trainable(model)
    rates = [1e-3 if layer == "logits" else 1e-4 for layer, _ in places]
    optimizer = GroupedOptimizer(rates, weight_decay=0.05)
    optimizer.build(model.trainable_variables)
    by_weight = {place: AdamW(rate, decay=0.05) for place, rate in zip(places, rates, strict=True)}
    layer_of = {node.name: node.layer for node in hand.nodes}
    for _ in range(3):
        with tf.GradientTape() as tape:
            logits = model(images)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))
        optimizer.apply(
            tape.gradient(loss, [each.value for each in model.trainable_variables]), model.trainable_variables
        )
        by_hand_loss, above = cross_entropy(hand.forward(images.astype(float)), targets)
        np.testing.assert_allclose(loss, by_hand_loss, rtol=1e-4)
        _, gradients = hand.backward(above)
        for place, gradient in gradients.items():
            layer = layer_of[place[0]]
            layer.weights = {**layer.weights, place[1]: by_weight[place].step(layer.weights[place[1]], gradient)}
    final = dict(hand.weights())
    for place, variable in zip(places, model.trainable_variables, strict=True):
        # Adam divides by the gradient's own size, so that rounding shows where a gradient is nearly 0.
        moved = np.abs(np.asarray(variable) - final[place])
        assert np.quantile(moved, 0.99) < 1e-2 * by_weight[place].rate
        assert moved.max() < 3 * by_weight[place].rate


def test_openvino_computes_the_network_by_hand(openvino: Any) -> None:
    from tlkit.backbones.engines.openvino import convert_trunk
    from tlkit.backbones.engines.openvino_runtime import compile_model

    model = make_digits_network()
    images = draw_images(4, 28)
    run, _ = compile_model(convert_trunk(model, 4), "float32")
    (found,) = run([images.astype(np.uint8)])
    assert compute_difference(softmax(found), softmax(by_hand(model).forward(images.astype(float)))) < 1e-4
