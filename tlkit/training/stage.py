"""One stage of a run: cut the backbone, get its inputs, train the layers above, report the result."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tlkit.backbones.catalogue import PIXELS
from tlkit.backbones.engines.base import check_cut
from tlkit.data.manifest import SkippedFile
from tlkit.devices import describe_devices
from tlkit.inference.scoring import load_record
from tlkit.models.classifier import Classifier
from tlkit.outputs import QUANTITIES
from tlkit.recipes import FIND, Stage
from tlkit.reports.console import Console
from tlkit.reports.run_page import SWEEP_NAME
from tlkit.runtime import graph_precision
from tlkit.training.checkpoint import Checkpoint, Progress, restore, snapshot
from tlkit.training.layer_groups import GroupRate
from tlkit.training.loop import StageCallbacks, fit_stage
from tlkit.training.metadata_weights import fit_metadata
from tlkit.training.rate_search import find_stage_rate, recall_rate, remember_rate
from tlkit.training.run import Run
from tlkit.training.stage_inputs import StageInputs, open_stage_inputs
from tlkit.training.stage_plan import StagePlan
from tlkit.training.steps import StageModel
from tlkit.training.unfreezing import build_run_model, compute_stage_rates
from tlkit.training.whitening import fit_whitening

NUM_CHECKED_IMAGES = 2


@dataclass(frozen=True)
class StageOutcome:
    """The result of a stage.

    Attributes:
        plan: The stage, with the found learning rate if it was searched.
        progress: Its history and best epoch.
        rates: The table of layer groups and rates.
        skipped: Images that became unusable.
        num_validation: Number of validation images.
        rate_is_found: Whether its learning rate was searched.
        engine: The engine and precision that computed its features; None at the pixels, and where it was finished
            before.
    """

    plan: StagePlan
    progress: Progress
    rates: list[GroupRate]
    skipped: tuple[SkippedFile, ...]
    num_validation: int
    rate_is_found: bool
    engine: tuple[str, str] | None = None


def run_stage(
    classifier: Classifier,
    plan: StagePlan,
    run: Run,
    *,
    state: Path,
    on_epoch: Callable[[Sequence[dict[str, Any]]], None],
) -> StageOutcome:
    """Train one stage, or restore its result if an interrupted run had finished it.

    Args:
        classifier: The model; its weights are changed.
        plan: The stage.
        run: Images, settings and caches.
        state: Folder of the run's state.
        on_epoch: Called after each epoch with the stage's history so far.
    """
    console, asks_for_rate = run.console, plan.stage.lr is FIND
    found_rate, checkpoint, finished = (
        Checkpoint(state / f"stage-{plan.number}{part}.safetensors", console.warn)
        for part in ("-rate", "", "-finished")
    )
    plan = recall_rate(plan, found_rate)
    with at_stage_size(classifier, plan.stage) as sized:
        model = build_run_model(sized, plan, run)
        if plan.stage.lr is not FIND and (saved := finished.read()):
            arrays, progress = saved
            restore("model", model.variables, arrays)
            console.say(f"Stage {plan.stage.name} was already finished.")
            num_validation = len(run.manifest.in_split("validation"))
            _, table = compute_stage_rates(model, sized.backbone, plan.stage, boundary=plan.boundary)
            return StageOutcome(plan, progress, table, (), num_validation, asks_for_rate)

        print_stage(plan, sized.spec.image_size, console)
        if plan.stage.lr is not FIND:
            _print_rates(compute_stage_rates(model, sized.backbone, plan.stage, boundary=plan.boundary)[1], console)
        with open_stage(sized, model, plan, run) as inputs:
            begins_with_metadata = begin_with_metadata(sized, plan, inputs, run)
            if plan.stage.lr is FIND:
                picture = state.parent / SWEEP_NAME.format(plan.number)
                plan = find_stage_rate(model, sized.backbone, inputs.data, plan, run, picture=picture)
                remember_rate(plan, found_rate)
                _print_rates(compute_stage_rates(model, sized.backbone, plan.stage, boundary=plan.boundary)[1], console)
            rates, table = compute_stage_rates(model, sized.backbone, plan.stage, boundary=plan.boundary)
            progress = fit_stage(
                model,
                inputs.data,
                rates=rates,
                stage=plan.stage,
                training=run.recipe.training,
                keeps_start=plan.keeps_start or begins_with_metadata,
                callbacks=StageCallbacks(
                    on_epoch, lambda text, total: console.progress(text, total, closes=False), checkpoint
                ),
            )
        if begins_with_metadata and not progress.best_epoch:
            console.warn("The image did not improve validation over metadata alone: the model ignores it.")
        finished.write(snapshot("model", model.variables), progress)
        checkpoint.remove()
        num_validation = inputs.data.validation.num_images
        return StageOutcome(plan, progress, table, inputs.skipped, num_validation, asks_for_rate, inputs.engine)


@contextlib.contextmanager
def at_stage_size(classifier: Classifier, stage: Stage) -> Iterator[Classifier]:
    """Provide the classifier at the image size of a stage; its trained weights are copied back into `classifier`."""
    spec = classifier.spec
    image_size = spec.image_size
    if stage.resize_to is not None:
        image_size = classifier.backbone.entry.choose_image_size(stage.resize_to)
    if image_size == spec.image_size:
        yield classifier
        return
    sized = classifier.at_image_size(image_size)
    yield sized
    classifier.take_weights(sized)


@contextlib.contextmanager
def open_stage(classifier: Classifier, model: StageModel, plan: StagePlan, run: Run) -> Iterator[StageInputs]:
    """Check the cut of a stage, open its inputs, and fit what whitens them; steps inside use the run's precision."""
    _print_batch_norm(classifier.backbone.tail(plan.boundary), run.recipe.bn, run.console)
    if model.replicas.devices:
        run.console.say(f"Each batch is divided among {describe_devices(model.replicas.devices)}.")
    if model.tail is not None:
        _check_cut(classifier, plan.boundary, model.tail, run)
    with (
        open_stage_inputs(classifier, plan, run) as inputs,
        graph_precision(run.recipe.training_precision),
    ):
        shown = inputs.data.train.plan
        if shown.num_passes > 1:
            run.console.say(f"Each epoch shows the {shown.num_images} training images {shown.num_passes} times.")
        if not plan.keeps_start:
            fit_whitening(model, inputs.data, run.recipe.head)
        yield inputs


def begin_with_metadata(classifier: Classifier, plan: StagePlan, inputs: StageInputs, run: Run) -> bool:
    """Train the metadata part of a new head first, if there is one of its own; return whether it was trained."""
    if plan.keeps_start or not classifier.spec.metadata.columns or classifier.spec.head.record.merges_metadata:
        return False
    progress = fit_metadata(classifier.head, inputs.data, run.recipe.training)
    score = classifier.spec.outputs.score_name
    run.console.say(
        f"Metadata alone: validation {QUANTITIES[score]} {progress.best[score]:.3f}, loss {progress.best['loss']:.3f}. "
        "Training continues with the image."
    )
    return True


def _check_cut(classifier: Classifier, boundary: str, tail: keras.Model, run: Run) -> None:
    """Check on real images that trunk and tail together equal the backbone."""
    records = run.manifest.in_split("train")[:NUM_CHECKED_IMAGES]
    images = np.stack([load_record(record, classifier.spec) for record in records])
    difference = check_cut(classifier.backbone, boundary, tail, images)
    run.console.detail(f"Cut at {boundary}: tail(trunk(x)) differs from backbone(x) by {difference:.1e} of its range.")


def print_stage(plan: StagePlan, image_size: tuple[int, int], console: Console) -> None:
    """Print what the stage trains, and on which inputs."""
    stage = plan.stage
    if plan.boundary == PIXELS:
        source = f"images, a fresh {stage.policy} view of each in every epoch"
    elif stage.views > 1:
        source = f"cached features at {plan.boundary}, one of {stage.views} {stage.policy} views of each in every epoch"
    else:
        source = f"cached features at {plan.boundary}, images without augmentation"
    for name, alpha in (("MixUp", stage.mixup), ("CutMix", stage.cutmix)):
        source += f", {name} {alpha:g}" if alpha else ""
    size = f", at {image_size[0]} px" if stage.resize_to else ""
    console.say(f"\nStage {stage.name}: up to {stage.epochs} epochs on {source}{size}.")


def _print_rates(table: list[GroupRate], console: Console) -> None:
    rows = [
        (line.group, f"{line.num_parameters:,}", f"{line.num_trainable:,}", f"{line.rate:.3g}" if line.num_trainable else "frozen")
        for line in table
    ]  # fmt: skip
    console.table("Layer groups", ("group", "parameters", "trained", "learning rate"), rows)


def _print_batch_norm(tail: keras.Model | None, mode: str, console: Console) -> None:
    """Print the batch norm mode, if there is batch norm."""
    if tail and any(isinstance(layer, keras.layers.BatchNormalization) for layer in tail.layers):
        console.say(f"Batch norm of the unfrozen groups: {mode}.")
