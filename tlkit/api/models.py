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
from tlkit.api.several_devices import read_devices
from tlkit.reports.console import Console

if TYPE_CHECKING:
    from tlkit.api.model import Model

__all__ = ["drift", "evaluate", "explain_images", "load", "predict", "suggest"]


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
    overlay: Place | None = None,
    sort_into: Place | None = None,
    top_k: int = 3,
    min_probability: float | None = None,
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
        overlay: Folder for copies with the prediction drawn on them.
        sort_into: Folder for copies in one folder per class.
        top_k: Number of ranked classes for each image.
        min_probability: Predictions with a lower probability, 0..1, are flagged as uncertain.
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
        The number of `images`, `errors` and `unknown` images, the number of predictions per class, `seconds`, and,
        without `out` and `stdout`, the `predictions`.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    from tlkit.commands.predict import PredictOptions, PredictOutputs, run_predict

    if console is None:
        console = Console(verbosity=-1, json=stdout is None)
    options = PredictOptions(
        top_k=top_k,
        min_probability=min_probability,
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
    with written(console, "predictions.csv", out=out, overlay=overlay, sort_into=sort_into) as paths:
        outputs = PredictOutputs(**paths)
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


def suggest(
    run: Place,
    *sources: Place,
    number: int = 20,
    out: Place | None = None,
    seed: int = 0,
    table: Place | None = None,
    image_column: str | None = None,
    engine: str = "auto",
    precision: str = "float32",
    console: Console | None = None,
) -> Result:
    """Suggest which unlabelled images to label next: `tlkit suggest`.

    Args:
        run: A run folder, or the bundle in it.
        sources: Folders, globs or files of unlabelled images. Images that the run has are left out.
        number: Images to suggest, at least 1.
        out: Folder for suggestions.csv and suggestions.html; None: in `suggestions/`, named after the images.
        seed: Seed of the choice and of the replay.
        table: As in `predict`.
        image_column: As in `predict`.
        engine: As in `predict`.
        precision: As in `predict`.
        console: As in `predict`.

    Returns:
        The `suggestions`, first one first, each with `rank`, `path`, `predicted`, `probability` and `reason`; and the
        `replay` on the run's labelled images, with its `verdict` (gain, no gain, loss or unclear) and the `gain` over random
        images, or None with too few labelled images.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    from tlkit.commands.suggest import SuggestOptions, run_suggest

    options = SuggestOptions(as_path(out), seed, engine, precision, fetch(table, console), image_column, number)
    console = console or quiet_console()
    return run_suggest(fetch_run(run, console), fetch_sources(sources, console), options, console=console)


def drift(
    run: Place,
    *sources: Place,
    out: Place | None = None,
    seed: int = 0,
    table: Place | None = None,
    image_column: str | None = None,
    engine: str = "auto",
    precision: str = "float32",
    console: Console | None = None,
) -> Result:
    """Compare new images with those of a run, and estimate the score on them: `tlkit drift`.

    Args:
        run: A run folder, or the bundle in it.
        sources: Folders, globs or files of new images, without labels. Images that the run has are left out.
        out: Folder for drift.csv and drift.html; None: in `drift/`, named after the images.
        seed: Seed of samples, permutations and resamples.
        table: As in `predict`.
        image_column: As in `predict`.
        engine: As in `predict`.
        precision: As in `predict`.
        console: As in `predict`.

    Returns:
        The `expected` score on the new images and the one `measured` on the run's held-out images, each with its
        interval, and whether the first is `too_wide` to be of use; how far the `features` and the `looks` differ; the
        `novelty` of each image, 0..1; the part that is `unknown`; the `cameras` and `answers`; and the paths to
        `look_first` at. With fewer than five new images, `expected` and `features` are None and `looks` is empty.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    from tlkit.commands.drift import run_drift
    from tlkit.runs.new_images import ComparisonOptions

    options = ComparisonOptions(as_path(out), seed, engine, precision, fetch(table, console), image_column)
    return run_drift(
        fetch_run(run, console), fetch_sources(sources, console), options, console=console or quiet_console()
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
        table: Table with the metadata that the model takes beside the images.
        image_column: Its column of paths; None: found by its name.
        console: Tells the story; None: only warnings are printed.

    Returns:
        The `page`, and for each of the `photos` its `explanations`, each with its `map`, the mean output while the
        evidence is covered (`deletion`) and while other places are (`deletion_by_guess`), and the `nearest` training
        photos.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    from tlkit.commands.explain import ExplainOptions, run_explain
    from tlkit.explain.channels import read_channels

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
