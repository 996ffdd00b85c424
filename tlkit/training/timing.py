"""Take a few steps of a stage to estimate the time of an epoch. The model does not change."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.recipes import TrainingSettings
from tlkit.training.batches import Batches, Block
from tlkit.training.call_sizes import CallSizer
from tlkit.training.checkpoint import restore, snapshot
from tlkit.training.compiled_steps import CompiledSteps
from tlkit.training.loop import StageData
from tlkit.training.steps import StageModel, choose_xla_sizes, prepare_stage

MIN_TIMED_STEPS = 2


@dataclass(frozen=True)
class EpochTime:
    """The time that a stage takes.

    Attributes:
        start_seconds: Time to trace and compile the steps, and to validate before the first epoch.
        epoch_seconds: Time of the training steps and the validation of an epoch.
    """

    start_seconds: float
    epoch_seconds: float


@dataclass(frozen=True)
class StandInInputs:
    """A few inputs that stand in for a whole split: the cost of a step depends on shape and dtype, not on values.

    Attributes:
        table: Tensor (m, ...), m >= 1.
    """

    table: Any
    batches_at_once: int = 2**31
    blocks_ahead: int = 0

    def take(self, images: NDArray[np.int64], views: NDArray[np.int64]) -> tuple[Any, NDArray[np.int64]]:
        """Return the table, and the row of each image."""
        return self.table, (images + views) % len(self.table)


def time_epoch(
    model: StageModel,
    data: StageData,
    *,
    rates: list[float],
    training: TrainingSettings,
    num_epochs: int,
    seconds: float,
) -> EpochTime:
    """Time the steps of `fit_stage` at a learning rate of zero, and restore the model.

    Args:
        model: Tail and head; its `trainable` flags are set.
        data: Training and validation data; some batches of an epoch are used.
        rates: Learning rate of each of `model.trainable_variables`.
        training: Weight decay and label smoothing.
        num_epochs: Of the stage.
        seconds: Approximate duration of the measurement, without compilation.
    """
    xla_sizes = choose_xla_sizes(model, data.train.plan, num_epochs)
    with model.held():
        state = snapshot("trial", model.variables)
        _, steps = prepare_stage(model, rates, outputs=data.outputs, training=training, xla_sizes=xla_sizes)
        try:
            train_start, train_seconds = _time_steps(steps.train, data.train, seconds)
            validation_start, validation_seconds = _time_steps(steps.evaluate, data.validation, seconds / 4)
        finally:
            restore("trial", model.variables, state)
    return EpochTime(train_start + validation_start + validation_seconds, train_seconds + validation_seconds)


def _time_steps(steps: CompiledSteps, batches: Batches, seconds: float) -> tuple[float, float]:
    """Return the extra time of the first step, and the time of all steps of an epoch."""
    sizer = CallSizer()
    num_warm = 1 + batches.inputs.blocks_ahead * min(batches.inputs.batches_at_once, batches.plan.num_batches)
    num_taken = 0
    began = warmed_up = time.perf_counter()
    first = 0.0
    for block in _repeat(batches):
        for calls in sizer.split_steps(block.num_batches):
            steps(block, calls, [0.0] * (calls.stop - calls.start))
            now = time.perf_counter()
            num_taken += calls.stop - calls.start
            first = first or now - began
            if num_taken <= num_warm:  # these were read ahead while the first step was compiled
                num_timed, warmed_up = 0, now
                continue
            num_timed += calls.stop - calls.start
            if num_timed >= MIN_TIMED_STEPS and now - warmed_up >= seconds:
                step = (now - warmed_up) / num_timed
                return max(0.0, first - step), step * batches.plan.num_batches
    raise AssertionError("epochs follow each other without end")


def _repeat(batches: Batches) -> itertools.chain[Block]:
    """Return the blocks of consecutive epochs."""
    return itertools.chain.from_iterable(map(batches.epoch, itertools.count()))
