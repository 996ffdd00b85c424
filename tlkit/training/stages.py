"""One stage of training: epochs, validation after each, the best weights kept, early stopping, exact resume."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tlkit.errors import NumericsError
from tlkit.outputs import Outputs
from tlkit.recipes import ResolvedStage, TrainingSettings
from tlkit.recipes.cycles import list_cycle_ends
from tlkit.training.batches import Batches
from tlkit.training.checkpoint import Arrays, Checkpoint, Progress, restore, snapshot
from tlkit.training.layer_groups import GroupedAdamW
from tlkit.training.meters import Figures, Meter, judge
from tlkit.training.moving_statistics import LastBatches, catch_up, measure_first
from tlkit.training.pace import Pace, SavingPace
from tlkit.training.schedules import Course
from tlkit.training.steps import StageModel, Steps, compile_steps

Advance = Callable[[int], None]
EpochProgress = Callable[[str, int], AbstractContextManager[Advance]]


@dataclass(frozen=True)
class StageData:
    """The images of a stage: batches to train on, all validation images in order, and what is learnt from them."""

    train: Batches
    validation: Batches
    outputs: Outputs


@dataclass(frozen=True)
class StageListener:
    """Who is told what while a stage runs.

    Attributes:
        on_epoch: Called after every epoch with the stage's history rows so far.
        epoch_progress: Given a description and a number of images, a context manager whose value counts images.
    """

    on_epoch: Callable[[Sequence[dict[str, Any]]], None]
    epoch_progress: EpochProgress


def fit_stage(
    model: StageModel,
    data: StageData,
    *,
    rates: list[float],
    stage: ResolvedStage,
    training: TrainingSettings,
    keeps_start: bool,
    checkpoint: Checkpoint | None,
    listener: StageListener,
) -> Progress:
    """Train one stage and leave the model with the weights of its best epoch.

    The best epoch is the one with the lowest validation loss: to choose the luckiest of many accuracies would flatter
    the figure. With `keeps_start` it must also be worth keeping: if its score (accuracy, or what the task is judged by,
    plus the mean IoU of boxes) is lower than before the stage, or equal at a higher loss, the model is left as it was.
    (Between only two, the score decides: a model that is right more often can have the higher loss, when it is surer of
    its mistakes.) With `stage.average`, the mean of the weights of several epochs takes the best one's place if its
    validation loss is lower. Batch norm's moving statistics that lag behind what is trained below them are measured anew
    before validation; see `moving_statistics`.

    Args:
        model: Tail and head; its `trainable` flags are set.
        data: What to train and validate on.
        rates: Learning rate of each of `model.trainable_variables`.
        stage: Epochs, schedule and patience; resolved.
        training: Seed, weight decay, label smoothing and focal loss.
        keeps_start: Whether the model was of use before this stage.
        checkpoint: Where the state is written after an epoch, not so often that it would cost more than a twentieth of
            the time; if there is some, the stage goes on from it. None where nobody would go on with it.
        listener: Told of each epoch.

    Returns:
        What happened, with the history.

    Raises:
        NumericsError: If the training loss is no longer a number.
        RunError: If the checkpoint belongs to another model.
    """
    optimizer = GroupedAdamW(rates, weight_decay=training.weight_decay)
    optimizer.build(model.trainable_variables)
    steps = compile_steps(model, optimizer, outputs=data.outputs, training=training)
    pace, saving = Pace(), SavingPace()
    start = snapshot("start", model.variables)
    if saved := checkpoint.read() if checkpoint else None:
        arrays, progress = saved
        restore("model", model.variables, arrays)
        restore("optimizer", optimizer.variables, arrays)
        best, average = (
            {name: array for name, array in arrays.items() if name.startswith(f"{part}/")}
            for part in ("best", "average")
        )
    else:
        best, average = snapshot("best", model.variables), {}
        progress = Progress(
            start=_evaluate(steps, data.validation, data.outputs), steps_per_epoch=data.train.num_batches
        )
    while not _is_over(progress, stage):
        row = _run_epoch(steps, pace, data, stage=stage, progress=progress, listener=listener)
        progress.epochs_done += 1
        row["is_best"] = row["validation_loss"] < progress.best.get("loss", math.inf)
        if row["is_best"]:
            progress.best_epoch = progress.epochs_done
            progress.best = {name: row[f"validation_{name}"] for name in progress.start}
            best = snapshot("best", model.variables)
        progress.rows.append(row)
        if progress.epochs_done in list_averaged_epochs(stage):
            progress.num_averaged += 1
            average = _add_to_average(average, snapshot("average", model.variables), progress.num_averaged)
        if checkpoint and saving.is_due:
            with saving.measured():
                checkpoint.write({**_state(model, optimizer, best), **average}, progress)
        listener.on_epoch(progress.rows)
    if progress.num_averaged > 1:
        restore("average", model.variables, average)
        measure_first(steps, data.train.epoch(0))
        progress.average = _evaluate(steps, data.validation, data.outputs)
        if progress.average["loss"] < progress.best.get("loss", math.inf):
            best, progress.best = snapshot("best", model.variables), progress.average
            progress.average_is_kept = True
    is_worse = not progress.best or judge(progress.best, data.outputs) < judge(progress.start, data.outputs)
    if keeps_start and is_worse:
        restore("start", model.variables, start)
    else:
        restore("best", model.variables, best)
    if not progress.best or (keeps_start and is_worse):
        _roll_back(progress)
    return progress


def _roll_back(progress: Progress) -> None:
    """Say that the state before the stage is the one that is kept."""
    progress.best_epoch, progress.best, progress.average_is_kept = 0, progress.start, False
    for row in progress.rows:
        row["is_best"] = False


def list_averaged_epochs(stage: ResolvedStage) -> list[int]:
    """Return the epochs after which the weights are taken into the average: the last ones, or the last restarts' ends.

    Near the end of training weights wander around a better place than any of them (stochastic weight averaging:
    Izmailov et al. 2018, arXiv:1803.05407).
    """
    if not stage.average:
        return []
    ends = list_cycle_ends(stage, stage.epochs) if stage.schedule == "restarts" else list(range(1, stage.epochs + 1))
    return ends[-stage.average :]


def _add_to_average(average: Arrays, weights: Arrays, number: int) -> Arrays:
    """Return the mean of `number` sets of weights from the mean of all but the last and the last; integers are its own."""
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


def _state(model: StageModel, optimizer: GroupedAdamW, best: Arrays) -> Arrays:
    return {**snapshot("model", model.variables), **snapshot("optimizer", optimizer.variables), **best}


def _run_epoch(
    steps: Steps,
    pace: Pace,
    data: StageData,
    *,
    stage: ResolvedStage,
    progress: Progress,
    listener: StageListener,
) -> dict[str, Any]:
    """Train one epoch and validate; return its history row."""
    started = time.perf_counter()
    epoch = progress.epochs_done
    course = Course(stage, data.train.num_batches)
    first = epoch * data.train.num_batches
    meter, last = Meter(data.outputs), LastBatches()
    with listener.epoch_progress(f"{stage.name} epoch {epoch + 1}/{stage.epochs}", data.train.num_images) as advance:
        for block in data.train.epoch(epoch):
            for batches in pace.share_out(block.num_batches):
                factors = [course.factor(first + number) for number in range(batches.start, batches.stop)]
                meter.add(steps.train(block, batches, factors))
                if not meter.loss_is_a_number:
                    raise NumericsError(
                        f"The training loss became not-a-number in epoch {epoch + 1} of stage {stage.name}.",
                        expected="a loss that stays finite",
                        fix="use a smaller --lr, or a larger --lr-ratio if lower groups are unfrozen.",
                    )
                advance(int(block.edges[batches.stop] - block.edges[batches.start]))
            first += block.num_batches
            if steps.measure:
                last.add(block)
    train_figures = meter.figures()
    catch_up(steps, last, train_loss=train_figures["loss"], outputs=data.outputs)
    figures = {"train": train_figures, "validation": _evaluate(steps, data.validation, data.outputs)}
    return {
        "stage": stage.name,
        "stage_epoch": epoch + 1,
        "learning_rate": stage.head_rate * factors[-1],
        **{f"{split}_{name}": value for split, named in figures.items() for name, value in named.items()},
        "seconds": round(time.perf_counter() - started, 3),
    }


def _evaluate(steps: Steps, batches: Batches, outputs: Outputs) -> Figures:
    """Return the figures over all images."""
    meter = Meter(outputs)
    for block in batches.epoch(0):
        meter.add(steps.evaluate(block, slice(0, block.num_batches), [0.0] * block.num_batches))
    return meter.figures()
