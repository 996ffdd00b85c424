"""The compiled training and validation steps. Only these and the optimizer use TensorFlow directly."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tlkit.heads import call_head
from tlkit.recipes import TrainingSettings
from tlkit.tasks import Outputs, find_task
from tlkit.training.batches import Block
from tlkit.training.layer_groups import GroupedAdamW
from tlkit.training.losses import compute_box_losses, compute_iou
from tlkit.training.mixing import MixedTargets, blend, mix_answers, mix_inputs


@dataclass(frozen=True)
class StageModel:
    """The model that a stage trains: the tail above the boundary, and the head.

    Attributes:
        tail: From the boundary's feature to the backbone's output; None if only the head is trained.
        head: From the backbone's output and metadata to the outputs; see `tlkit.heads`.
        tail_trains: Whether the tail runs in training mode: dropout and stochastic depth are active, and trainable
            batch norm layers update their statistics. Otherwise all statistics are fixed.
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
        """Variables that the optimizer updates, tail first, in a fixed order."""
        return [*(self.tail.trainable_variables if self.tail else ()), *self.head.trainable_variables]

    @property
    def variables(self) -> list[Any]:
        """All state: weights, batch norm statistics and the dropout generators' seeds, in a fixed order."""
        return [*(self.tail.variables if self.tail else ()), *self.head.variables]

    @property
    def norms_above_trained(self) -> list[keras.layers.BatchNormalization]:
        """Batch norm layers that update their statistics while layers below them may be trained."""
        if self.tail is None:
            return []
        layers = [*(self.tail.layers if self.tail_trains else ()), *self.head.layers]
        return [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable]


Sums = dict[str, NDArray[np.float32]]
"""Sums by name, per batch, (batches,), or per image, (images,); `Meter` adds them up."""


class CompiledSteps:
    """Steps over consecutive batches, compiled into one loop outside Python.

    A call from Python costs about as much as a step of a small head, so one call takes many steps. The loop is traced
    once for all batch sizes; either all blocks are mixed or none.

    Args:
        step: Called with the factor of the learning rate; the inputs, metadata, answers, boxes, box_weights and weights
            of a batch; and the arrays of its mix, if any. Returns sums over the batch, scalars by name, or the terms of
            each image, (n,) by name.
        names: The names of the sums.
        by_image: Whether the step returns the terms of each image.
    """

    def __init__(self, step: Callable[..., dict[str, Any]], names: tuple[str, ...], *, by_image: bool = False) -> None:
        self._step = step
        self._names = names
        self._by_image = by_image
        self._compiled: Callable[..., Any] | None = None

    def __call__(self, block: Block, batches: slice, factors: Sequence[float]) -> Sums:
        """Take the steps of some batches of a block.

        Args:
            block: Contains the batches.
            batches: The batches to run.
            factors: Factor of the learning rate for each batch.
        """
        targets = block.targets
        edges = block.edges[batches.start : batches.stop + 1]
        images = slice(edges[0], edges[-1])
        mix = block.mix.arrays if block.mix else ()
        arrays = (block.rows, block.metadata, targets.answers, targets.boxes, targets.box_weights, block.weights, *mix)
        arguments = [
            tf.convert_to_tensor(array)
            for array in (block.inputs, *(array[images] for array in arrays), edges - edges[0])
        ]
        arguments.append(tf.constant(factors, tf.float32))
        if self._compiled is None:
            specs = [tf.TensorSpec([None, *argument.shape[1:]], argument.dtype) for argument in arguments]
            self._compiled = tf.function(self._loop, input_signature=specs, autograph=False)
        sums = self._compiled(*arguments).numpy()
        return {name: sums[:, column] for column, name in enumerate(self._names)}

    def _loop(self, inputs: Any, rows: Any, *rest: Any) -> Any:
        """Return the sums per batch, float32 (batches, names), or the terms per image, (images, names)."""
        *arrays, edges, factors = rest
        num_batches = tf.size(factors)

        def take_step(number: Any, sums: Any) -> tuple[Any, Any]:
            start, stop = edges[number], edges[number + 1]
            chosen = [array[start:stop] for array in arrays]
            results = self._step(factors[number], tf.gather(inputs, rows[start:stop]), *chosen)
            return number + 1, sums.write(number, tf.stack([results[name] for name in self._names], axis=-1))

        shape = (None, len(self._names)) if self._by_image else (len(self._names),)
        sums = tf.TensorArray(tf.float32, size=num_batches, element_shape=shape, infer_shape=not self._by_image)
        _, sums = tf.while_loop(lambda number, _: number < num_batches, take_step, (0, sums), parallel_iterations=1)
        return sums.concat() if self._by_image else sums.stack()


@dataclass(frozen=True)
class Steps:
    """The compiled steps of a stage.

    Attributes:
        train: Takes one optimizer step per batch; the loss is weighted.
        evaluate: Changes nothing, and returns the terms of each image. The loss is not weighted, smoothed or focal, so
            that stages trained with different losses are comparable.
        measure: Updates the moving statistics of batch norm above trained layers, with the momentum in place of the
            factor: 0 discards the old statistics, k / (k + 1) gives the mean of k + 1 batches. None without such
            layers.
    """

    train: CompiledSteps
    evaluate: CompiledSteps
    measure: CompiledSteps | None


def compile_steps(model: StageModel, optimizer: GroupedAdamW, *, outputs: Outputs, training: TrainingSettings) -> Steps:
    """Compile the steps of a stage.

    Args:
        model: The tail and head.
        optimizer: Built on `model.trainable_variables`.
        outputs: The outputs of the model.
        training: Label smoothing, the focal loss's gamma, and the box's loss and its weight.
    """
    task = find_task(outputs.task)

    def measure_images(
        predicted: dict[str, Any], targets: MixedTargets, boxes: Any, box_weights: Any, **shaping: float
    ) -> dict[str, Any]:
        losses = sum(
            task.compute_losses(answers, predicted["answer"], **shaping) * weights for answers, weights in targets.terms
        )
        figures = task.measure(targets.counted, predicted["answer"])
        if outputs.has_box:
            box_losses = compute_box_losses(training.box_loss, boxes, predicted["box"])
            losses += training.box_weight * box_weights * box_losses
            figures["iou"] = box_weights * compute_iou(boxes, predicted["box"])
            figures["boxes"] = box_weights
        return {**figures, "loss": losses}

    def mix_given(inputs: Any, metadata: Any, partners: Any, *mix: Any) -> tuple[Any, Any, Any]:
        inputs, shares = mix_inputs(tf.cast(inputs, tf.float32), partners, *mix)
        return inputs, blend(metadata, partners, shares), shares

    def train(
        factor: Any, inputs: Any, metadata: Any, answers: Any, boxes: Any, box_weights: Any, weights: Any, *mix: Any
    ) -> dict[str, Any]:
        optimizer.learning_rate.assign(factor)
        targets = MixedTargets(((answers, weights),), answers)
        if mix:
            inputs, metadata, shares = mix_given(inputs, metadata, *mix)
            targets = mix_answers(task, answers, weights, mix[0], shares)
        with tf.GradientTape() as tape:
            predicted = model(inputs, metadata, training=True)
            figures = measure_images(
                predicted, targets, boxes, box_weights, label_smoothing=training.label_smoothing, focal=training.focal
            )
            loss = tf.reduce_mean(figures["loss"])
        variables = model.trainable_variables
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        optimizer.apply(gradients, variables)
        return {name: tf.reduce_sum(values) for name, values in figures.items()}

    def evaluate(
        factor: Any, inputs: Any, metadata: Any, answers: Any, boxes: Any, box_weights: Any, weights: Any
    ) -> dict[str, Any]:
        predicted = model(inputs, metadata, training=False)
        return measure_images(predicted, MixedTargets(((answers, tf.ones_like(weights)),), answers), boxes, box_weights)

    def measure(
        momentum: Any, inputs: Any, metadata: Any, answers: Any, boxes: Any, box_weights: Any, weights: Any, *mix: Any
    ) -> dict[str, Any]:
        if mix:
            inputs, metadata, _ = mix_given(inputs, metadata, *mix)
        with _momentum(norms, momentum):
            predicted = model(inputs, metadata, training=True)
        return {"images": tf.cast(tf.shape(predicted["answer"])[0], tf.float32)}

    norms = model.norms_above_trained
    names = task.summed + (("iou", "boxes") if outputs.has_box else ()) + ("loss",)
    return Steps(
        train=CompiledSteps(train, names),
        evaluate=CompiledSteps(evaluate, names, by_image=True),
        measure=CompiledSteps(measure, ("images",)) if norms else None,
    )


@contextlib.contextmanager
def _momentum(norms: Sequence[keras.layers.BatchNormalization], momentum: Any) -> Iterator[None]:
    """Set the momentum of moving statistics, a scalar tensor, for what is traced inside."""
    own = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.momentum = momentum
        yield
    finally:
        for norm, value in zip(norms, own, strict=True):
            norm.momentum = value
