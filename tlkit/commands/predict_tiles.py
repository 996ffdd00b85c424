"""Predict large pictures window by window: a row for each window, counts for each picture, and overlays."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from tlkit.data.images import LOADER_VERSION
from tlkit.data.sources import find_images
from tlkit.devices import AllDevices
from tlkit.errors import SettingError
from tlkit.inference.destinations import PredictOutputs, check_outputs, open_output
from tlkit.inference.predictions import PredictionWriter, choose_prediction_columns, flag_uncertain, open_predictions
from tlkit.inference.scoring import count_files
from tlkit.inference.tally import CollectedRows, PredictionTally
from tlkit.inference.tile_overlays import TileOverlays, count_answers
from tlkit.inference.tiles import TiledPicture, WindowOptions, plan_windows_for, predict_tiles
from tlkit.interruption import kept_if_interrupted
from tlkit.models.opening import open_classifier
from tlkit.models.spec import BundleSpec
from tlkit.models.storage import read_spec
from tlkit.outputs import format_value
from tlkit.places.copies import show_path
from tlkit.reports.console import Console
from tlkit.reports.output_folder import check_outside
from tlkit.reports.row_file import SINGLE, TEXT, WHOLE, RowWriter, check_rows_path, open_rows
from tlkit.runs.folder import describe_unfinished
from tlkit.tasks import find_task
from tlkit.tasks.predictions import UNKNOWN

MAX_LISTED = 20
"""Pictures in the printed table."""
MAX_NAMED = 5
"""Classes of a picture in it."""
COUNT_COLUMNS = {"path": TEXT, "class_name": TEXT, "tiles": WHOLE, "fraction": SINGLE, "error": TEXT}


@dataclass(frozen=True)
class TileOptions:
    """Options of a prediction window by window; those without a description are as for `tlkit predict`.

    Attributes:
        windows: Where the windows are.
        counts: File for the windows of each class in each picture; None for none.
    """

    windows: WindowOptions = field(default_factory=WindowOptions)
    counts: Path | None = None
    top_k: int = 3
    min_probability: float | None = None
    engine: str = "auto"
    precision: str = "float32"
    batch_size: int | None = None
    devices: int | AllDevices = 1


def run_predict_tiles(
    run: Path,
    sources: Sequence[str],
    outputs: PredictOutputs,
    options: TileOptions,
    *,
    console: Console,
    stdin: BinaryIO | None,
    stdout: BinaryIO | None,
) -> dict[str, Any]:
    """Predict pictures window by window, and return the JSON result.

    Args:
        run: A run folder or a bundle folder.
        sources: Folders, globs, files, or "-" for paths on `stdin`.
        outputs: The file of rows, and the folder of overlays.
        options: Options.
        console: Prints progress and results; with its `json`, rows are part of the result if there is no `outputs.out`.
        stdin: A raw stream with one path per line.
        stdout: Receives the rows as CSV if there is no `outputs.out`.

    Raises:
        BundleError: The model is missing, damaged or invalid.
        DataError: The sources contain no image.
        BackboneError: The requested engine is not installed.
        SettingError: The model has no answer for a part of a picture, or a setting does not go with it.
        RunError: An output folder contains other files, or the rows cannot be written.
    """
    spec = read_spec(run, loader_version=LOADER_VERSION)
    plan = plan_windows_for(spec, options.windows, purpose="--tiles")
    _check(spec, sources, outputs, options)
    if notice := describe_unfinished(run):
        console.warn(notice)
    if spec.has_box:
        console.say("The model also predicts a box; left, top, right and bottom are those of the window.")
    images = find_images(sources, stdin)
    predictor = open_classifier(
        run,
        loader_version=LOADER_VERSION,
        engine=options.engine,
        precision=options.precision,
        batch_size=options.batch_size,
        devices=options.devices,
    )
    start = time.perf_counter()
    tally, collected, pictures = PredictionTally(spec), CollectedRows(), []
    overlays = TileOverlays(outputs.overlay, spec, plan.step_px) if outputs.overlay else None
    failures = 0
    with ExitStack() as stack:
        opened = _open_writer(stack, spec, sources, outputs, options, stdout, console)
        writer: PredictionWriter = opened or collected
        count = stack.enter_context(_open_counts(options.counts))
        advance = stack.enter_context(console.progress("Predicting", None, "tiles"))
        for path in (each for group in images.groups for each in group):
            tiled = predict_tiles(predictor, path, plan, top_k=options.top_k, advance=advance)
            tiled = replace(
                tiled, predictions=tuple(flag_uncertain(each, options.min_probability) for each in tiled.predictions)
            )
            for prediction in tiled.predictions:
                writer.write(prediction)
                tally.add(prediction)
            own = tiled.count(spec)
            pictures.append(_describe_picture(tiled, own, spec))
            count(*_list_counts(pictures[-1]))
            if overlays:
                failures += _write_overlay(overlays, tiled, own, console)
    seconds = time.perf_counter() - start
    payload = {
        "run": run,
        "images": len(pictures),
        "tiles": sum(picture["tiles"] for picture in pictures),
        "window_px": plan.window_px,
        "step_px": plan.step_px,
        **tally.describe(with_uncertain=options.min_probability is not None),
        "pictures": pictures,
        "not_copied": failures,
        "seconds": round(seconds, 3),
    }
    if opened is None:
        payload["predictions"] = collected.rows
    _say(payload, outputs, options, console)
    return payload


def _check(spec: BundleSpec, sources: Sequence[str], outputs: PredictOutputs, options: TileOptions) -> None:
    check_outputs(outputs, sources, spec)
    if options.min_probability is not None and (not find_task(spec.task).is_exclusive or spec.has_one_class):
        raise SettingError(
            f"--min-probability {options.min_probability:g} has no effect: the model does not choose among classes.",
            expected="--min-probability only with a model of two classes or more",
            fix="leave out --min-probability.",
        )
    if options.counts is None:
        return
    if not find_task(spec.task).has_names:
        raise SettingError(
            f"--counts {options.counts}: the model predicts a value, which cannot be counted.",
            expected="--counts only with classes or labels",
            fix="leave out --counts; --out has the value of each window.",
        )
    check_rows_path(options.counts, option="--counts")
    folders = [Path(source) for source in sources if Path(source).is_dir()]
    check_outside(options.counts, option="--counts", data_folders=folders)
    if outputs.out and outputs.out.resolve() == options.counts.resolve():
        raise SettingError(
            f"--out and --counts are both {outputs.out}.",
            expected="two different files",
            fix=f"--counts {outputs.out.with_stem(outputs.out.stem + '-counts')}",
        )


def _open_writer(
    stack: ExitStack,
    spec: BundleSpec,
    sources: Sequence[str],
    outputs: PredictOutputs,
    options: TileOptions,
    stdout: BinaryIO | None,
    console: Console,
) -> PredictionWriter | None:
    """Return what writes the rows, if anything; `stack` closes it."""
    columns = choose_prediction_columns(spec, top_k=options.top_k, with_uncertain=options.min_probability is not None)
    columns = replace(columns, with_box=True)
    if outputs.out:
        stack.enter_context(kept_if_interrupted(outputs.describe_so_far()))
        return stack.enter_context(open_output(outputs, columns, spec, sources, warn=console.warn))
    if stdout is None or console.json:
        return None
    return stack.enter_context(open_predictions(stdout, columns))


@contextmanager
def _open_counts(path: Path | None) -> Iterator[RowWriter]:
    if path is None:
        yield lambda *_: None
        return
    with open_rows(path, COUNT_COLUMNS) as write:
        yield write


def _describe_picture(tiled: TiledPicture, tally: PredictionTally, spec: BundleSpec) -> dict[str, Any]:
    height, width = tiled.upright_size or (None, None)
    is_read = tiled.upright_size is not None
    return {
        "path": show_path(tiled.path),
        "width": width,
        "height": height,
        "tiles": tally.num_images if is_read else 0,
        find_task(spec.task).nouns[1]: {name: n for name, n in count_answers(tally, spec).items() if n}
        if is_read
        else {},
        "error": None if is_read else tiled.predictions[0].error,
    }


def _list_counts(picture: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of `--counts` for a picture: one for each class that it has, or one with an error."""
    shared = {"path": picture["path"]}
    if picture["error"]:
        return [shared | {"class_name": None, "tiles": 0, "fraction": None, "error": picture["error"]}]
    counts = next(picture[noun] for noun in ("classes", "labels", "values") if noun in picture)
    return [
        shared | {"class_name": name, "tiles": int(num), "fraction": round(num / picture["tiles"], 4), "error": None}
        for name, num in counts.items()
    ]


def _write_overlay(overlays: TileOverlays, tiled: TiledPicture, tally: PredictionTally, console: Console) -> int:
    """Write an overlay, and return 1 if the disk does not take it, which costs a warning and no rows."""
    try:
        overlays.write(tiled, tally)
    except OSError as error:
        console.warn(f"{tiled.path} has its rows, but no overlay: {error.strerror or error}.")
        return 1
    return 0


def _say(payload: dict[str, Any], outputs: PredictOutputs, options: TileOptions, console: Console) -> None:
    unread = sum(picture["error"] is not None for picture in payload["pictures"])
    if unread:
        console.warn(f"{unread:,} of {count_files(payload['images'])} could not be read; {outputs.place_of_errors}.")
    if payload[UNKNOWN]:
        console.warn(
            f"{payload[UNKNOWN]:,} of {payload['tiles']:,} tiles are unlike the training images "
            f"({outputs.place_of_unknown}): check them before you rely on their predictions."
        )
    if not outputs.out and not console.json:
        return
    pictures = payload["pictures"]
    rows = [(show_path(each["path"]), f"{each['tiles']:,}", _name_counts(each)) for each in pictures[:MAX_LISTED]]
    console.table("Tiles", ("picture", "tiles", "answers"), rows)
    if len(pictures) > MAX_LISTED:
        console.say(f"{len(pictures) - MAX_LISTED:,} more pictures are not listed here.")
    for label, place in (("Tiles", outputs.out), ("Counts", options.counts), ("Overlays", outputs.overlay)):
        if place:
            console.say(f"{label}: {place}")


def _name_counts(picture: dict[str, Any]) -> str:
    if picture["error"]:
        return str(picture["error"])
    if "values" in picture:
        return ", ".join(f"{name} {format_value(value)}" for name, value in picture["values"].items())
    counts = picture.get("classes") or picture.get("labels") or {}
    ranked = sorted(counts.items(), key=lambda each: -each[1])
    named = [f"{name} {count:,.0f}" for name, count in ranked[:MAX_NAMED]]
    more = len(ranked) - MAX_NAMED
    return ", ".join(named) + (f" and {more:,} more" if more > 0 else "")
