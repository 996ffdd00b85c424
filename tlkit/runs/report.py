"""The end of a run: the saved model measured on its validation images, and the pictures and pages about it."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import Manifest
from tlkit.explain.shortcuts import EvidencePlaces
from tlkit.inference.evidence import Explain
from tlkit.inference.predictions import write_scored
from tlkit.inference.scoring import Scores, score_records
from tlkit.inference.task_report import draw_task_pictures
from tlkit.models.predictor import Predictor
from tlkit.models.storage import read_head_weights
from tlkit.outputs import QUANTITIES
from tlkit.places.copies import show_path
from tlkit.recipes import read_recipe
from tlkit.reports.console import Console
from tlkit.reports.figures import draw_history
from tlkit.reports.map import Coloring
from tlkit.reports.markup import Table
from tlkit.reports.page import Section
from tlkit.reports.rates import write_rate
from tlkit.reports.run_page import PICTURES, REPORT_NAME, RunPage, write_report
from tlkit.reports.sheet import values_of
from tlkit.reports.thumbnails import PAGE_BYTES, PictureBudget
from tlkit.runs.folder import RunFolder
from tlkit.runs.heat_maps import HeatMaps
from tlkit.runs.history import RunHistory
from tlkit.runs.image_map import make_map
from tlkit.runs.mistake_sheets import clear_mistakes, show_mistakes
from tlkit.runs.mistakes import Mistakes
from tlkit.runs.origin import describe_origin
from tlkit.runs.shortcuts import look_for_shortcuts, render_shortcuts
from tlkit.tasks import Outputs, find_task
from tlkit.tasks.report import Report
from tlkit.training.meters import Figures
from tlkit.training.run import Run
from tlkit.training.schedules import Course

if TYPE_CHECKING:
    from tlkit.training.stage import StageOutcome

MAX_STEPS_DRAWN = 2000
MAX_FAILURES_TOLD = 5
NUM_RANKED = 3
MAP_BYTES = 1_000_000


def score_validation(
    classifier: Predictor, manifest: Manifest, console: Console, explain: Explain | None = None
) -> Scores:
    """Score the validation images from their files through the whole model, as `tlkit predict` would."""
    records = manifest.in_split("validation")
    with console.progress("Validating the saved model", len(records)) as advance:
        scores = score_records(classifier, records, with_features=True, advance=advance, explain=explain)
    for item in scores.failures[:MAX_FAILURES_TOLD]:
        console.warn(f"{item.path} is skipped in validation: {item.reason}.")
    if more := len(scores.failures[MAX_FAILURES_TOLD:]):
        console.warn(f"{more:,} more images are skipped in validation.")
    return scores


def qualify_validation(run: Path, manifest: Manifest) -> str:
    """Return in words what a validation figure is worth, and what to quote instead."""
    flatters = "The validation images also chose the epoch, so this score is slightly optimistic"
    if manifest.in_split("test"):
        return f"{flatters}. Report the score on the test images: tlkit evaluate {shlex.quote(str(run))} --split test"
    return f"{flatters}. This run has no test images; --test-fraction reserves some."


def write_run_report(
    run: Run,
    folder: RunFolder,
    history: RunHistory,
    *,
    predictor: Predictor,
    scored: tuple[Scores, Report] | None,
    seconds: float,
) -> list[EvidencePlaces]:
    """Write curves.png, the task's picture, predictions.csv, mistakes/ and report.html; views.png is there already.

    Returns:
        Classes that the model may recognize by something other than the object.
    """
    manifest, console, spec = run.manifest, run.console, predictor.spec
    steps, outcomes = history.steps, history.outcomes
    with steps.step("curves.png"):
        draw_history(folder.path / "curves.png", history.rows, [list_learning_rates(outcome) for outcome in outcomes])
    facts: dict[str, str] = {}
    score_table: Table = ((), ())
    class_table: Table = manifest.class_table()
    seen: list[Section] = []
    shortcuts: list[EvidencePlaces] = []
    if scored:
        scores, report = scored
        with steps.step("The pictures of the scores"):
            draw_task_pictures(folder.path, report, spec, scores)
        with steps.step("predictions.csv"):
            write_scored(folder.path / "predictions.csv", scores, spec, top_k=NUM_RANKED, skipped=scores.failures)
        facts = {f"validation {name}": value for name, value in report.facts().items()}
        score_table = report.score_table()
        with steps.step("The pictures of mistakes"):
            clear_mistakes(folder.path)
            read_weights = partial(read_head_weights, folder.path, loader_version=LOADER_VERSION)
            heat_maps = HeatMaps(predictor, read_weights, steps, console)
            heat_maps.take(scores)
            sheets = show_mistakes(
                scores,
                spec,
                folder.path,
                budget=budget_pictures(folder.path, reserved_bytes=MAP_BYTES),
                console=console,
                heat_maps=heat_maps,
            )
            score_table = sheets.link_scores(score_table)
            class_table = sheets.link_counts(class_table, "validation")
            shortcuts = look_for_shortcuts(scores, sheets.mistakes.verdicts, spec, heat_maps)
            seen = [*filter(None, [render_shortcuts(shortcuts)]), *sheets.list_sections(folder.path)]
            with steps.step("The map"):
                if section := _draw_map(scores, sheets.mistakes, manifest, console):
                    seen = [*seen, section]
    with steps.step(REPORT_NAME):
        recipe = read_recipe(folder.recipe)
        page = RunPage(
            title=folder.path.name,
            facts={**facts, "seconds": f"{seconds:,.0f}"},
            class_table=class_table,
            stage_table=stage_table(outcomes, spec.outputs.score_name),
            score_table=score_table,
            more_tables=scored[1].more_tables() if scored else (),
            recipe=folder.recipe.read_text("utf-8"),
            origin=describe_origin(
                spec, data=recipe.inputs.data or show_path(manifest.root), command=recipe.made_by.command
            ),
            seen=seen,
            skipped=[(show_path(item.path), item.reason) for item in manifest.skipped],
            notices=manifest.notices,
            caution=qualify_validation(folder.path, manifest) if scored else "",
        )
        write_report(folder.path, page)
    return shortcuts


def _draw_map(scores: Scores, mistakes: Mistakes, manifest: Manifest, console: Console) -> Section | None:
    """Return the map of the validation images, coloured by class, prediction and whether the answer is right."""
    if scores.features is None:
        return None
    places = range(len(scores.records))
    colorings = []
    facets = [mistakes.verdicts.describe(place).facets for place in places]
    if all("predicted" in each for each in facets):
        colorings.append(Coloring("prediction", [", ".join(values_of(each, "predicted")) for each in facets]))
    is_right = mistakes.verdicts.is_right
    if is_right is not None:
        colorings.append(Coloring("answer", ["right" if is_right[place] else "wrong" for place in places]))
    first = [row for group in mistakes.groups for row in group.rows]
    shown = dataclasses.replace(manifest, records=scores.records)
    return make_map(scores.features, shown, console=console, colorings=colorings, first=first, max_bytes=MAP_BYTES)


def budget_pictures(folder: Path, *, reserved_bytes: int = 0) -> PictureBudget:
    """Return what the page of a folder has for pictures of images, beside its figures and what is reserved."""
    figures = sum((folder / name).stat().st_size for name in PICTURES if (folder / name).is_file())
    return PictureBudget(max(PAGE_BYTES - reserved_bytes - figures * 4 // 3, PAGE_BYTES // 4))


def list_learning_rates(outcome: StageOutcome) -> dict[str, list[float]]:
    """Return the rate of each trained layer group over the steps that a stage took, at most 2,000 of them."""
    progress = outcome.progress
    course = Course(outcome.plan.stage, progress.steps_per_epoch)
    num_steps = progress.epochs_done * progress.steps_per_epoch
    factors = [course.factor(step) for step in range(0, num_steps, -(-num_steps // MAX_STEPS_DRAWN))]
    return {line.group: [line.rate * factor for factor in factors] for line in outcome.rates if line.num_trainable}


def stage_table(outcomes: Sequence[StageOutcome], score_name: str) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return columns and rows: what each stage brought on the validation images."""
    figures = [name for name in (score_name, "iou", "loss") if all(name in each.progress.start for each in outcomes)]
    changes = [title for name in figures for title in (f"{QUANTITIES[name]} before", "after")]
    columns = ("stage", "boundary", "learning rate", "epochs", "best epoch", *changes)
    rows: list[tuple[str, ...]] = []
    for outcome in outcomes:
        progress = outcome.progress
        kept = str(progress.best_epoch) if progress.best_epoch else "0 (rolled back)"
        if progress.average_is_kept:
            kept = f"mean of {progress.num_averaged}"
        before_after = [f"{values[name]:.3f}" for name in figures for values in (progress.start, progress.best)]
        plan = outcome.plan
        rate = write_rate(plan.stage.head_rate) + (" (found)" if outcome.rate_is_found else "")
        done = str(progress.epochs_done)
        rows.append((plan.stage.name, plan.boundary, rate, done, kept, *before_after))
    return columns, rows


def describe_change(outcome: StageOutcome, outputs: Outputs) -> str:
    """Return in words what a further stage did to validation, whether that is kept and why, and what it says."""
    progress, unfreeze = outcome.progress, outcome.plan.stage.unfreeze
    name = "more training of the head" if unfreeze == "none" else f"unfreezing {unfreeze}"
    if not progress.trained:
        return f"Undone: {name} gave no finite loss."
    before, after = progress.start, progress.trained
    is_kept = progress.best_epoch > 0
    score = _compare_scores(before, after, outputs, outcome.num_validation)
    losses = f"{before['loss']:.3f} → {after['loss']:.3f}"
    if progress.decided_by == "score":
        reason = f"{score}, a significant change; validation loss {losses}"
    elif is_kept:
        reason = f"validation loss is lower ({losses}); {score}, not significant"
    else:
        reason = f"{score}, not significant, and validation loss is not lower ({losses})"
    return f"{'Kept' if is_kept else 'Undone'}: {name}: {reason}.{_draw_lesson(outcome, is_kept=is_kept)}"


def _compare_scores(before: Figures, after: Figures, outputs: Outputs, num_images: int) -> str:
    """Return "accuracy 0.950 → 0.967 (1 more of 60 right)"."""
    name = outputs.score_name
    text = f"{QUANTITIES[name]} {before[name]:.3f} → {after[name]:.3f}"
    if find_task(outputs.task).is_exclusive:
        change = round((after[name] - before[name]) * num_images)
        count = f"{abs(change):,} {'fewer' if change < 0 else 'more'}" if change else "as many"
        text += f" ({count} of {num_images:,} right)"
    return text + (f", mean IoU {before['iou']:.3f} → {after['iou']:.3f}" if outputs.has_box else "")


def _draw_lesson(outcome: StageOutcome, *, is_kept: bool) -> str:
    """Return what it says of the data that unfreezing helped, or did not."""
    if outcome.plan.stage.unfreeze == "none":
        return ""
    if is_kept and outcome.progress.decided_by == "score":
        return " The frozen layers were limiting the model."
    return " The head or the data are probably limiting the model."
