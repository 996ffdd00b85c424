"""Train a head on the features of some images and predict held-out ones. Nothing is saved.

This is the first stage of a run, with the epoch chosen on validation images; `tlkit compare` does it for each fold.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Self

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tlkit.devices import read_input_memory
from tlkit.heads import build_head
from tlkit.models.predictor import to_deviations, to_values
from tlkit.outputs import Target
from tlkit.recipes import HeadSettings, ResolvedStage, TrainingSettings
from tlkit.tasks import Outputs, find_task
from tlkit.training.batches import Batches, EpochPlan, InputReader, choose_inputs
from tlkit.training.checkpoint import Arrays, Progress, restore, snapshot
from tlkit.training.loop import StageCallbacks, StageData, fit_stage
from tlkit.training.losses import compute_class_weights
from tlkit.training.mixing import Mixing
from tlkit.training.steps import StageModel
from tlkit.training.targets import FixedTargets
from tlkit.training.whitening import fit_whitening

IMAGES_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class FeatureSource:
    """Features of images in several views, from any storage.

    Attributes:
        read: Reads features by image and view: float16 or float32 (n, *shape).
        num_views: Number of views per image; view 0 is the image itself.
        shape: Shape of one row: (channels,) or (height, width, channels).
        row_bytes: Size of one row.
    """

    read: InputReader
    num_views: int
    shape: tuple[int, ...]
    row_bytes: int


@dataclass(frozen=True, eq=False)
class Parts:
    """Positions of the training, validation and test images, int64; validation chooses the epoch."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


@dataclass(frozen=True)
class HeadTraining:
    """A new head, and how to train it.

    Attributes:
        outputs: The outputs of the head; no box.
        head: The kind of head.
        stage: Resolved settings of a stage for the head alone.
        training: Seed, weight decay, label smoothing and class weights.
    """

    outputs: Outputs
    head: HeadSettings
    stage: ResolvedStage
    training: TrainingSettings


@dataclass(frozen=True, eq=False)
class HeldOutAnswers:
    """The predictions of a head for held-out images.

    Attributes:
        outputs: One row per test image, float (n, num_answers): probabilities of classes or labels, 0..1, or a value in
            its own unit.
        progress: History and best epoch of its training.
        seconds: Duration of training and prediction.
        num_parameters: Number of weights of the head.
    """

    outputs: NDArray[np.floating[Any]]
    progress: Progress
    seconds: float
    num_parameters: int


@dataclass(frozen=True, eq=False)
class NewHead:
    """A head that can be trained anew, without compiling its steps again.

    Attributes:
        model: The head, as a model.
        start: Its untrained weights.
    """

    model: StageModel
    start: Arrays

    @classmethod
    def build(cls, feature_shape: tuple[int, ...], how: HeadTraining) -> Self:
        """Build a head for features of a shape (without the batch axis)."""
        keras.utils.set_random_seed(how.training.seed)
        head = build_head(
            how.head.kind,
            feature_shape=feature_shape,
            outputs=how.outputs,
            dropout=how.head.dropout,
            units=how.head.units,
            whiten=how.head.whiten,
        )
        model = StageModel(tail=None, head=head, tail_trains=False)
        return cls(model, snapshot("start", model.variables))

    def renew(self) -> StageModel:
        """Return the model with untrained weights."""
        restore("start", self.model.variables, self.start)
        return self.model


def answer_held_out(
    features: FeatureSource, answers: NDArray[Any], parts: Parts, how: HeadTraining, new_head: NewHead | None = None
) -> HeldOutAnswers:
    """Train a new head and predict the test images, each in view 0.

    Deterministic: the same arguments give the same outputs.

    Args:
        features: Features of all images, by position.
        answers: Targets of all images: int32 (n,) classes, float32 (n, labels) of 0 and 1, or float (n, 1) values.
        parts: The split of the images.
        how: The head, and how to train it.
        new_head: Built for these features; None to build one.

    Raises:
        NumericsError: The training loss is no longer a number.
    """
    started = time.perf_counter()
    trained = train_head(features, answers, parts, how, new_head)
    return HeldOutAnswers(
        answer_with(trained, features, parts.test),
        trained.progress,
        time.perf_counter() - started,
        trained.model.head.count_params(),
    )


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model.

    Attributes:
        model: From features to logits.
        outputs: Its outputs.
        target: How values are scaled; None for classes and labels.
        answers: Targets of all images as the model learns them; values in standard deviations from the mean.
        progress: History and best epoch of its training.
    """

    model: StageModel
    outputs: Outputs
    target: Target | None
    answers: NDArray[Any]
    progress: Progress

    def through(self, model: StageModel) -> Trained:
        """Return a copy for another model trained on the same targets."""
        return dataclasses.replace(self, model=model)


def train_head(
    features: FeatureSource, answers: NDArray[Any], parts: Parts, how: HeadTraining, new_head: NewHead | None = None
) -> Trained:
    """Train a new head; arguments as in `answer_held_out`."""
    outputs, stage, training = how.outputs, how.stage, how.training
    model = (new_head or NewHead.build(features.shape, how)).renew()
    target = find_task(outputs.task).fit_target("", answers[parts.train], is_log=False)
    learnt = answers if target is None else to_deviations(target, answers)
    data = make_stage_data(
        features,
        learnt,
        parts,
        outputs=outputs,
        stage=stage,
        training=training,
    )
    fit_whitening(model, data, how.head)
    progress = fit_unwatched(model, data, [stage.head_rate] * len(model.trainable_variables), stage, training)
    return Trained(model, outputs, target, learnt, progress)


def answer_with(trained: Trained, features: FeatureSource, images: NDArray[np.int64]) -> NDArray[np.floating[Any]]:
    """Return a model's predictions for images in view 0; see `HeldOutAnswers`."""
    outputs = trained.outputs.find_task().activate(compute_logits(trained.model, features.read, images))
    return outputs if trained.target is None else to_values(trained.target, outputs)


def make_stage_data(
    features: FeatureSource,
    answers: NDArray[Any],
    parts: Parts,
    *,
    outputs: Outputs,
    stage: ResolvedStage,
    training: TrainingSettings,
) -> StageData:
    """Return the batches of a stage on features; arguments as in `answer_held_out` and `HeadTraining`."""

    def make_batches(images: NDArray[np.int64], num_views: int, seed: int | None, class_weight: str) -> Batches:
        chosen = answers[images]
        inputs = choose_inputs(
            lambda places, views: features.read(images[places], views),
            num_images=len(images),
            num_views=num_views,
            batch_size=stage.images_per_step,
            row_bytes=features.row_bytes,
            free_bytes=read_input_memory(),
        )
        mixing = Mixing(stage.mixup, stage.cutmix)
        plan = EpochPlan(len(images), stage.images_per_step, num_views, seed, mixing)
        weights = compute_class_weights(chosen, num_classes=outputs.num_answers, mode=class_weight)
        return Batches(plan, inputs, FixedTargets(chosen), np.zeros((len(images), 0), np.float32), weights)

    return StageData(
        train=make_batches(parts.train, features.num_views, training.seed * 1000 + 1, training.class_weight),
        validation=make_batches(parts.validation, 1, None, "none"),
        outputs=outputs,
    )


def fit_unwatched(
    model: StageModel,
    data: StageData,
    rates: list[float],
    stage: ResolvedStage,
    training: TrainingSettings,
    *,
    keeps_start: bool = False,
) -> Progress:
    """Train a stage without progress display and checkpoints."""

    def show_nothing(text: str, total: int) -> nullcontext[Callable[[int], None]]:
        return nullcontext(lambda count: None)

    return fit_stage(
        model,
        data,
        rates=rates,
        stage=stage,
        training=training,
        keeps_start=keeps_start,
        callbacks=StageCallbacks(lambda rows: None, show_nothing),
    )


def compute_logits(
    model: StageModel, read: InputReader, images: NDArray[np.int64], *, view: int = 0
) -> NDArray[np.float32]:
    """Return a model's logits for images in one view, in inference mode: float32 (n, num_answers)."""
    logits_by_batch = []
    for start in range(0, len(images), IMAGES_AT_ONCE):
        some = images[start : start + IMAGES_AT_ONCE]
        rows = read(some, np.full(len(some), view))
        logits = model(rows, np.zeros((len(some), 0), np.float32), training=False)["answer"]
        logits_by_batch.append(ops.convert_to_numpy(logits))
    return np.concatenate(logits_by_batch)
