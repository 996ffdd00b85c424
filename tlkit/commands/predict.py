"""Predict image files with a trained model, one row per file, in the order of the files."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tlkit.data.hot_folder import HotFolder
from tlkit.data.images import LOADER_VERSION
from tlkit.data.metadata_source import MetadataSource
from tlkit.data.sources import STDIN, FoundImages, find_images
from tlkit.data.views import PICTURE_ITSELF, ViewPlan
from tlkit.devices import AllDevices
from tlkit.distribution.cluster import check_cluster, opened_cluster
from tlkit.errors import SettingError
from tlkit.inference.answering import ClusterPredictor, ModelSource
from tlkit.inference.destinations import PredictOutputs, check_outputs, open_output
from tlkit.inference.files import PredictionCopies, predict_files
from tlkit.inference.predictions import (
    PredictionWriter,
    choose_prediction_columns,
    flag_uncertain,
    limit_scores,
    open_prediction_log,
    open_predictions,
)
from tlkit.inference.rows import check_views
from tlkit.inference.scoring import count_files
from tlkit.inference.tally import CollectedRows, PredictionTally
from tlkit.interruption import kept_if_interrupted
from tlkit.models.opening import open_classifier
from tlkit.models.spec import BundleSpec
from tlkit.models.storage import read_spec
from tlkit.outputs import format_value
from tlkit.reports.console import Console
from tlkit.reports.row_log import check_log_path
from tlkit.runs.folder import describe_unfinished
from tlkit.tasks import find_task
from tlkit.tasks.found_objects import BACKGROUND
from tlkit.tasks.predictions import UNCERTAIN, UNKNOWN


@dataclass(frozen=True)
class PredictOptions:
    """Options of a prediction.

    Attributes:
        top_k: Number of ranked classes for each image, at least 1.
        min_probability: Predictions with a lower probability, 0..1, are flagged as uncertain; None for no flags.
        min_score: Objects with lower scores, 0..1, are left out; None for the thresholds of the model.
        views: The views of each image to average over.
        engine: One of `PREDICTION_ENGINES`: see `tlkit.models.opening.open_classifier`.
        precision: float32, or bfloat16 with OpenVINO.
        batch_size: Batch size of Keras; None for that of training. Others may change the last bits.
        devices: How many GPUs Keras computes on.
        table: Table with the metadata that the model takes.
        image_column: Its column of paths; None to find it by name.
        watch: A folder whose files are predicted as they arrive, until the process is interrupted.
        ray: A Ray cluster that computes the predictions: auto, local or an address; None for this process.
    """

    top_k: int = 3
    min_probability: float | None = None
    min_score: float | None = None
    views: ViewPlan = PICTURE_ITSELF
    engine: str = "auto"
    precision: str = "float32"
    batch_size: int | None = None
    devices: int | AllDevices = 1
    table: Path | None = None
    image_column: str | None = None
    watch: Path | None = None
    ray: str | None = None


DEFAULTS = PredictOptions()


def run_predict(
    run: Path,
    sources: Sequence[str],
    outputs: PredictOutputs,
    options: PredictOptions = DEFAULTS,
    *,
    console: Console,
    stdin: BinaryIO | None,
    stdout: BinaryIO | None,
) -> dict[str, Any]:
    """Predict files and return the JSON result.

    Args:
        run: A run folder or a bundle folder.
        sources: Folders, globs, files, or "-" for paths on `stdin`, which are predicted as they arrive.
        outputs: Files and folders to write.
        options: Options.
        console: Prints progress and results; with its `json`, rows are part of the result if there is no `outputs.out`.
        stdin: A raw stream with one path per line.
        stdout: Receives the rows as CSV if there is no `outputs.out`.

    Raises:
        BundleError: The model is missing, damaged or invalid.
        DataError: The sources contain no image.
        BackboneError: The requested engine is not installed.
        ClusterError: Ray is not installed, or its cluster cannot be reached or has no workers.
        SettingError: The suffix of `out` is unknown, two outputs share a folder, metadata are missing, or the engine or
            the model does not support a setting.
        RunError: An output folder contains other files, or the rows cannot be written.
    """
    _check_ray(options, sources)
    spec = limit_scores(read_spec(run, loader_version=LOADER_VERSION), options.min_score)
    _check_min_probability(options.min_probability, spec)
    check_views(options.views.num_views, spec)
    if notice := describe_unfinished(run):
        console.warn(notice)
    _check_watch(options.watch, sources, outputs)
    check_outputs(outputs, [str(options.watch)] if options.watch else sources, spec)
    images = FoundImages(iter(()), None) if options.watch else find_images(sources, stdin)
    metadata = MetadataSource(spec.metadata, options.table, image_column=options.image_column, images=images.files)
    for notice in metadata.notices:
        console.say(notice)
    classifier = open_classifier(
        run,
        loader_version=LOADER_VERSION,
        engine=options.engine,
        precision=options.precision,
        batch_size=options.batch_size,
        devices=options.devices,
    )

    start = time.perf_counter()
    tally = PredictionTally(spec)
    collected = CollectedRows()
    copies = PredictionCopies(outputs.overlay, outputs.sort_into, spec, console, masks_out=outputs.masks_out)
    with ExitStack() as stack:
        cluster = stack.enter_context(opened_cluster(options.ray))
        if cluster:
            source = ModelSource(run, options.engine, options.precision, options.batch_size)
            classifier = ClusterPredictor(classifier, source, cluster, console.warn)
        make_preview = None if cluster else copies.make_preview
        opened, arrivals = _open_writer(stack, spec, (sources, outputs, options), stdout, console)
        writer: PredictionWriter = opened or collected
        progress = console.progress("Predicting", images.number, note=cluster.describe if cluster else None)
        advance = stack.enter_context(progress)
        for paths in arrivals.watch() if arrivals else images.groups:
            for file in predict_files(
                classifier,
                paths,
                metadata,
                spec=spec,
                top_k=options.top_k,
                views=options.views,
                make_preview=make_preview,
            ):
                if arrivals and not arrivals.is_done(file.path, is_readable=not file.prediction.error):
                    continue
                file = dataclasses.replace(file, prediction=flag_uncertain(file.prediction, options.min_probability))
                writer.write(file.prediction)
                tally.add(file.prediction)
                copies.write(file, min_probability=options.min_probability)
                advance(1)

    seconds = time.perf_counter() - start
    payload = {
        "run": run,
        "images": tally.num_images,
        "views": options.views.num_views,
        **tally.describe(with_uncertain=options.min_probability is not None),
        "not_copied": copies.num_failures,
        "seconds": round(seconds, 3),
        "images_per_second": round(tally.num_images / seconds, 3),
    }
    if opened is None:
        payload["predictions"] = collected.rows
    copies.warn_of_failures()
    for sentence in metadata.describe_odd_values():
        console.warn(sentence)
    _warn(payload, spec, outputs, console, is_watch=options.watch is not None)
    if outputs.out or console.json:
        _print_results(payload, outputs, console)
    return payload


def _check_min_probability(min_probability: float | None, spec: BundleSpec) -> None:
    if min_probability is None or (find_task(spec.task).is_exclusive and not spec.has_one_class):
        return
    has_objects = find_task(spec.task).lists_objects
    answer = "one class" if spec.has_one_class else "objects" if has_objects else find_task(spec.task).nouns[1]
    raise SettingError(
        f"--min-probability {min_probability:g} has no effect: the model predicts {answer}.",
        expected="--min-probability only with a model of two classes or more",
        fix=f"--min-score {min_probability:g}" if has_objects else "leave out --min-probability.",
    )


def _check_watch(watch: Path | None, sources: Sequence[str], outputs: PredictOutputs) -> None:
    if watch is None:
        return
    if sources:
        raise SettingError(
            f"--watch {watch}: there are other sources, such as {sources[0]}.",
            expected="--watch alone; it predicts what the folder has, and then what arrives",
            fix="leave out the sources, or --watch.",
        )
    if not watch.is_dir():
        raise SettingError(f"--watch {watch}: no such folder.", expected="a folder", fix="check the path.")
    if outputs.out is None:
        raise SettingError(
            f"--watch {watch}: there is no --out.",
            expected="a CSV or JSON lines file that grows, so that a later process knows what is done",
            fix="--out predictions.csv",
        )
    check_log_path(outputs.out)


def _check_ray(options: PredictOptions, sources: Sequence[str]) -> None:
    if options.ray is None:
        return
    if options.watch or STDIN in sources:
        raise SettingError(
            f"--ray {options.ray}: images that arrive one by one are predicted at once, in this process.",
            expected="--ray only with folders, patterns or files",
            fix="leave out --ray.",
        )
    check_cluster(options.ray, options.devices)


def _open_writer(
    stack: ExitStack,
    spec: BundleSpec,
    given: tuple[Sequence[str], PredictOutputs, PredictOptions],
    stdout: BinaryIO | None,
    console: Console,
) -> tuple[PredictionWriter | None, HotFolder | None]:
    """Return what writes the predictions, if anything, and the folder to watch, if any; `stack` closes them.

    `given` are the sources, outputs and options.
    """
    sources, outputs, options = given
    columns = choose_prediction_columns(spec, top_k=options.top_k, with_uncertain=options.min_probability is not None)
    if options.watch:
        assert outputs.out is not None, "checked by _check_watch"
        writer, done = stack.enter_context(open_prediction_log(outputs.out, columns))
        stack.enter_context(suppress(KeyboardInterrupt))  # which is how watching ends
        before = f" {outputs.out} has {len(done):,} rows already." if done else ""
        console.say(f"Watching {options.watch} until Ctrl-C.{before}")
        return writer, HotFolder(options.watch, done, warn=console.warn)
    if outputs.out:
        stack.enter_context(kept_if_interrupted(outputs.describe_so_far()))
        return stack.enter_context(open_output(outputs, columns, spec, sources, warn=console.warn)), None
    if stdout is None or console.json:
        return None, None
    return stack.enter_context(open_predictions(stdout, columns)), None


def _warn(
    payload: dict[str, Any], spec: BundleSpec, outputs: PredictOutputs, console: Console, *, is_watch: bool
) -> None:
    num_files = payload["images"]
    if not num_files and not is_watch:
        console.warn("standard input had no paths, so there are no rows.")
    if payload["errors"]:
        console.warn(f"{payload['errors']:,} of {count_files(num_files)} could not be read; {outputs.place_of_errors}.")
    if payload["unknown"]:
        console.warn(
            f"{payload['unknown']:,} of {count_files(num_files)} {'is' if payload['unknown'] == 1 else 'are'} unlike "
            f"the training images ({outputs.place_of_unknown}): check them before you rely on their predictions."
        )
    if spec.has_one_class:
        console.warn(
            f"the model has one class, so it predicts {spec.class_names[0]} for every picture: its boxes show where one "
            "would be, not whether there is one."
        )


def _print_results(payload: dict[str, Any], outputs: PredictOutputs, console: Console) -> None:
    """Print the number of predictions per class, and the outputs."""
    if "values" in payload:
        rows = [(name, "-" if value is None else format_value(value)) for name, value in payload["values"].items()]
        console.table("Predictions", ("", "value"), rows)
    elif "objects" in payload:
        counts = {**payload["objects"], "(images without objects)": payload[BACKGROUND]}
        console.table(
            "Predictions", ("class", "objects"), [(name, f"{count:,}") for name, count in counts.items() if count]
        )
    elif "labels" in payload:
        rows = [(name, f"{count:,}") for name, count in payload["labels"].items() if count]
        console.table("Predictions", ("label", "images"), rows)
    else:
        flagged = {f"({flag})": payload.get(flag, 0) for flag in (UNCERTAIN, UNKNOWN)}
        rows = [(name, f"{count:,}") for name, count in {**payload["classes"], **flagged}.items() if count]
        console.table("Predictions", ("class", "images"), rows)
    for label, place in (
        ("Predictions", outputs.out),
        ("Overlays", outputs.overlay),
        ("Sorted", outputs.sort_into),
        ("Masks", outputs.masks_out),
    ):
        if place:
            console.say(f"{label}: {place}")
