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
from tlkit.bundle import BundleSpec, fit_target
from tlkit.data.dataset import read_dataset
from tlkit.data.file_index import FileIndex
from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import Manifest
from tlkit.errors import SettingError
from tlkit.features.cache import default_cache_root
from tlkit.metadata.columns import NUMBER, parse_metadata
from tlkit.metadata.encoding import CategoryColumn, describe_columns, fit_encoding
from tlkit.outputs import REGRESSION
from tlkit.recipes import DataSettings, Recipe, check_recipe, resolve_recipe
from tlkit.reports.console import Console
from tlkit.runtime import read_versions, start_keras
from tlkit.workflows.finetune_recipe import choose_weights
from tlkit.workflows.run_folder import (
    EarlierRun,
    RunFolder,
    check_run_folder,
    open_run_folder,
    read_earlier_run,
)
from tlkit.workflows.run_history import RunHistory
from tlkit.workflows.run_report import describe_change, draw_views, measure_validation, write_run_report
from tlkit.workflows.scoring import load_record
from tlkit.workflows.stage_plan import StagePlan, plan_stages

if TYPE_CHECKING:
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
        What `--json` prints: `run`, `validation` (before and after each stage), `accuracy`, `macro_f1`, `seconds`.

    Raises:
        TlkitError: Any problem with settings, data, backbone, cache or folder that the user can mend.
    """
    started = time.perf_counter()
    cache_root = cache_root or default_cache_root()
    recipe = resolve_recipe(choose_weights(check_recipe(recipe, source="settings"), start_from))
    earlier = read_earlier_run(start_from) if start_from else None
    plans = plan_stages(recipe, earlier.spec if earlier else None)
    check_run_folder(out, recipe, data, resume=resume)
    folder = RunFolder(out)
    if resume and folder.is_finished:
        console.say(f"{out} has finished already.")
        return folder.read_summary()

    manifest = folder.read_manifest() if resume else None
    if manifest is None:
        manifest = _read_images(data, recipe, earlier, cache_root, console)
    _tell_images(manifest, console)
    folder = open_run_folder(out, recipe)
    folder.write_start(manifest)

    start_keras(recipe.training.seed)
    classifier = _build_classifier(recipe, manifest, earlier)
    _tell_metadata(manifest, classifier.spec, console)
    _check_batch_norm(classifier, plans, recipe, console)
    draw_views(folder.path / "views.png", manifest, classifier.spec, recipe)
    outcomes, history = _run_stages(classifier, manifest, plans, recipe, folder, cache_root, console)

    _save_model(classifier, manifest, outcomes, folder)
    report = measure_validation(classifier, manifest, console)
    seconds = time.perf_counter() - started
    write_run_report(folder, manifest=manifest, report=report, outcomes=outcomes, history=history, seconds=seconds)
    summary = _summarise(folder, outcomes, report.to_payload(), seconds)
    folder.write_summary(summary)
    _tell_end(folder, report.accuracy, console)
    return summary


def _read_images(
    data: Path, recipe: Recipe, earlier: EarlierRun | None, cache_root: Path, console: Console
) -> Manifest:
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


def _build_classifier(recipe: Recipe, manifest: Manifest, earlier: EarlierRun | None) -> Classifier:
    from tlkit.bundle import assemble_classifier, read_bundle

    if earlier:
        return read_bundle(earlier.path, loader_version=LOADER_VERSION)

    entry = find_backbone(recipe.backbone.name)
    data = recipe.data
    train = manifest.in_split("train")
    target = None
    if data.task == REGRESSION:
        _check_target(manifest, data)
        target = fit_target(data.target, manifest.targets(train), is_log=data.target_scale == "log")
    spec = BundleSpec(
        backbone=entry.name,
        image_size=entry.check_image_size(recipe.backbone.image_size),
        fit=recipe.backbone.fit,
        loader_version=LOADER_VERSION,
        pooling=recipe.head.pooling,
        head=recipe.head,
        class_names=manifest.class_names,
        task=data.task,
        target=target,
        metadata=fit_encoding(parse_metadata(data.metadata), [record.metadata for record in train]),
        has_box=bool(data.boxes),
    )
    return assemble_classifier(spec, weights=recipe.backbone.weights, seed=recipe.training.seed)


def _check_target(manifest: Manifest, settings: DataSettings) -> None:
    """Refuse the logarithm of values that have none."""
    lowest = float(manifest.targets(manifest.records).min())
    if settings.target_scale == "log" and lowest <= 0:
        raise SettingError(
            f"target_scale is log, but the lowest {settings.target} is {lowest:g}.",
            expected="values above 0 where their logarithm is learnt",
            fix="leave out --target-scale.",
        )


def _tell_metadata(manifest: Manifest, spec: BundleSpec, console: Console) -> None:
    """Say how the columns are read, and which of them will say nothing about new images."""
    rows = [record.metadata for record in manifest.in_split("train")]
    if not spec.metadata.columns:
        return
    console.table("Metadata beside the image", ("column", "read as", "missing"), describe_columns(spec.metadata, rows))
    for column in spec.metadata.columns:
        if isinstance(column, CategoryColumn) and not column.values:
            console.warn(
                f"{column.name} has hardly a value that two training images share, so it can tell nothing; "
                f"if these are numbers, say {column.name}:{NUMBER}."
            )


def _check_batch_norm(classifier: Classifier, plans: Sequence[StagePlan], recipe: Recipe, console: Console) -> None:
    """Refuse `bn` for a backbone that has none; warn where statistics would come from small batches."""
    import keras

    if recipe.training.bn == "frozen":
        return
    layers = classifier.backbone.model.layers
    if not any(isinstance(layer, keras.layers.BatchNormalization) for layer in layers):
        if recipe.training.bn == recipe.default_bn:
            return
        raise SettingError(
            f"bn = {recipe.training.bn!r} has no effect: {classifier.spec.backbone} has no batch norm.",
            expected="only settings that this run uses",
            fix="leave bn out.",
        )
    smallest = min(plan.stage.batch_size for plan in plans if plan.boundary != "top")
    if recipe.training.bn == "train" and smallest < 32:
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
            console.say(describe_change(outcome))
    return outcomes, history.rows


def _save_model(
    classifier: Classifier, manifest: Manifest, outcomes: Sequence[StageOutcome], folder: RunFolder
) -> None:
    """Write the bundle with some validation images as golden samples, spread over the classes."""
    from tlkit.bundle import write_bundle

    records = manifest.in_split("validation")
    chosen = np.unique(np.linspace(0, len(records) - 1, NUM_GOLDEN_IMAGES, dtype=int))
    golden = np.stack([load_record(records[number], classifier.spec) for number in chosen])
    golden_metadata = classifier.spec.metadata.encode([records[number].metadata for number in chosen])
    entry = classifier.backbone.entry
    kept = [outcome.plan.stage.unfreeze for outcome in outcomes if outcome.progress.best_epoch]
    unfrozen = min(
        [classifier.spec.unfrozen, *kept], key=lambda group: entry.boundaries.index(entry.boundary_below(group))
    )
    spec = dataclasses.replace(classifier.spec, unfrozen=unfrozen)
    write_bundle(folder.bundle, classifier, spec, golden, golden_metadata)


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


def _tell_end(folder: RunFolder, accuracy: Any, console: Console) -> None:
    console.say(
        f"\nThe saved model's validation accuracy: {accuracy.value:.3f} "
        f"(95% interval {accuracy.low:.3f} to {accuracy.high:.3f})."
    )
    console.say(f"Report: {folder.path / 'report.html'}")
    console.say(f"Next: tlkit predict {folder.path} IMAGES…    tlkit evaluate {folder.path} LABELLED-IMAGES")
