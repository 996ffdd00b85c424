"""One stage of training: epochs with validation, best weights, early stopping, exact resume."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.errors import NumericsError
from tlkit.recipes import ResolvedStage, TrainingSettings
from tlkit.recipes.defaults import list_cycle_ends
from tlkit.tasks import Outputs
from tlkit.training.batches import Batches
from tlkit.training.call_sizes import CallSizer, SaveTimer
from tlkit.training.checkpoint import Arrays, Checkpoint, Progress, restore, snapshot
from tlkit.training.layer_groups import GroupedOptimizer
from tlkit.training.meters import Figures, Meter, compute_outcomes
from tlkit.training.moving_statistics import LastBatches, catch_up, measure_first
from tlkit.training.schedules import Course
from tlkit.training.steps import StageModel, Steps, choose_xla_sizes, prepare_stage
from tlkit.training.verdicts import decide

Advance = Callable[[int], None]
EpochProgress = Callable[[str, int], AbstractContextManager[Advance]]


@dataclass(frozen=True)
class StageData:
    """The data of a stage: training batches, validation images in order, and the outputs to train."""

    train: Batches
    validation: Batches
    outputs: Outputs


@dataclass(frozen=True)
class StageCallbacks:
    """What is called while a stage runs.

    Attributes:
        on_epoch: Called after every epoch with the stage's history rows so far.
        epoch_progress: Takes a description and a number of images; returns a context manager whose value counts images.
        checkpoint: Where the state is written after an epoch, using at most 5% of the time; an existing one is resumed.
            None to write none.
    """

    on_epoch: Callable[[Sequence[dict[str, Any]]], None]
    epoch_progress: EpochProgress
    checkpoint: Checkpoint | None = None


def fit_stage(
    model: StageModel,
    data: StageData,
    *,
    rates: list[float],
    stage: ResolvedStage,
    training: TrainingSettings,
    keeps_start: bool,
    callbacks: StageCallbacks,
) -> Progress:
    """Train one stage and leave the model with the weights of its best epoch.

    The best epoch is the one with the lowest validation loss; choosing the highest of many accuracies would be
    optimistic, but see `is_better`. With `keeps_start` the stage must also improve the model, or its weights are restored: the score must
    rise significantly, or the loss must be lower and the score not significantly worse; see `tlkit.training.verdicts`.
    With `stage.average`, the mean weights of several epochs replace the best ones if they are better.
    Batch norm statistics that lag behind the trained layers are measured again before validation; see
    `moving_statistics`.

    Args:
        model: Tail and head; its `trainable` flags are set.
        data: What to train and validate on.
        rates: Learning rate of each of `model.trainable_variables`.
        stage: Epochs, schedule and patience; resolved.
        training: Seed, weight decay, label smoothing and focal loss.
        keeps_start: Whether the model was usable before this stage.
        callbacks: Called after each epoch.

    Returns:
        The progress, with the history.

    Raises:
        NumericsError: The training loss is not finite.
        RunError: The checkpoint belongs to another model.
    """
    with model.held():
        return _fit_stage(
            model,
            data,
            rates=rates,
            stage=stage,
            training=training,
            keeps_start=keeps_start,
            callbacks=callbacks,
        )


def _fit_stage(
    model: StageModel,
    data: StageData,
    *,
    rates: list[float],
    stage: ResolvedStage,
    training: TrainingSettings,
    keeps_start: bool,
    callbacks: StageCallbacks,
) -> Progress:
    xla_sizes = choose_xla_sizes(model, data.train.plan, stage.epochs)
    optimizer, steps = prepare_stage(model, rates, outputs=data.outputs, training=training, xla_sizes=xla_sizes)
    sizer, saving, checkpoint = CallSizer(), SaveTimer(), callbacks.checkpoint
    start = snapshot("start", model.variables)
    if saved := checkpoint.read() if checkpoint else None:
        arrays, progress = saved
        restore("model", model.variables, arrays)
        restore("optimizer", optimizer.variables, arrays)
        best, average = (
            {name: array for name, array in arrays.items() if name.startswith(f"{part}/")}
            for part in ("best", "average")
        )
        outcomes = {name: arrays[f"outcomes/{name}"] for name in ("start", "best")}
    else:
        best, average = snapshot("best", model.variables), {}
        figures, outcomes_by_image = _evaluate(steps, data.validation, data.outputs)
        outcomes = {"start": outcomes_by_image, "best": outcomes_by_image}
        progress = Progress(start=figures, steps_per_epoch=data.train.num_batches)
    while not _is_over(progress, stage):
        row, outcomes_by_image = _run_epoch(steps, sizer, data, stage=stage, progress=progress, callbacks=callbacks)
        progress.epochs_done += 1
        figures = {name: row[f"validation_{name}"] for name in progress.start}
        row["is_best"] = is_better(figures, progress.best, data.outputs)
        if row["is_best"]:
            progress.best_epoch, progress.best = progress.epochs_done, figures
            best, outcomes["best"] = snapshot("best", model.variables), outcomes_by_image
        progress.rows.append(row)
        if progress.epochs_done in list_averaged_epochs(stage):
            progress.num_averaged += 1
            average = _add_to_average(average, snapshot("average", model.variables), progress.num_averaged)
        if checkpoint and saving.is_due:
            with saving.measured():
                kept_outcomes = {f"outcomes/{name}": by_image for name, by_image in outcomes.items()}
                checkpoint.write({**_state(model, optimizer, best), **average, **kept_outcomes}, progress)
        callbacks.on_epoch(progress.rows)
    if progress.num_averaged > 1:
        restore("average", model.variables, average)
        measure_first(steps, data.train.epoch(0))
        progress.average, outcomes_by_image = _evaluate(steps, data.validation, data.outputs)
        if is_better(progress.average, progress.best, data.outputs):
            best, progress.best = snapshot("best", model.variables), progress.average
            progress.average_is_kept, outcomes["best"] = True, outcomes_by_image
    if _is_worth_keeping(progress, outcomes, keeps_start=keeps_start):
        restore("best", model.variables, best)
    else:
        restore("start", model.variables, start)
        _roll_back(progress)
    return progress


def is_better(figures: Mapping[str, float], best: Mapping[str, float], outputs: Outputs) -> bool:
    """Return whether an epoch is better than the best before: by its loss, but of masks by their mIoU.

    A mask has thousands of places, so luck decides less about its score. The loss rises with confidence long before masks
    are at their best.

    Args:
        figures: The validation figures of the epoch, by name.
        best: Those of the best epoch; empty before the first.
        outputs: Of the model.
    """
    if not math.isfinite(figures["loss"]):
        return False
    if outputs.find_task().has_masks:
        return figures[outputs.score_name] > best.get(outputs.score_name, -math.inf)
    return figures["loss"] < best.get("loss", math.inf)


def _is_worth_keeping(progress: Progress, outcomes: Arrays, *, keeps_start: bool) -> bool:
    """Return whether to keep the trained weights, and record the reason."""
    progress.trained = progress.best
    if not progress.best:  # no epoch had a finite loss
        progress.decided_by = "loss"
        return False
    if not keeps_start:
        return True
    verdict = decide(progress.start["loss"], progress.best["loss"], outcomes["start"], outcomes["best"])
    progress.decided_by, progress.p_value = verdict.decided_by, verdict.p_value
    return verdict.is_kept


def _roll_back(progress: Progress) -> None:
    """Record that the state before the stage is kept."""
    progress.best_epoch, progress.best, progress.average_is_kept = 0, progress.start, False
    for row in progress.rows:
        row["is_best"] = False


def list_averaged_epochs(stage: ResolvedStage) -> list[int]:
    """Return the epochs whose weights are averaged: the last ones, or the ends of the last restarts.

    Near the end of training weights wander around a better place than any of them (stochastic weight averaging:
    Izmailov et al. 2018, arXiv:1803.05407).
    """
    if not stage.average:
        return []
    ends = list_cycle_ends(stage, stage.epochs) if stage.schedule == "restarts" else list(range(1, stage.epochs + 1))
    return ends[-stage.average :]


def _add_to_average(average: Arrays, weights: Arrays, number: int) -> Arrays:
    """Update the mean of weights with set number `number`; integers are copied from the latest set."""
    if number == 1:
        return weights
    return {
        name: average[name] + (weight - average[name]) / np.float32(number)
        if np.issubdtype(weight.dtype, np.floating)
        else weight
        for name, weight in weights.items()
    }


def _is_over(progress: Progress, stage: ResolvedStage) -> bool:
    waited = progress.epochs_done - progress.best_epoch
    return progress.epochs_done >= stage.epochs or (stage.patience > 0 and waited >= stage.patience)


def _state(model: StageModel, optimizer: GroupedOptimizer, best: Arrays) -> Arrays:
    return {**snapshot("model", model.variables), **snapshot("optimizer", optimizer.variables), **best}


def _run_epoch(
    steps: Steps,
    sizer: CallSizer,
    data: StageData,
    *,
    stage: ResolvedStage,
    progress: Progress,
    callbacks: StageCallbacks,
) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """Train one epoch and validate; return its history row, and the score of each validation image."""
    started = time.perf_counter()
    epoch = progress.epochs_done
    course = Course(stage, data.train.num_batches)
    first = epoch * data.train.num_batches
    meter, last = Meter(data.outputs), LastBatches()
    with callbacks.epoch_progress(
        f"{stage.name} epoch {epoch + 1}/{stage.epochs}", data.train.plan.num_shown
    ) as advance:
        for block in data.train.epoch(epoch):
            for batches in sizer.split_steps(block.num_batches):
                factors = [course.factor(first + number) for number in range(batches.start, batches.stop)]
                meter.add(steps.train(block, batches, factors))
                if not meter.loss_is_a_number:
                    raise NumericsError(
                        f"The training loss became NaN in epoch {epoch + 1} of stage {stage.name}.",
                        expected="a finite loss",
                        fix="use a smaller --lr, or a larger --lr-ratio if lower groups are unfrozen.",
                    )
                advance(int(block.edges[batches.stop] - block.edges[batches.start]))
            first += block.num_batches
            if steps.measure:
                last.add(block)
    train_figures = meter.figures()
    catch_up(steps, last, train_loss=train_figures["loss"], outputs=data.outputs)
    validation_figures, outcomes_by_image = _evaluate(steps, data.validation, data.outputs)
    figures = {"train": train_figures, "validation": validation_figures}
    row = {
        "stage": stage.name,
        "stage_epoch": epoch + 1,
        "learning_rate": stage.head_rate * factors[-1],
        **{f"{split}_{name}": value for split, named in figures.items() for name, value in named.items()},
        "seconds": round(time.perf_counter() - started, 3),
    }
    return row, outcomes_by_image


def _evaluate(steps: Steps, batches: Batches, outputs: Outputs) -> tuple[Figures, NDArray[np.float32]]:
    """Return the figures over all images, and the score of each image."""
    blocks = [
        steps.evaluate(block, slice(0, block.num_batches), [0.0] * block.num_batches) for block in batches.epoch(0)
    ]
    by_image = {name: np.concatenate([part[name] for part in blocks]) for name in blocks[0]}
    meter = Meter(outputs)
    meter.add(by_image)
    task = outputs.find_task()
    if not task.listed:
        return meter.figures(), compute_outcomes(by_image, outputs)
    images = np.arange(batches.num_images)
    score, outcomes = task.score_found(by_image, batches.read_targets(images, np.zeros_like(images)).answers)
    return {**meter.figures(), outputs.score_name: score}, outcomes.astype(np.float32)
