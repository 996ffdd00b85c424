"""Train a classifier, stage by stage, from a folder of images to a run that can predict.

The story: check the settings, read the images, open the run, build the model, train each stage on what its boundary
needs, save the model, measure the saved model, draw the report. `tlkit finetune` tells it with the stages that its
options make, `tlkit run` with those of a recipe.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkit.backbones.catalogue import find_backbone
from tlkit.data.dataset import read_dataset
from tlkit.data.file_index import FileIndex
from tlkit.data.manifest import Manifest
from tlkit.errors import SettingError
from tlkit.evaluation.report import Report
from tlkit.features.cache import default_cache_root
from tlkit.recipes import Recipe, check_recipe, expand_gradual, resolve_recipe
from tlkit.reports.console import Console
from tlkit.runtime import read_versions, release_memory, start_keras
from tlkit.workflows.finetune_recipe import choose_weights
from tlkit.workflows.finishing import finish_model
from tlkit.workflows.first_model import build_classifier, tell_metadata
from tlkit.workflows.leak import warn_of_leaks
from tlkit.workflows.run_folder import (
    EarlierRun,
    RunFolder,
    check_run_folder,
    open_run_folder,
    read_earlier_run,
)
from tlkit.workflows.run_history import RunHistory
from tlkit.workflows.run_report import describe_change, draw_views, write_run_report
from tlkit.workflows.scoring import load_record
from tlkit.workflows.stage_plan import StagePlan, check_same_model, plan_stages
from tlkit.workflows.task_report import compute_task_report

if TYPE_CHECKING:
    import openvino

    from tlkit.bundle import Classifier
    from tlkit.workflows.stage_run import StageOutcome

NUM_GOLDEN_IMAGES = 4


def run_finetune(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    console: Console,
    start_from: Path | None = None,
    resume: bool = False,
    cache_root: Path | None = None,
) -> dict[str, Any]:
    """Run every stage of a recipe on a data set.

    Args:
        recipe: The settings; open defaults are filled in.
        data: A folder of images or a table.
        out: The run's folder, new unless `resume`.
        console: Tells the story.
        start_from: An earlier run, or a bundle, whose model is trained further; its split of the images is kept.
        resume: Go on with a run that was interrupted; it ends bitwise where it would have ended (on a CPU).
        cache_root: Where features are cached; the user's cache folder by default.

    Returns:
        What `--json` prints: `run`, `validation` (before and after each stage), the scores of the task such as
        `accuracy` and `macro_f1`, `seconds`.

    Raises:
        TlkitError: Any problem with settings, data, backbone, cache or folder that the user can mend.
    """
    started = time.perf_counter()
    cache_root = cache_root or default_cache_root()
    recipe, plans, earlier = plan_run(recipe, start_from)
    check_run_folder(out, recipe, data, resume=resume)
    folder = RunFolder(out)
    if resume and folder.is_finished:
        console.say(f"{out} has finished already.")
        return folder.read_summary()

    manifest = folder.read_manifest() if resume else None
    if manifest is None:
        manifest = read_images(data, recipe, earlier, cache_root, console)
        warn_of_leaks(manifest, recipe.data, seed=recipe.training.seed, console=console)
    _tell_images(manifest, console)
    folder = open_run_folder(out, recipe)
    folder.write_start(manifest)

    start_keras(recipe.training.seed)
    classifier = build_classifier(recipe, manifest, earlier)
    tell_metadata(manifest, classifier.spec, console)
    check_batch_norm(classifier, plans, recipe, console)
    draw_views(folder.path / "views.png", manifest, classifier.spec, recipe)
    outcomes, history = _run_stages(classifier, manifest, plans, recipe, folder, cache_root, console)

    scores, for_openvino = finish_model(classifier, manifest, recipe, cache_root=cache_root, console=console)
    _save_model(classifier, manifest, outcomes, folder, for_openvino)
    report = compute_task_report(classifier.spec, scores)
    seconds = time.perf_counter() - started
    write_run_report(
        folder,
        manifest=manifest,
        spec=classifier.spec,
        scores=scores,
        report=report,
        outcomes=outcomes,
        history=history,
        seconds=seconds,
    )
    summary = _summarise(folder, outcomes, report.to_payload(), seconds)
    folder.write_summary(summary)
    _tell_end(folder, report, console)
    return summary


def plan_run(recipe: Recipe, start_from: Path | None) -> tuple[Recipe, list[StagePlan], EarlierRun | None]:
    """Return the resolved recipe, its stages and the run to start from, checked before anything heavy is loaded.

    Raises:
        TlkitError: The settings do not fit together, the backbone, or the earlier run.
    """
    earlier = read_earlier_run(start_from) if start_from else None
    if earlier:
        check_same_model(recipe, earlier.spec)
    recipe = choose_weights(check_recipe(recipe, source="settings"), start_from)
    recipe = resolve_recipe(expand_gradual(recipe, find_backbone(recipe.backbone.name).groups))
    return recipe, plan_stages(recipe, earlier.spec if earlier else None), earlier


def read_images(data: Path, recipe: Recipe, earlier: EarlierRun | None, cache_root: Path, console: Console) -> Manifest:
    """Read the images with their splits; those of the earlier run stay in theirs."""
    if earlier and earlier.splits is None:
        console.warn(
            f"{earlier.path} is a bundle without its run, so it is not known which images it was trained on: "
            "validation may contain some of them and look too good."
        )
    return read_dataset(
        data,
        recipe.data,
        seed=recipe.training.seed,
        index=FileIndex(cache_root),
        class_names=earlier.spec.class_names if earlier else None,
        keep=earlier.splits if earlier else None,
        progress=lambda total: console.progress("Checking images", total),
    )


def _tell_images(manifest: Manifest, console: Console) -> None:
    console.table("Images", *manifest.class_table())
    for notice in manifest.notices:
        console.say(notice)


def check_batch_norm(classifier: Classifier, plans: Sequence[StagePlan], recipe: Recipe, console: Console) -> None:
    """Refuse `bn` for a backbone that has none; warn where statistics would come from small batches."""
    import keras

    if recipe.bn == "frozen":
        return
    layers = classifier.backbone.model.layers
    if not any(isinstance(layer, keras.layers.BatchNormalization) for layer in layers):
        if recipe.bn == recipe.default_bn:
            return
        raise SettingError(
            f"bn = {recipe.bn!r} has no effect: {classifier.spec.backbone} has no batch norm.",
            expected="only settings that this run uses",
            fix="leave bn out.",
        )
    smallest = min(plan.stage.batch_size for plan in plans if plan.boundary != "top")
    if recipe.bn == "train" and smallest < 32:
        console.warn(
            f"bn = train with batches of {smallest}: statistics of so few images are noisy and often "
            "undo what the backbone has learnt."
        )


def _run_stages(
    classifier: Classifier,
    manifest: Manifest,
    plans: Sequence[StagePlan],
    recipe: Recipe,
    folder: RunFolder,
    cache_root: Path,
    console: Console,
) -> tuple[list[StageOutcome], list[dict[str, Any]]]:
    """Train the stages in order; history.csv and TensorBoard follow every epoch."""
    from tlkit.workflows.stage_run import run_stage

    outcomes: list[StageOutcome] = []
    history = RunHistory(folder.path, console)
    for plan in plans:
        if outcomes:
            release_memory()  # or what the stage before has held would stay
        outcome = run_stage(
            classifier,
            manifest,
            plan,
            recipe=recipe,
            state=folder.state,
            cache_root=cache_root,
            console=console,
            on_epoch=history.follow(plan),
        )
        history.finish(plan, outcome.progress)
        outcomes.append(outcome)
        if plan.keeps_start:
            console.say(describe_change(outcome, classifier.spec.outputs))
    return outcomes, history.rows


def _save_model(
    classifier: Classifier,
    manifest: Manifest,
    outcomes: Sequence[StageOutcome],
    folder: RunFolder,
    for_openvino: openvino.Model | None,
) -> None:
    """Write the bundle with some validation images as golden samples, spread over the classes."""
    from tlkit.bundle import write_bundle

    spec = classifier.spec
    records = manifest.in_split("validation")
    chosen = np.unique(np.linspace(0, len(records) - 1, NUM_GOLDEN_IMAGES, dtype=int))
    golden = np.stack([load_record(records[number], spec) for number in chosen])
    golden_metadata = spec.metadata.encode([records[number].metadata for number in chosen])
    entry = classifier.backbone.entry
    kept = [outcome.plan.stage.unfreeze for outcome in outcomes if outcome.progress.best_epoch]
    unfrozen = min([spec.unfrozen, *kept], key=lambda group: entry.boundaries.index(entry.boundary_below(group)))
    told = dataclasses.replace(spec, unfrozen=unfrozen)
    write_bundle(folder.bundle, classifier, told, golden, golden_metadata, for_openvino)


def _summarise(
    folder: RunFolder, outcomes: Sequence[StageOutcome], report: dict[str, Any], seconds: float
) -> dict[str, Any]:
    validation = []
    for outcome in outcomes:
        progress = outcome.progress
        validation.append(
            {
                "stage": outcome.plan.stage.name,
                "boundary": outcome.plan.boundary,
                "learning_rate": outcome.plan.stage.lr,
                "learning_rate_is_found": outcome.rate_is_found,
                "epochs": progress.epochs_done,
                "best_epoch": progress.best_epoch,
                "before": progress.start,
                "after": progress.best,
            }
        )
    return {
        "run": str(folder.path),
        "validation": validation,
        **report,
        "seconds": round(seconds, 2),
        "versions": read_versions(),
    }


def _tell_end(folder: RunFolder, report: Report, console: Console) -> None:
    console.say(f"\nThe saved model on the validation images: {report.headline()}")
    console.say(f"Report: {folder.path / 'report.html'}")
    console.say(f"Next: tlkit predict {folder.path} IMAGES…    tlkit evaluate {folder.path} LABELLED-IMAGES")
