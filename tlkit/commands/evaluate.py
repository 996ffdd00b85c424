"""Evaluate a trained model on labelled images: those that its run held out, or others."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import SkippedFile
from tlkit.data.seen_images import UNKNOWN_IMAGES, read_seen_images
from tlkit.data.sources import OUTPUT_MARKER
from tlkit.data.views import PICTURE_ITSELF, ViewPlan
from tlkit.distribution.cluster import check_cluster, opened_cluster
from tlkit.errors import DataError, SettingError
from tlkit.inference.answering import ClusterPredictor, ModelSource
from tlkit.inference.rows import check_views
from tlkit.inference.scoring import Scores, count_files, score_records
from tlkit.inference.seen_scores import SeenScores, compute_seen_scores
from tlkit.inference.task_report import compute_task_report
from tlkit.models.opening import open_classifier
from tlkit.models.predictor import Predictor
from tlkit.models.spec import BundleSpec
from tlkit.models.storage import read_head_weights, read_spec
from tlkit.recipes import DataSettings
from tlkit.reports.console import Console
from tlkit.reports.optional_steps import OptionalSteps
from tlkit.reports.output_folder import (
    check_output_folder,
    held_output_folder,
)
from tlkit.runs.evaluation_folder import Evaluation, write_evaluation
from tlkit.runs.evaluation_set import EvaluationSet, find_run_folder, read_images_to_evaluate
from tlkit.runs.folder import describe_unfinished
from tlkit.runs.heat_maps import HeatMaps
from tlkit.runs.origin import describe_origin
from tlkit.runs.shortcuts import summarise_shortcuts
from tlkit.tasks import find_task
from tlkit.tasks.report import Report

EVALUATION = "evaluation"
MAX_MISTAKES_SHOWN = 10
NUM_RANKED_CLASSES = 3


@dataclass(frozen=True)
class EvaluateOptions:
    """Options of an evaluation.

    Attributes:
        split: The split to evaluate; None for the test split.
        top_k: k of the top-k accuracy; None to skip it.
        out: Folder for report.html, mistakes/, confusion.png, reliability.png, per_class.csv, predictions.csv, report.json
            and, with boxes, boxes.png; for labels labels.png and per_label.csv instead of confusion.png and the next two,
            for values predicted.png, for objects precision-recall.png, f1.png, detection-mistakes.png and sizes.png
            instead of confusion.png.
        views: The views of each image to average over.
        engine: As for `open_classifier`.
        precision: As for `open_classifier`.
        ray: A Ray cluster that computes the scores: auto, local or an address; None for this process.
    """

    split: str | None = None
    top_k: int | None = None
    out: Path | None = None
    views: ViewPlan = PICTURE_ITSELF
    engine: str = "auto"
    precision: str = "float32"
    ray: str | None = None


DEFAULTS = EvaluateOptions()


def run_evaluate(
    run: Path,
    data: Path | None,
    options: EvaluateOptions = DEFAULTS,
    *,
    console: Console,
    settings: DataSettings,
    open_model: Callable[[], Predictor] | None = None,
) -> dict[str, Any]:
    """Evaluate a model and return the JSON result.

    Args:
        run: A run folder, or a bundle folder if `data` is given.
        data: Labelled images; None for those that the run held out: its test split, or else its validation split.
        options: Split, views and outputs.
        console: Prints progress and results.
        settings: How `data` is read.
        open_model: Opens the run's model, after all checks; None for `open_classifier`.

    Raises:
        BundleError: The model is missing, damaged or invalid.
        BackboneError: The requested engine is not installed.
        ClusterError: Ray is not installed, or its cluster cannot be reached or has no workers.
        DataError: There are no images, or images of a class unknown to the model.
        RunError: `out` contains other files or is in use, or `data` is None and there is no run.
        SettingError: `top_k` or several views do not apply to this model.
    """
    check_cluster(options.ray)
    out, top_k, views = options.out, options.top_k, options.views
    spec = read_spec(run, loader_version=LOADER_VERSION)
    _check_top_k(top_k, spec)
    check_views(views.num_views, spec)
    if notice := describe_unfinished(run):
        console.warn(notice)
    with ExitStack() as stack:
        cluster = stack.enter_context(opened_cluster(options.ray))
        if out:
            data_folders = [data] if data and data.is_dir() else []
            check_output_folder(out, option="--out", kind=EVALUATION, marker=OUTPUT_MARKER, data_folders=data_folders)
            stack.enter_context(held_output_folder(out, kind=EVALUATION, marker=OUTPUT_MARKER))
        folder = find_run_folder(run)
        seen = read_seen_images(folder) if folder else UNKNOWN_IMAGES
        images = read_images_to_evaluate(run, data, spec, split=options.split, settings=settings, console=console)
        shown = f", each in {views.num_views} {views.policy} views" if views.num_views > 1 else ""
        console.say(f"Evaluating {run} on {len(images.records):,} images{shown}: {images.source}.")

        predictor = (
            open_model()
            if open_model
            else open_classifier(run, loader_version=LOADER_VERSION, engine=options.engine, precision=options.precision)
        )
        if cluster:
            source = ModelSource(run, options.engine, options.precision)
            predictor = ClusterPredictor(predictor, source, cluster, console.warn)
        heat_maps = None
        if out:
            weights = partial(read_head_weights, run, loader_version=LOADER_VERSION)
            heat_maps = HeatMaps(predictor, weights, OptionalSteps(console), console)
        start = time.perf_counter()
        with console.progress("Scoring", len(images.records), note=cluster.describe if cluster else None) as advance:
            explain = heat_maps.explain_maps if heat_maps else None
            scores = score_records(predictor, images.records, views=views, advance=advance, explain=explain)
        seconds = time.perf_counter() - start
        _check_scored(run, scores, images)

        report = compute_task_report(spec, scores, top_k=top_k)
        by_exposure = compute_seen_scores(scores, seen, lambda part: compute_task_report(spec, part, top_k=top_k))
        skipped = (*images.skipped, *scores.failures)
        payload = {
            "run": run,
            "data": data,
            "split": images.split,
            "views": views.num_views,
            "skipped": len(skipped),
            **report.to_payload(),
            "seen": by_exposure.to_payload(),
        }
        if scores.distances is not None and spec.unknown_above is not None:
            payload["unknown"] = int((scores.distances > spec.unknown_above).sum())
        payload["seconds"] = seconds
        if out and heat_maps:
            heat_maps.take(scores)
            evaluation = Evaluation(
                name=f"{run} on {f'the {images.split} images' if data is None else data}",
                measured_on=images.split or "",
                report=report,
                scores=scores,
                by_exposure=by_exposure.table(),
                skipped=skipped,
                payload=payload,
                spec=spec,
                origin=describe_origin(spec, data=images.source, command=console.command),
                caution=by_exposure.qualify(),
                num_ranked=top_k or NUM_RANKED_CLASSES,
                heat_maps=heat_maps,
            )
            payload |= summarise_shortcuts(write_evaluation(out, evaluation, console))
        _print_results(report, by_exposure, images.split, payload, console)
        _warn(skipped, console)
        if out:
            console.say(f"Written: {out}")
        return payload


def _check_top_k(top_k: int | None, spec: BundleSpec) -> None:
    most = len(spec.class_names) - 1
    if top_k is None or (find_task(spec.task).is_exclusive and top_k <= most):
        return
    if not find_task(spec.task).is_exclusive or most < 1:
        what = (
            "has one class" if spec.has_one_class else f"does not predict one class per image: its task is {spec.task}"
        )
        raise SettingError(
            f"--top-k {top_k}: the model {what}.",
            expected="--top-k only with a model of two classes or more",
            fix="leave out --top-k.",
        )
    raise SettingError(
        f"--top-k {top_k}: the model has {most + 1} classes, so the true class is always among them.",
        expected=f"a number from 1 to {most}",
        fix=f"--top-k {most}, or less.",
    )


def _check_scored(run: Path, scores: Scores, images: EvaluationSet) -> None:
    if not scores.records:
        raise DataError(
            f"none of the {len(images.records):,} images could be read.",
            expected="images unchanged since they were checked",
            fix=f"tlkit evaluate {run} DATA, with the folder where the images are now.",
        )


def _print_results(
    report: Report, by_exposure: SeenScores, split: str | None, payload: dict[str, Any], console: Console
) -> None:
    console.table(f"Scores on the {split} images" if split else "Scores", *report.score_table())
    for title, table in report.more_tables():
        console.table(title, *table)
    if mistakes := report.mistakes_table():
        titles, rows = mistakes
        console.table("Most frequent mistakes", titles, rows[:MAX_MISTAKES_SHOWN])
    if len(by_exposure.reports) > 1:
        console.table("Scores by whether the model has seen the images", *by_exposure.table())
    if "unknown" in payload:
        are = "is" if payload["unknown"] == 1 else "are"
        console.say(f"{payload['unknown']:,} of {report.num_images:,} images {are} flagged as unknown.")
    console.say(f"{report.headline()} {by_exposure.qualify()}")


def _warn(skipped: tuple[SkippedFile, ...], console: Console) -> None:
    if skipped:
        console.warn(
            f"{count_files(len(skipped))} could not be scored, such as {skipped[0].path}: {skipped[0].reason}."
        )
