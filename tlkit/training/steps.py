"""The compiled training and validation steps: the one place in training that needs TensorFlow itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from tlkit.training.layer_groups import GroupedAdamW


@dataclass(frozen=True)
class StageModel:
    """What one stage trains: the tail above the boundary, and the head on top of it.

    Attributes:
        tail: From the boundary's feature to the backbone's output; None where the head alone is trained.
        head: From the backbone's output to logits (n, num_classes).
        tail_trains: Whether the tail runs in training mode (dropout and stochastic depth are active, batch norm layers
            that are trainable update their statistics). False keeps all statistics fixed while gamma and beta train.
    """

    tail: keras.Model | None
    head: keras.Model
    tail_trains: bool

    def __call__(self, inputs: Any, *, training: bool) -> Any:
        """Return logits, float32 (n, num_classes)."""
        feature = tf.cast(inputs, tf.float32)
        if self.tail is not None:
            feature = self.tail(feature, training=training and self.tail_trains)
        return self.head(feature, training=training)

    @property
    def trainable_variables(self) -> list[Any]:
        """Variables that the optimizer moves, tail first, in a fixed order."""
        return [*(self.tail.trainable_variables if self.tail else ()), *self.head.trainable_variables]

    @property
    def variables(self) -> list[Any]:
        """All state: weights, batch norm statistics and the dropout generators' seeds, in a fixed order."""
        return [*(self.tail.variables if self.tail else ()), *self.head.variables]


@dataclass(frozen=True)
class Steps:
    """Compiled functions over (inputs, labels, weights).

    Attributes:
        train: Takes one optimizer step; returns the sum of weighted losses and the number of right answers.
        evaluate: Returns the sum of plain cross-entropies and the number of right answers; changes nothing.
    """

    train: Callable[[Any, Any, Any], tuple[Any, Any]]
    evaluate: Callable[[Any, Any], tuple[Any, Any]]


def compile_steps(model: StageModel, optimizer: GroupedAdamW, *, num_classes: int, label_smoothing: float) -> Steps:
    """Compile a stage's two steps.

    Args:
        model: The tail and head.
        optimizer: Built on `model.trainable_variables`.
        num_classes: Number of logits.
        label_smoothing: Part of each label that is spread over all classes, 0 <= x < 1; training loss only.
    """

    def train(inputs: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            logits = model(inputs, training=True)
            targets = tf.one_hot(labels, num_classes) * (1.0 - label_smoothing) + label_smoothing / num_classes
            losses = tf.nn.softmax_cross_entropy_with_logits(targets, logits) * weights
            loss = tf.reduce_mean(losses)
        variables = model.trainable_variables
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        optimizer.apply(gradients, variables)
        return tf.reduce_sum(losses), _count_right(labels, logits)

    def evaluate(inputs: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        logits = model(inputs, training=False)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        return tf.reduce_sum(losses), _count_right(labels, logits)

    return Steps(train=tf.function(train, reduce_retracing=True), evaluate=tf.function(evaluate, reduce_retracing=True))


def _count_right(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(tf.equal(tf.argmax(logits, axis=-1, output_type=tf.int32), labels), tf.int32))
