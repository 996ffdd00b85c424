"""The compiled training and validation steps. Only these and the optimizer use TensorFlow directly."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
from collections.abc import Collection, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tlkit.backbones.mixed import computing_in
from tlkit.devices import FLOAT32, find_practice
from tlkit.heads import call_head
from tlkit.recipes import TrainingSettings
from tlkit.tasks import Outputs
from tlkit.training.batches import EpochPlan
from tlkit.training.compiled_steps import CompiledSteps
from tlkit.training.dropout import give_masks
from tlkit.training.layer_groups import GroupedOptimizer
from tlkit.training.losses import compute_box_losses, compute_iou
from tlkit.training.mixing import MixedTargets, blend, mix_answers, mix_inputs
from tlkit.training.replicas import ONE_DEVICE, OneDevice


@dataclass(frozen=True)
class StageModel:
    """The model that a stage trains: the tail above the boundary, and the head.

    Attributes:
        tail: From the boundary's feature to the backbone's output; None if only the head is trained.
        head: From the backbone's output and metadata to the outputs; see `tlkit.heads`.
        tail_trains: Whether the tail runs in training mode: dropout and stochastic depth are active, and trainable
            batch norm layers update their statistics. Otherwise all statistics are fixed.
        dtype: Policy that the layers of the tail compute under; the head computes in float32.
        replicas: The devices that divide each batch among them.
        prepared: What `prepare_stage` has made for it.
    """

    tail: keras.Model | None
    head: keras.Model
    tail_trains: bool
    dtype: str = FLOAT32
    replicas: OneDevice = ONE_DEVICE
    prepared: dict[Hashable, tuple[GroupedOptimizer, Steps]] = field(default_factory=dict, repr=False, compare=False)

    def __call__(self, inputs: Any, metadata: Any, *, training: bool) -> dict[str, Any]:
        """Return `answer`, float32 (n, *answer_shape), and, if the head has one, `box`, float32 (n, 4)."""
        return call_head(self.head, self.compute_feature(inputs, training=training), metadata, training=training)

    def compute_feature(self, inputs: Any, *, training: bool) -> Any:
        """Return what the head takes, float32 (n, *feature_shape)."""
        feature = tf.cast(inputs, tf.float32)
        if self.tail is not None:
            with computing_in(self.tail, self.dtype):
                feature = tf.cast(self.tail(feature, training=training and self.tail_trains), tf.float32)
        return feature

    @property
    def trainable_variables(self) -> list[Any]:
        """Variables that the optimizer updates, tail first, in a fixed order."""
        return [*(self.tail.trainable_variables if self.tail else ()), *self.head.trainable_variables]

    @property
    def variables(self) -> list[Any]:
        """All state: weights, batch norm statistics and the dropout generators' seeds, in a fixed order."""
        return [*(self.tail.variables if self.tail else ()), *self.head.variables]

    def held(self) -> AbstractContextManager[None]:
        """Have all state where steps compute; those of `compile_steps` are called inside."""
        return self.replicas.holding(self.variables)

    @property
    def norms_above_trained(self) -> list[keras.layers.BatchNormalization]:
        """Batch norm layers that update their statistics while layers below them may be trained.

        A head of its own has none that matter, but for one with answers at many places, whose layers are a network.
        """
        if self.tail is None and len(self.head.output["answer"].shape) == 2:
            return []
        layers = [*(self.tail.layers if self.tail and self.tail_trains else ()), *self.head.layers]
        return [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable]


class _Batch(NamedTuple):
    """A batch as a step computes it, mixed if it is to be; arrays (n, ...) as in `Block`."""

    inputs: Any
    metadata: Any
    targets: MixedTargets
    boxes: Any
    box_weights: Any


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


def choose_xla_sizes(model: StageModel, plan: EpochPlan, num_epochs: int) -> frozenset[int]:
    """Return the batch sizes whose steps XLA compiles: those of a linear head, if there are many.

    XLA makes one pass over the features of what takes TensorFlow ten. Heads with hidden layers gain nothing by it, and what XLA
    compiles runs on one device.

    Args:
        model: What is trained.
        plan: The training batches.
        num_epochs: Maximum number of epochs.
    """
    feature = None if model.tail else model.head.input.get("feature")
    if feature is None or len(feature.shape) > 2 or model.replicas.devices:
        return frozenset()
    worth_it = find_practice().steps_worth_xla
    numbers = collections.Counter(map(len, plan.draw(0)[0]))
    return frozenset(size for size, number in numbers.items() if number * num_epochs >= worth_it)


def compile_steps(
    model: StageModel,
    optimizer: GroupedOptimizer,
    *,
    outputs: Outputs,
    training: TrainingSettings,
    xla_sizes: Collection[int] = (),
) -> Steps:
    """Compile the steps of a stage.

    Args:
        model: The tail and head.
        optimizer: Built on `model.trainable_variables`.
        outputs: The outputs of the model.
        training: Label smoothing, the focal loss's gamma, and the box's loss and its weight; the seed of dropout.
        xla_sizes: From `choose_xla_sizes`.
    """
    task, replicas = outputs.find_task(), model.replicas
    head, dropout = give_masks(model.head, training.seed)
    masked = dataclasses.replace(
        model, tail=replicas.share_layers(model.tail), head=replicas.share_layers(head), prepared={}
    )
    measured = dataclasses.replace(masked, head=replicas.share_layers(model.head))

    def mix_batch(
        inputs: Any, metadata: Any, answers: Any, boxes: Any, box_weights: Any, weights: Any, *mix: Any
    ) -> _Batch:
        targets = MixedTargets(((answers, weights),), answers)
        if mix:
            inputs, shares = mix_inputs(tf.cast(inputs, tf.float32), *mix)
            metadata = blend(metadata, mix[0], shares)
            targets = mix_answers(task, answers, weights, mix[0], shares)
        return _Batch(inputs, metadata, targets, boxes, box_weights)

    def learn(batch: _Batch) -> dict[str, Any]:
        with tf.GradientTape() as tape:
            predicted = masked(batch.inputs, batch.metadata, training=True)
            shaping = {"label_smoothing": training.label_smoothing, "focal": training.focal}
            figures = _compute_figures(batch, predicted, outputs, training, **shaping)
            loss = replicas.average(figures["loss"])
        variables = model.trainable_variables
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        optimizer.apply(replicas.add_gradients(gradients), variables)
        return figures

    def train(factor: Any, *given: Any) -> dict[str, Any]:
        optimizer.learning_rate.assign(factor)
        return replicas.sum_figures(learn, mix_batch(*given))

    def predict(batch: _Batch) -> dict[str, Any]:
        predicted = model(batch.inputs, batch.metadata, training=False)
        return _compute_figures(batch, predicted, outputs, training) | task.list_found(predicted["answer"])

    def evaluate(
        factor: Any, inputs: Any, metadata: Any, answers: Any, boxes: Any, box_weights: Any, weights: Any
    ) -> dict[str, Any]:
        given = (inputs, metadata, answers, boxes, box_weights, tf.ones_like(weights))
        return replicas.list_figures(predict, mix_batch(*given))

    def count_measured(batch: _Batch) -> dict[str, Any]:
        answers = measured(batch.inputs, batch.metadata, training=True)["answer"]
        return {"images": tf.ones(tf.shape(answers)[:1])}

    def measure(momentum: Any, *given: Any) -> dict[str, Any]:
        with _momentum(norms, momentum):
            return replicas.sum_figures(count_measured, mix_batch(*given))

    norms = model.norms_above_trained
    names = task.summed + (("iou", "boxes") if outputs.has_box else ()) + ("loss",)
    return Steps(
        train=CompiledSteps(train, names, dropout=dropout, num_taken=optimizer.iterations, xla_sizes=xla_sizes),
        evaluate=CompiledSteps(evaluate, names, by_image=True, listed=task.listed),
        measure=CompiledSteps(measure, ("images",)) if norms else None,
    )


def _compute_figures(
    batch: _Batch, predicted: dict[str, Any], outputs: Outputs, training: TrainingSettings, **shaping: float
) -> dict[str, Any]:
    """Return the terms of each image by name, (n,): the loss, shaped as given, and those of the scores."""
    task = outputs.find_task()
    losses = sum(
        task.compute_losses(answers, predicted["answer"], **shaping) * weights
        for answers, weights in batch.targets.terms
    )
    figures = task.measure(batch.targets.counted, predicted["answer"])
    if outputs.has_box:
        box_losses = compute_box_losses(training.box_loss, batch.boxes, predicted["box"])
        losses += training.box_weight * batch.box_weights * box_losses
        figures["iou"] = batch.box_weights * compute_iou(batch.boxes, predicted["box"])
        figures["boxes"] = batch.box_weights
    return {**figures, "loss": losses}


def prepare_stage(
    model: StageModel,
    rates: Sequence[float],
    *,
    outputs: Outputs,
    training: TrainingSettings,
    xla_sizes: Collection[int],
) -> tuple[GroupedOptimizer, Steps]:
    """Return an optimizer in its initial state and the compiled steps of a stage.

    To trace the steps takes longer than a small training: those of an earlier stage of the same model are taken again if
    nothing differs but the data.
    """
    variables = model.trainable_variables
    key = tuple(map(id, variables)), tuple(rates), outputs, training, frozenset(xla_sizes)
    if key not in model.prepared:
        with model.replicas.creating():
            optimizer = GroupedOptimizer(rates, weight_decay=training.weight_decay, kind=training.optimizer)
            optimizer.build(variables)
        steps = compile_steps(model, optimizer, outputs=outputs, training=training, xla_sizes=xla_sizes)
        model.prepared[key] = optimizer, steps
        return optimizer, steps
    optimizer, steps = model.prepared[key]
    for variable in optimizer.variables:
        variable.assign(keras.ops.zeros_like(variable))
    return optimizer, steps


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
