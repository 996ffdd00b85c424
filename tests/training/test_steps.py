"""What a training step does, beside the same step in plain Keras; and which steps XLA compiles."""

from __future__ import annotations

import unittest.mock
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from tlkit.devices import ON_GPUS, ON_PROCESSORS
from tlkit.heads import build_head
from tlkit.outputs import CLASSIFICATION
from tlkit.recipes import TrainingSettings
from tlkit.tasks import Outputs
from tlkit.training.batches import Batches, EpochPlan, HeldInputs
from tlkit.training.compiled_steps import CompiledSteps
from tlkit.training.dropout import BitDropout, give_masks
from tlkit.training.layer_groups import GroupedOptimizer
from tlkit.training.steps import StageModel, choose_xla_sizes, compile_steps
from tlkit.training.targets import FixedTargets

WIDTH, NUM_IMAGES, NUM_EPOCHS = 24, 23, 6
SIZES = [8, 8, 7]
RATE, DECAY = 0.01, 0.1
STEPS_WORTH_XLA = ON_PROCESSORS.steps_worth_xla
THREE_CLASSES = Outputs(CLASSIFICATION, 3)


def make_model(kind: str = "linear", shape: tuple[int, ...] = (WIDTH,)) -> StageModel:
    keras.utils.set_random_seed(0)
    head = build_head(kind, feature_shape=shape, outputs=THREE_CLASSES, dropout=0.5, units=2)
    return StageModel(tail=None, head=head, tail_trains=False)


def make_batches() -> Batches:
    features = np.random.default_rng(0).normal(2, 3, (NUM_IMAGES, WIDTH)).astype(np.float16)
    labels = np.arange(NUM_IMAGES, dtype=np.int32) % 3
    nothing, weights = np.zeros((NUM_IMAGES, 0), np.float32), np.linspace(0.5, 1.5, NUM_IMAGES, dtype=np.float32)
    plan = EpochPlan(NUM_IMAGES, batch_size=8, num_views=1, seed=0)
    return Batches(plan, HeldInputs(tf.constant(features), 1), FixedTargets(labels), nothing, weights)


def train(xla_sizes: list[int]) -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
    """Train some epochs; return the weights and statistics, and the losses of the steps."""
    model = make_model()
    optimizer = GroupedOptimizer([RATE, RATE], weight_decay=DECAY)
    optimizer.build(model.trainable_variables)
    training = TrainingSettings(seed=3)
    steps = compile_steps(model, optimizer, outputs=THREE_CLASSES, training=training, xla_sizes=xla_sizes)
    losses = []
    for epoch in range(NUM_EPOCHS):
        (block,) = make_batches().epoch(epoch)
        calls = [slice(0, 3)] if epoch % 2 else [slice(number, number + 1) for number in range(3)]
        losses += [steps.train(block, batches, [1.0] * (batches.stop - batches.start))["loss"] for batches in calls]
    return [variable.numpy() for variable in model.head.weights], np.concatenate(losses)


def train_with_keras() -> tuple[list[NDArray[np.float32]], list[float]]:
    """Do the same by Keras' own layers, loss and optimizer, but for the masks."""
    layers = keras.layers
    norm, dense = layers.BatchNormalization(momentum=0.9, center=False, scale=False), layers.Dense(3, "linear")
    dense.kernel_initializer = keras.initializers.Zeros()
    dropout: BitDropout = give_masks(make_model().head, seed=3)[1]
    optimizer = keras.optimizers.AdamW(RATE, weight_decay=DECAY)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none")
    losses: list[float] = []
    for epoch in range(NUM_EPOCHS):
        (block,) = make_batches().epoch(epoch)
        for number, (start, stop) in enumerate(zip(block.edges, block.edges[1:], strict=False)):
            step = epoch * block.num_batches + number
            with dropout.masks([tf.constant(words) for words in dropout.draw(0, step + 1, 8)], step, stop - start):
                keep = tf.cast(dropout.layers[0].keep, tf.float32)
            feature = tf.cast(tf.gather(block.inputs, block.rows[start:stop]), tf.float32)
            with tf.GradientTape() as tape:
                logits = dense(norm(feature, training=True) * keep * 2.0)
                by_image = loss_of(block.targets.answers[start:stop], logits) * block.weights[start:stop]
                loss = tf.reduce_mean(by_image)
            if not losses:
                optimizer.exclude_from_weight_decay(var_list=[dense.bias])
                optimizer.build(dense.trainable_variables)
            gradients = tape.gradient(loss, [dense.kernel.value, dense.bias.value])
            optimizer.apply(gradients, dense.trainable_variables)
            losses.append(float(tf.reduce_sum(by_image)))
    return [variable.numpy() for variable in (*norm.weights, *dense.weights)], losses


@pytest.mark.parametrize("xla_sizes", [[], [8]])
def test_a_step_is_that_of_plain_keras_with_the_same_mask_with_and_without_xla(xla_sizes: list[int]) -> None:
    weights, losses = train(xla_sizes)
    expected, expected_losses = train_with_keras()
    np.testing.assert_allclose(losses, expected_losses, rtol=2e-5)
    for found, wanted in zip(weights, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=2e-6)


def test_xla_compiles_the_steps_of_a_linear_head_whose_size_occurs_often() -> None:
    plan = make_batches().plan
    assert [len(images) for images in plan.draw(0)[0]] == SIZES
    model = make_model()
    assert choose_xla_sizes(model, plan, 1) == set()
    assert choose_xla_sizes(model, plan, STEPS_WORTH_XLA // 2) == {8}
    assert choose_xla_sizes(model, plan, STEPS_WORTH_XLA) == {7, 8}


def test_xla_does_not_compile_steps_that_gain_nothing_by_it() -> None:
    plan = make_batches().plan
    assert choose_xla_sizes(make_model("flat", (4, 4, 2)), plan, STEPS_WORTH_XLA) == set()
    inputs = keras.Input((WIDTH,))
    tail = keras.Model(inputs, keras.layers.Dense(WIDTH)(inputs))
    assert choose_xla_sizes(StageModel(tail, make_model().head, True), plan, STEPS_WORTH_XLA) == set()


def test_a_gpu_needs_more_steps_until_xla_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, worth_it = make_batches().plan, ON_GPUS.steps_worth_xla
    assert worth_it > STEPS_WORTH_XLA
    assert choose_xla_sizes(make_model(), plan, worth_it - 1) == {7, 8}
    monkeypatch.setattr("tlkit.devices.list_gpus", lambda: ["GPU:0"])
    assert choose_xla_sizes(make_model(), plan, worth_it - 1) == {8}


def test_steps_that_xla_cannot_compile_are_compiled_by_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine with a GPU and without all of CUDA."""
    compile_loop, asked = CompiledSteps._compile, []

    def compile_without_cuda(self: CompiledSteps, call: Any, size: int | None) -> Any:
        asked.append(size)
        if size is None:
            return compile_loop(self, call, size)
        raise_error = tf.errors.InternalError(None, None, "libdevice not found")
        return unittest.mock.Mock(side_effect=raise_error)

    expected, expected_losses = train([])
    monkeypatch.setattr(CompiledSteps, "_compile", compile_without_cuda)
    weights, losses = train([8])
    assert asked == [8, None]
    np.testing.assert_array_equal(losses, expected_losses)
    for found, wanted in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_what_fails_in_a_step_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    error = tf.errors.InternalError(None, None, "the GPU is gone")
    monkeypatch.setattr(CompiledSteps, "_compile", lambda self, call, size: unittest.mock.Mock(side_effect=error))
    with pytest.raises(tf.errors.InternalError, match="the GPU is gone"):
        train([])


def test_a_tail_in_mixed_precision_is_trained_on_weights_of_float32_and_the_head_computes_in_float32() -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((WIDTH,))
    tail = keras.Model(inputs, keras.layers.Dense(WIDTH, activation="relu")(inputs))
    features = np.random.default_rng(0).normal(size=(6, WIDTH)).astype(np.float32)
    answers = {}
    for dtype in ("float32", "mixed_bfloat16"):
        model = StageModel(tail, make_model().head, True, dtype)
        model.head.get_layer("logits").kernel.assign(np.random.default_rng(1).normal(size=(WIDTH, 3)))
        answers[dtype] = model(features, np.zeros((6, 0)), training=False)["answer"]
        assert answers[dtype].dtype == tf.float32
    difference = float(tf.reduce_max(abs(answers["float32"] - answers["mixed_bfloat16"])))
    assert 1e-5 < difference < 0.2
    assert tail.layers[1].compute_dtype == "float32"
