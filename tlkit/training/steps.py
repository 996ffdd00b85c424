"""The compiled training and validation steps: the one place in training that needs TensorFlow itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from tlkit.heads import call_head
from tlkit.outputs import CLASSIFICATION, MULTILABEL, Outputs
from tlkit.recipes import TrainingSettings
from tlkit.training.batches import Batch
from tlkit.training.layer_groups import GroupedAdamW
from tlkit.training.losses import compute_answer_losses, compute_box_losses, compute_iou


@dataclass(frozen=True)
class StageModel:
    """What one stage trains: the tail above the boundary, and the head on top of it.

    Attributes:
        tail: From the boundary's feature to the backbone's output; None where the head alone is trained.
        head: From the backbone's output, and metadata, to answers and a box; see `tlkit.heads`.
        tail_trains: Whether the tail runs in training mode (dropout and stochastic depth are active, batch norm layers
            that are trainable update their statistics). False keeps all statistics fixed while gamma and beta train.
    """

    tail: keras.Model | None
    head: keras.Model
    tail_trains: bool

    def __call__(self, inputs: Any, metadata: Any, *, training: bool) -> dict[str, Any]:
        """Return `answer`, float32 (n, num_answers), and, if the head has one, `box`, float32 (n, 4)."""
        feature = tf.cast(inputs, tf.float32)
        if self.tail is not None:
            feature = self.tail(feature, training=training and self.tail_trains)
        return call_head(self.head, feature, metadata, training=training)

    @property
    def trainable_variables(self) -> list[Any]:
        """Variables that the optimizer moves, tail first, in a fixed order."""
        return [*(self.tail.trainable_variables if self.tail else ()), *self.head.trainable_variables]

    @property
    def variables(self) -> list[Any]:
        """All state: weights, batch norm statistics and the dropout generators' seeds, in a fixed order."""
        return [*(self.tail.variables if self.tail else ()), *self.head.variables]


Sums = dict[str, Any]
"""Sums over a batch by name, scalar tensors; `Meter` makes figures of them."""


@dataclass(frozen=True)
class Steps:
    """Compiled functions over (inputs, metadata, answers, boxes, box_weights, weights) of a batch.

    Attributes:
        train: Takes one optimizer step; returns sums over the batch, the loss weighted.
        evaluate: Returns sums over the batch, the loss not weighted or smoothed; changes nothing.
    """

    train: Callable[..., Sums]
    evaluate: Callable[..., Sums]

    @staticmethod
    def arguments(batch: Batch) -> tuple[Any, ...]:
        """Return what both functions take, from a batch."""
        truth = batch.truth
        return batch.inputs, batch.metadata, truth.answers, truth.boxes, truth.box_weights, batch.weights


def compile_steps(model: StageModel, optimizer: GroupedAdamW, *, outputs: Outputs, training: TrainingSettings) -> Steps:
    """Compile a stage's two steps.

    Args:
        model: The tail and head.
        optimizer: Built on `model.trainable_variables`.
        outputs: What the model says.
        training: Label smoothing, and the box's loss and its weight.
    """

    def add_up(
        said: dict[str, Any], answers: Any, boxes: Any, box_weights: Any, weights: Any, label_smoothing: float
    ) -> tuple[Any, Sums]:
        losses = compute_answer_losses(outputs.task, answers, said["answer"], label_smoothing=label_smoothing) * weights
        sums = _sum_answers(outputs, answers, said["answer"])
        if outputs.has_box:
            box_losses = compute_box_losses(training.box_loss, boxes, said["box"])
            losses += training.box_weight * box_weights * box_losses
            sums["iou"] = tf.reduce_sum(box_weights * compute_iou(boxes, said["box"]))
            sums["boxes"] = tf.reduce_sum(box_weights)
        sums["loss"] = tf.reduce_sum(losses)
        return tf.reduce_mean(losses), sums

    def train(
        inputs: tf.Tensor, metadata: tf.Tensor, answers: tf.Tensor, boxes: Any, box_weights: Any, weights: Any
    ) -> Sums:
        with tf.GradientTape() as tape:
            said = model(inputs, metadata, training=True)
            loss, sums = add_up(said, answers, boxes, box_weights, weights, training.label_smoothing)
        variables = model.trainable_variables
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        optimizer.apply(gradients, variables)
        return sums

    def evaluate(
        inputs: tf.Tensor, metadata: tf.Tensor, answers: tf.Tensor, boxes: Any, box_weights: Any, weights: Any
    ) -> Sums:
        said = model(inputs, metadata, training=False)
        return add_up(said, answers, boxes, box_weights, tf.ones_like(weights), 0.0)[1]

    return Steps(train=tf.function(train, reduce_retracing=True), evaluate=tf.function(evaluate, reduce_retracing=True))


def _sum_answers(outputs: Outputs, answers: tf.Tensor, logits: tf.Tensor) -> Sums:
    """Return the sums that the task's score is made of."""
    sums = {"images": tf.cast(tf.shape(logits)[0], tf.float32)}
    if outputs.task == CLASSIFICATION:
        right = tf.equal(tf.argmax(logits, axis=-1, output_type=tf.int32), answers)
        return {**sums, "right": tf.reduce_sum(tf.cast(right, tf.float32))}
    if outputs.task == MULTILABEL:
        right = tf.equal(logits > 0, answers > 0.5)
        return {**sums, "right": tf.reduce_sum(tf.reduce_mean(tf.cast(right, tf.float32), axis=-1))}
    return {
        **sums,
        "values": tf.reduce_sum(answers),
        "squares": tf.reduce_sum(answers**2),
        "squared_errors": tf.reduce_sum((answers - logits) ** 2),
    }
