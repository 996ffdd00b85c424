"""Use a trained model: `tlkit predict`, `tlkit evaluate`, or a model object."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tlkit.api.arguments import (
    Place,
    Result,
    as_path,
    fetch,
    fetch_run,
    fetch_sources,
    plan_views,
    quiet_console,
    written,
)
from tlkit.api.large_pictures import predict_tiles, scan_pictures
from tlkit.api.several_devices import read_devices
from tlkit.outputs import FOLDER_FORMATS
from tlkit.reports.console import Console

if TYPE_CHECKING:
    from tlkit.api.model import Model

__all__ = ["evaluate", "explain_images", "load", "predict"]


def load(run: Place, *, engine: str = "auto", precision: str = "float32") -> Model:
    """Open a trained model.

    Args:
        run: A run folder, or the bundle in it.
        engine: keras; openvino; or auto: openvino if it is installed and the run has a model for it.
        precision: float32, or bfloat16 with OpenVINO.

    Raises:
        BundleError: The model is missing, damaged or invalid.
        BackboneError: The requested engine is not installed.
        SettingError: The engine does not support a setting.

    Examples:
        >>> tlkit.load("runs/first").class_names
        ('blue', 'red')
    """
    from tlkit.api.model import Model

    model = Model(fetch(run, None), engine=engine, precision=precision)
    model.open()
    return model


def predict(
    run: Place,
    *sources: Place,
    watch: Place | None = None,
    out: Place | None = None,
    format: str | None = None,
    overlay: Place | None = None,
    sort_into: Place | None = None,
    masks_out: Place | None = None,
    tiles: bool = False,
    window: int | None = None,
    step: int | None = None,
    counts: Place | None = None,
    top_k: int = 3,
    min_probability: float | None = None,
    min_score: float | None = None,
    views: int = 1,
    policy: str | None = None,
    engine: str = "auto",
    precision: str = "float32",
    batch_size: int | None = None,
    devices: int | str = 1,
    table: Place | None = None,
    image_column: str | None = None,
    ray: str | None = None,
    console: Console | None = None,
    stdin: BinaryIO | None = None,
    stdout: BinaryIO | None = None,
) -> Result:
    """Predict image files: `tlkit predict`. For arrays, or for many calls, `load` the model once.

    Args:
        run: A run folder, or the bundle in it.
        sources: Folders, globs, files, or "-" for paths on `stdin`, which are predicted as they arrive.
        watch: Folder to watch instead of sources: its files are predicted, then each that arrives, until the process is
            interrupted. A CSV or JSON lines file `out` grows, and what it has is skipped.
        out: File for the rows: .csv, .jsonl or .parquet; None to return them, or to write them to `stdout`. Like the
            folders, it may be at s3://, gs:// or az://.
        format: Format of found objects: "coco" (one file, by default if `out` ends in .json), "yolo" or "voc" (a folder).
        overlay: Folder for copies with the prediction drawn on them.
        sort_into: Folder for copies in one folder per class.
        masks_out: Folder for the masks of a segmentation model, as PNG files.
        tiles: Whether to cut each picture into windows, and to predict each; rows have its left, top, right and bottom.
        window: Edge of a window in pixels of the picture; None for the model's image size.
        step: Pixels from a window to the next one; None for windows side by side.
        counts: With tiles, file for the number of windows of each class in each picture.
        top_k: Number of ranked classes for each image.
        min_probability: Predictions with a lower probability, 0..1, are flagged as uncertain.
        min_score: Objects with lower scores, 0..1, are left out; None for the model's thresholds of its classes.
        views: Number of views of each image to average over.
        policy: How the other views are made.
        engine: auto, keras or openvino.
        precision: float32, or bfloat16 with OpenVINO.
        batch_size: Batch size of Keras.
        devices: GPUs that Keras computes on, or "all".
        table: Table with the metadata that the model takes.
        image_column: Its column of paths; None to find it by name.
        ray: A Ray cluster that computes: "auto" for a running one, "local" for one on this machine, or HOST:PORT.
        console: Prints progress and results; None to print only warnings.
        stdin: A raw stream with one path per line.
        stdout: Gets the rows as CSV.

    Returns:
        The number of `images`, `errors` and `unknown` images, the number of predictions per class (of objects, and of
        `background` images without any), `seconds`, and, without `out` and `stdout`, the `predictions`. With tiles, the
        number of `tiles`, and those of each class in each of the `pictures`.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    from tlkit.commands.predict import PredictOptions, run_predict
    from tlkit.inference.destinations import PredictOutputs
    from tlkit.inference.tiles import require_option

    if console is None:
        console = Console(verbosity=-1, json=stdout is None)
    if tiles:
        unused: dict[str, object] = {
            "--watch": watch,
            "--format": format,
            "--sort-into": sort_into,
            "--masks-out": masks_out,
        }
        unused |= {"--min-score": min_score, "--policy": policy, "--table": table, "--image-column": image_column}
        unused |= {"--ray": ray, "--views": None if views == 1 else views}
        return predict_tiles(
            run,
            sources,
            {"out": out, "overlay": overlay, "counts": counts},
            unused=unused,
            windows=(window, step),
            console=console,
            streams=(stdin, stdout),
            top_k=top_k,
            min_probability=min_probability,
            engine=engine,
            precision=precision,
            batch_size=batch_size,
            devices=read_devices(devices, None),
        )
    require_option(
        "--tiles", {"--window": window is not None, "--step": step is not None, "--counts": counts is not None}
    )
    options = PredictOptions(
        top_k=top_k,
        min_probability=min_probability,
        min_score=min_score,
        views=plan_views(views, policy),
        engine=engine,
        precision=precision,
        batch_size=batch_size,
        devices=read_devices(devices, ray),
        table=fetch(table, console),
        image_column=image_column,
        watch=as_path(watch),
        ray=ray,
    )
    out = out if watch is None else as_path(out)  # what grows cannot be at a place
    folder, files = fetch(run, console), fetch_sources(sources, console)
    name = "" if format in FOLDER_FORMATS else "boxes.json" if format else "predictions.csv"
    with written(console, name, out=out, overlay=overlay, sort_into=sort_into, masks_out=masks_out) as paths:
        outputs = PredictOutputs(**paths, format=format)
        return run_predict(folder, files, outputs, options, console=console, stdin=stdin, stdout=stdout)


def evaluate(
    run: Place,
    data: Place | None = None,
    *,
    split: str | None = None,
    top_k: int | None = None,
    out: Place | None = None,
    views: int = 1,
    policy: str | None = None,
    engine: str = "auto",
    precision: str = "float32",
    devices: int | str = 1,
    ray: str | None = None,
    console: Console | None = None,
    **settings: Any,
) -> Result:
    """Evaluate a run on labelled images: `tlkit evaluate`.

    Args:
        run: A run folder, or the bundle in it.
        data: A folder, a table, or a data set with splits; None for the images that the run held out.
        split: Split of the data to evaluate.
        top_k: k of the top-k accuracy; None to skip it.
        out: Folder for figures, scores of each class or label, predictions.csv and report.json.
        views: As in `predict`.
        policy: As in `predict`.
        engine: As in `predict`.
        precision: As in `predict`.
        devices: As in `predict`.
        ray: As in `predict`.
        console: As in `predict`.
        settings: Settings of `[data]` for reading the data.

    Returns:
        The scores of the task; under `seen`, separately for images that the model has and has not seen.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    from tlkit.api.model import Model

    return Model(fetch(run, console), engine=engine, precision=precision, devices=read_devices(devices, ray)).evaluate(
        data, split=split, top_k=top_k, out=out, views=views, policy=policy, ray=ray, console=console, **settings
    )


def explain_images(
    run: Place,
    *sources: Place,
    out: Place,
    class_name: str | None = None,
    method: str = "auto",
    boundary: str | None = None,
    number: int = 24,
    neighbours: int = 3,
    filters: bool = False,
    channels: str | Sequence[int] = (),
    scan: bool = False,
    one_pass: bool = False,
    window: int | None = None,
    step: int | None = None,
    table: Place | None = None,
    image_column: str | None = None,
    console: Console | None = None,
) -> Result:
    """Show what speaks for a model's answers: `tlkit explain`.

    Args:
        run: A run folder, or the bundle in it.
        sources: Folders, globs or files.
        out: Folder for explanations.html and the pictures of the maps.
        class_name: Class or label to explain; None: what is predicted for each photo.
        method: auto, or a method that starts from the feature map or from the pixels: see the guide.
        boundary: Boundary whose feature map is explained; None: the top.
        number: Photos to explain, at most.
        neighbours: Nearest training photos to show beside each photo.
        filters: Whether the page shows the filters of the first layer, too.
        channels: Channels of the map at the boundary whose most exciting patches of training photos are shown, too.
        scan: Whether large pictures get a heat map of the class, or the most probable class at each place, from windows that
            are cut out and predicted.
        one_pass: With scan, whether the backbone runs on the whole picture instead, and the head slides over its map.
        window: As in `predict`.
        step: Pixels from a window of a scan to the next one; None for half a window.
        table: Table with the metadata that the model takes beside the images.
        image_column: Its column of paths; None: found by its name.
        console: Tells the story; None: only warnings are printed.

    Returns:
        The `page`, and for each of the `photos` its `explanations`, each with its `map`, the mean output while the
        evidence is covered (`deletion`) and while other places are (`deletion_by_guess`), and of an object its `score`, the
        share of the evidence `inside` its box and the `box_area`; the `scenes`, maps of what a model of objects or masks
        says at every place; and the `nearest` training photos. With scan, for each of the `pictures` its `overlay`, the `strongest` window, the `shares` of the classes, and
        in one pass how its answers compare with those for windows (`compared`).

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    from tlkit.commands.explain import ExplainOptions, run_explain
    from tlkit.explain.channels import read_channels
    from tlkit.inference.tiles import require_option

    if scan:
        unused = {"--method": method != "auto", "--boundary": boundary is not None, "--neighbours": neighbours != 3}
        unused |= {"--filters": filters, "--channels": bool(channels), "--table": table is not None}
        return scan_pictures(
            run,
            sources,
            out,
            unused=unused | {"--image-column": image_column is not None},
            windows=(window, step),
            console=console,
            class_name=class_name,
            in_one_pass=one_pass,
            number=number,
        )
    require_option("--scan", {"--one-pass": one_pass, "--window": window is not None, "--step": step is not None})
    return run_explain(
        fetch_run(run, console),
        fetch_sources(sources, console),
        Path(out),
        ExplainOptions(
            class_name=class_name,
            method=method,
            boundary=boundary,
            number=number,
            neighbours=neighbours,
            filters=filters,
            channels=read_channels(channels),
            table=fetch(table, console),
            image_column=image_column,
        ),
        console=console or quiet_console(),
    )
