"""Train a classifier, stage by stage, from a folder of images to a run that can predict.

The steps: check the settings, read the images, open the run, build the model, train each stage, save the model,
evaluate it, and write the report. `tlkit finetune` takes the stages from its options, `tlkit run` from a recipe.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.backbones.catalogue import INT8
from tlkit.data.near_copies import SplitCopies, find_split_copies
from tlkit.data.seen_images import write_earlier_images
from tlkit.errors import RunError
from tlkit.inference.task_report import compute_task_report
from tlkit.interruption import kept_if_interrupted
from tlkit.models.about import format_size, measure_bundle
from tlkit.models.spec import BundleSpec
from tlkit.places.cache_root import default_cache_root
from tlkit.probes.leak_warning import warn_of_leaks
from tlkit.recipes import Recipe, read_recipe, write_recipe
from tlkit.recipes.settings import SIMILARITY
from tlkit.reports.console import Console
from tlkit.reports.optional_steps import OptionalSteps
from tlkit.runs.copies import ScoreWithoutCopies, note_split_copies, score_without_copies
from tlkit.runs.finalize import finish_model, forget_choices
from tlkit.runs.folder import RunFolder, describe_unfinished, open_run_folder
from tlkit.runs.history import RunHistory
from tlkit.runs.model import summarise_stages, write_model
from tlkit.runs.preparation import RunPlan, fetch_inputs, plan_run, print_images
from tlkit.runs.recipe import check_data, check_engines, name_inputs, record_engine, record_versions
from tlkit.runs.report import (
    describe_change,
    qualify_validation,
    write_run_report,
)
from tlkit.runs.shortcuts import summarise_shortcuts
from tlkit.runs.view_sheet import draw_views, find_shown_policy
from tlkit.runtime import read_versions, release_memory, start_keras
from tlkit.tasks.report import Report
from tlkit.training.first_model import build_classifier, print_metadata
from tlkit.training.run import Run
from tlkit.training.stage_plan import StagePlan, check_batch_norm

if TYPE_CHECKING:
    from tlkit.models.classifier import Classifier
    from tlkit.training.stage import StageOutcome


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
        recipe: The settings; defaults are filled in.
        data: A folder of images or a table.
        out: The run folder, new unless `resume`.
        console: Prints progress and results.
        start_from: An earlier run, or a bundle, whose model to train further; images keep their splits.
        resume: Continue an interrupted run; on a CPU, the result is bitwise equal to an uninterrupted run.
        cache_root: Root of the feature caches; None for the user's cache folder.

    Returns:
        The JSON result: `run`, `validation` (before and after each stage, and why it is kept), the scores of the task,
        such as `accuracy` and `macro_f1`, with `chose_epoch` since the scored images also chose the epoch; `seconds`.

    Raises:
        TlkitError: Any problem with settings, data, backbone, cache or folder that the user can fix.
    """
    started = time.perf_counter()
    plan = plan_run(name_inputs(recipe, data, start_from), start_from)
    if start_from and (notice := describe_unfinished(start_from)):
        console.warn(notice)
    with open_run_folder(out, plan.recipe, data, resume=resume) as folder:
        if folder.is_finished and not folder.read_summary().get("not_made"):
            console.say(f"{out} is already finished.")
            folder.remove_state()
            return folder.read_summary()
        with kept_if_interrupted(f"{out} keeps its progress: run the same command with --resume to continue."):
            if resume and not folder.has_begun:
                console.say(f"There is nothing to resume in {out} yet: the run starts.")
            run, copies = _open_run(plan, data, folder, cache_root or default_cache_root(), console)
            return _run(run, copies, plan, folder, started)


def _open_run(
    plan: RunPlan, data: Path, folder: RunFolder, cache_root: Path, console: Console
) -> tuple[Run, SplitCopies]:
    """Read the images, or the manifest of an interrupted run, and record the inputs of the run."""
    recipe = plan.recipe
    compare = partial(
        find_split_copies,
        can_be_grouped=recipe.data.group_by != SIMILARITY,
        progress=partial(console.progress, "Comparing splits"),
    )
    if folder.has_begun:
        manifest = folder.read_manifest()
        print_images(manifest, console)
        copies = compare(manifest)
        recipe = dataclasses.replace(recipe, made_by=read_recipe(folder.recipe).made_by)
    else:
        manifest = fetch_inputs(data, plan, cache_root, console)
        recipe = record_versions(check_data(recipe, manifest), console)
        if plan.earlier:
            write_earlier_images(folder.path, plan.earlier.seen)
        copies = compare(manifest)
        manifest = note_split_copies(manifest, copies)
        print_images(manifest, console)
        manifest = warn_of_leaks(manifest, recipe.data, seed=recipe.training.seed, console=console)
        folder.write_start(recipe, manifest)
    return Run(check_engines(recipe, console), plan.backbone, manifest, cache_root, console), copies


def _run(run: Run, copies: SplitCopies, plan: RunPlan, folder: RunFolder, started: float) -> dict[str, Any]:
    from tlkit.training.step_memory import check_step_memory

    start_keras(run.recipe.training.seed)
    classifier = build_classifier(run, plan.earlier.path if plan.earlier else None)
    print_metadata(run.manifest, classifier.spec, run.console)
    check_batch_norm(classifier, plan.stages, run.recipe, run.console)
    check_step_memory(classifier, plan.stages, run)
    steps = OptionalSteps(run.console)
    history = RunHistory(folder.path, steps, run.console)
    augments = find_shown_policy(run.recipe) != "none"
    if augments:
        _draw_views(run, classifier.spec, folder, steps)
    for stage in plan.stages:
        run = _run_stage(run, stage, classifier, folder, history)

    if not augments:
        _draw_views(run, classifier.spec, folder, steps)
    scores, converted = finish_model(classifier, run, steps)
    networks = {each.format.name: each.network for each in converted}
    write_model(folder, classifier, run.manifest, history.outcomes, networks)
    report = compute_task_report(classifier.spec, scores) if scores else None
    seconds = time.perf_counter() - started
    beside_copies = score_without_copies(classifier.spec, scores, copies)
    shortcuts = write_run_report(
        run,
        folder,
        history,
        predictor=converted[0] if converted else classifier,
        scored=(scores, report) if scores and report else None,
        seconds=seconds,
    )
    summary = {
        "run": str(folder.path),
        "validation": summarise_stages(history.outcomes),
        **({**report.to_payload(), "chose_epoch": True} if report else {}),
        **({"near_copies": beside_copies.to_payload()} if beside_copies else {}),
        **summarise_shortcuts(shortcuts),
        "not_made": steps.not_made,
        "seconds": round(seconds, 2),
        "versions": read_versions(),
    }
    folder.write_summary(summary)
    _print_end(run, folder, steps, report, beside_copies)
    return summary


def _draw_views(run: Run, spec: BundleSpec, folder: RunFolder, steps: OptionalSteps) -> None:
    """Draw views.png: before training if it shows augmented views, which help to judge the policy; otherwise after it."""
    with steps.step("views.png"):
        draw_views(folder.path / "views.png", run.manifest, spec, run.recipe)


def _run_stage(run: Run, plan: StagePlan, classifier: Classifier, folder: RunFolder, history: RunHistory) -> Run:
    """Train a stage, updating history.csv and TensorBoard after every epoch, and save the model.

    Returns:
        The run, with the engine of the features in its recipe.
    """
    from tlkit.training.stage import run_stage

    if history.outcomes:
        release_memory()  # otherwise the memory of the previous stage would stay allocated
    outcome = run_stage(classifier, plan, run, state=folder.state, on_epoch=history.follow(plan))
    history.finish(outcome)
    recipe = _note_engine(run, folder, outcome)
    _save_stage_model(run, classifier, folder, history.outcomes)
    if plan.keeps_start:
        run.console.say(describe_change(outcome, classifier.spec.outputs))
    return dataclasses.replace(run, recipe=recipe)


def _note_engine(run: Run, folder: RunFolder, outcome: StageOutcome) -> Recipe:
    """Record the engine of a stage's features in the recipe, and in the folder."""
    if outcome.engine is None:
        return run.recipe
    noted = record_engine(run.recipe, outcome.plan.boundary, outcome.engine)
    if noted != run.recipe:
        with run.console.disk_warning(f"{folder.recipe}: the engine of the features cannot be recorded there"):
            write_recipe(noted, folder.recipe)
    return noted


def _save_stage_model(run: Run, classifier: Classifier, folder: RunFolder, outcomes: Sequence[StageOutcome]) -> None:
    """Write a preliminary bundle of the model after a stage, unless there is one already.

    If this fails, training continues: the state of the stage is kept, and the finished model is written at the end.
    """
    from tlkit.models.saving import holds_weights

    if holds_weights(folder.bundle, classifier):
        return
    classifier.spec = forget_choices(classifier.spec)
    try:
        write_model(folder, classifier, run.manifest, outcomes)
    except RunError as error:
        run.console.warn(f"{error.found} Training continues, and writes the model at the end.")


def _print_end(
    run: Run, folder: RunFolder, steps: OptionalSteps, report: Report | None, beside_copies: ScoreWithoutCopies | None
) -> None:
    console = run.console
    if report:
        console.say(f"\nSaved model on the validation images: {report.headline()}")
        if beside_copies:
            console.say(beside_copies.sentence())
        console.say(qualify_validation(folder.path, run.manifest))
        if INT8 in {precision for _, precision in run.recipe.made_by.read_engines().values()}:
            console.say("It learned from frozen layers in int8; the model and this score compute them in float32.")
    if steps.not_made:
        missing = ", ".join(each["what"] for each in steps.not_made)
        console.warn(
            f"The model is saved, but not everything else could be made: {missing}. Run the same command with "
            "--resume to make it later."
        )
    console.say(f"Model: {folder.bundle} ({format_size(measure_bundle(folder.bundle))})")
    console.say(f"Report: {folder.path / 'report.html'}")
    console.say(f"Next: tlkit predict {folder.path} IMAGES…    tlkit evaluate {folder.path} LABELLED-IMAGES")
