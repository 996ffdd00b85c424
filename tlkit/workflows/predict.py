"""Classify image files with a trained model, one row for every file, in the order of the files."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

import numpy as np
from numpy.typing import NDArray

from tlkit.bundle import BundleSpec, Predictor, open_classifier, read_spec
from tlkit.data.file_walk import OUTPUT_MARKER
from tlkit.data.images import LOADER_VERSION, UnusableImage, read_content, read_picture, read_upright_size
from tlkit.data.metadata_source import MetadataSource
from tlkit.data.sources import find_images
from tlkit.data.views import ViewPlan
from tlkit.errors import SettingError
from tlkit.features.extract import Loaded, LoadFailure
from tlkit.outputs import CLASSIFICATION, MULTILABEL, Box, format_value
from tlkit.reports.console import Console
from tlkit.reports.output_folder import check_output_folder, check_outside, make_output_folder
from tlkit.reports.predictions import (
    BOX_COLUMNS,
    Prediction,
    PredictionWriter,
    check_predictions_path,
    open_predictions,
)
from tlkit.reports.sorting import ClassFolders
from tlkit.workflows.answering import choose_prediction_columns, make_prediction, write_caption
from tlkit.workflows.scoring import PICTURE_ITSELF, answer_items, count_files, load_view, recover, split_rows

if TYPE_CHECKING:
    from tlkit.reports.overlays import OverlayFolder

OVERLAYS = "overlays"
SORTED_IMAGES = "sorted images"


@dataclass(frozen=True)
class PredictOutputs:
    """Where the answers go: `out` a file of rows (None: CSV on standard output), the others folders, if wanted."""

    out: Path | None = None
    overlay: Path | None = None
    sort_into: Path | None = None


def run_predict(
    run: Path,
    sources: Sequence[str],
    outputs: PredictOutputs,
    *,
    console: Console,
    stdin: TextIO,
    stdout: BinaryIO,
    top_k: int = 3,
    views: ViewPlan = PICTURE_ITSELF,
    engine: str = "auto",
    precision: str = "float32",
    batch_size: int | None = None,
    table: Path | None = None,
    image_column: str = "",
) -> dict[str, Any]:
    """Classify files and return the result for scripts.

    Args:
        run: A run folder or a bundle folder.
        sources: Folders, globs, files, or "-" for paths on `stdin`.
        outputs: Where the answers go.
        console: Tells the story; under its `json` the rows of a run without `outputs.out` are part of the result.
        stdin: Gives one path a line.
        stdout: Gets the rows as CSV if they have no other place.
        top_k: Classes named for each image, at least 1.
        views: The views of each picture whose answers are averaged.
        engine: auto, keras or openvino: see `tlkit.bundle.open_classifier`.
        precision: float32, or bfloat16 with OpenVINO.
        batch_size: Images in a batch of Keras; another than training's may change the last bits.
        table: Holds the metadata that the model takes beside the images.
        image_column: Its column of paths; empty: found by its name.

    Raises:
        BundleError: The model is missing, damaged or foreign.
        DataError: The sources hold no image.
        BackboneError: OpenVINO is asked for and not installed.
        SettingError: The ending of `out` names no format, two outputs share a folder, metadata are missing, or a setting
            does not go with the engine.
        RunError: An output folder is in the way of something.
    """
    spec = read_spec(run, loader_version=LOADER_VERSION)
    _check_outputs(outputs, sources, spec)
    metadata = MetadataSource(spec.metadata.names, table, image_column=image_column)
    paths = find_images(sources, stdin)
    classifier = open_classifier(
        run, loader_version=LOADER_VERSION, engine=engine, precision=precision, batch_size=batch_size
    )

    start = time.perf_counter()
    tally = _Tally(spec)
    collected = _CollectedRows()
    copies = _Copies(outputs, spec, console)
    with ExitStack() as stack:
        writer: PredictionWriter = collected
        if outputs.out or not console.json:
            columns = choose_prediction_columns(spec, top_k=top_k)
            writer = stack.enter_context(open_predictions(outputs.out or stdout, columns))
        advance = stack.enter_context(console.progress("Predicting", len(paths)))
        for path, prediction in predict_files(classifier, paths, metadata, top_k=top_k, views=views):
            writer.write(prediction)
            tally.add(prediction)
            if not prediction.error:
                copies.write(path, prediction)
            advance(1)

    seconds = time.perf_counter() - start
    payload = {
        "run": run,
        "images": len(paths),
        "views": views.num_views,
        **tally.describe(),
        "seconds": round(seconds, 3),
        "images_per_second": round(len(paths) / seconds, 3),
    }
    if writer is collected:
        payload["predictions"] = collected.rows
    _tell(payload, outputs, console)
    return payload


def predict_files(
    classifier: Predictor,
    paths: Sequence[Path],
    metadata: MetadataSource,
    *,
    top_k: int,
    views: ViewPlan = PICTURE_ITSELF,
) -> Iterator[tuple[Path, Prediction]]:
    """Yield each path with its prediction, in order; a file that gives no picture has an error instead of an answer."""
    spec = classifier.spec

    def load(path: Path, index: int) -> Loaded:
        pixels = load_view(path, spec, views, index)
        texts = metadata.find(path)
        if texts is None:
            raise LoadFailure(f"no row of it in {metadata.table_name}")
        return pixels, spec.metadata.encode([texts])[0]

    for path, row in answer_items(classifier, paths, load, num_views=views.num_views):
        if isinstance(row, LoadFailure):
            yield path, Prediction(str(path), error=row.reason)
        else:
            yield path, _tell_row(path, row, spec, top_k=top_k)


def _tell_row(path: Path, row: NDArray[np.float32], spec: BundleSpec, *, top_k: int) -> Prediction:
    said = split_rows(row[np.newaxis], spec)
    box = None
    if said.boxes is not None:
        box = recover(said.boxes[0], read_upright_size(read_content(path)), spec)
    distance = None if said.distances is None else said.distances[0]
    return make_prediction(str(path), said.answers[0], box, distance, spec, top_k=top_k)


class _Tally:
    """Counts answers: images by class or label, or the values' range."""

    def __init__(self, spec: BundleSpec) -> None:
        self._spec = spec
        self._counts: Counter[str] = Counter()
        self._values: list[float] = []
        self._errors = 0
        self._unknown = 0

    def add(self, prediction: Prediction) -> None:
        if prediction.error:
            self._errors += 1
            return
        self._unknown += prediction.is_unknown
        if prediction.value is not None:
            self._values.append(prediction.value)
        else:
            self._counts.update(prediction.ranked[0][:1] if prediction.labels is None else prediction.labels)

    def describe(self) -> dict[str, Any]:
        """Return `errors`, `unknown`, and `classes`, `labels` or `values`."""
        if self._spec.target is not None:
            quantiles = np.quantile(self._values, [0, 0.5, 1]).tolist() if self._values else [None] * 3
            said = {"values": dict(zip(("lowest", "median", "highest"), quantiles, strict=True))}
        else:
            counts = {name: self._counts[name] for name in self._spec.class_names}
            said = {"labels" if self._spec.task == MULTILABEL else "classes": counts}
        return {"errors": self._errors, "unknown": self._unknown, **said}


class _CollectedRows:
    """Keeps the rows for the JSON result."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def write(self, prediction: Prediction) -> None:
        row: dict[str, Any] = {"path": prediction.path}
        if prediction.value is not None:
            row["value"] = prediction.value
        else:
            ranked = prediction.ranked
            row["classes"] = [{"class_name": name, "probability": probability} for name, probability in ranked]
        if prediction.labels is not None:
            row["labels"] = prediction.labels
        row["error"] = prediction.error or None
        if prediction.distance is not None:
            row |= {"unknown": prediction.is_unknown, "distance": prediction.distance}
        if prediction.box is not None:
            row["box"] = dict(zip(BOX_COLUMNS, prediction.box, strict=True))
        self.rows.append(row)


def _in_fractions(path: Path, prediction: Prediction) -> Box | None:
    """Return a prediction's box in fractions of the picture."""
    if prediction.box is None:
        return None
    height, width = read_upright_size(read_content(path))
    left, top, right, bottom = prediction.box
    return left / width, top / height, right / width, bottom / height


class _Copies:
    """What becomes of a picture that has an answer: an overlay, a copy in its class's folder, or nothing."""

    def __init__(self, outputs: PredictOutputs, spec: BundleSpec, console: Console) -> None:
        self._spec = spec
        self._overlays: OverlayFolder | None = None
        self._class_folders: ClassFolders | None = None
        self._console = console
        if outputs.overlay:
            from tlkit.reports.overlays import OverlayFolder

            make_output_folder(outputs.overlay, kind=OVERLAYS, marker=OUTPUT_MARKER)
            self._overlays = OverlayFolder(outputs.overlay)
        if outputs.sort_into:
            make_output_folder(outputs.sort_into, kind=SORTED_IMAGES, marker=OUTPUT_MARKER)
            self._class_folders = ClassFolders(outputs.sort_into, spec.class_names)

    def write(self, path: Path, prediction: Prediction) -> None:
        try:
            if self._overlays:
                picture = read_picture(read_content(path), target=self._overlays.target_px)
                caption = write_caption(prediction, self._spec)
                self._overlays.write(path, picture, caption, _in_fractions(path, prediction))
            if self._class_folders:
                self._class_folders.copy(path, prediction.ranked[0][0])
        except (UnusableImage, FileNotFoundError) as error:
            self._console.warn(f"{path} was classified, but could not be copied: {error}.")


def _check_outputs(outputs: PredictOutputs, sources: Sequence[str], spec: BundleSpec) -> None:
    if outputs.sort_into and spec.task != CLASSIFICATION:
        raise SettingError(
            f"--sort-into {outputs.sort_into}: the model does not say one class of an image, its task is {spec.task}.",
            expected="--sort-into only with classes",
            fix="leave out --sort-into.",
        )
    data_folders = [Path(source) for source in sources if source != "-" and Path(source).is_dir()]
    if outputs.out:
        check_predictions_path(outputs.out)
        check_outside(outputs.out, option="--out", data_folders=data_folders)
    for option, folder, kind in (
        ("--overlay", outputs.overlay, OVERLAYS),
        ("--sort-into", outputs.sort_into, SORTED_IMAGES),
    ):
        if folder:
            check_output_folder(folder, option=option, kind=kind, marker=OUTPUT_MARKER, data_folders=data_folders)
    if outputs.overlay and outputs.sort_into and outputs.overlay.resolve() == outputs.sort_into.resolve():
        raise SettingError(
            f"--overlay and --sort-into are both {outputs.overlay}.",
            expected="a folder for the overlays and another for the sorted images",
            fix=f"--overlay {outputs.overlay}-overlays",
        )


def _tell(payload: dict[str, Any], outputs: PredictOutputs, console: Console) -> None:
    """Say how it went; on standard output only where that is not taken by the rows."""
    if payload["errors"]:
        console.warn(f"{payload['errors']:,} of {count_files(payload['images'])} could not be read; the rows say why.")
    if payload["unknown"]:
        console.warn(
            f"{payload['unknown']:,} of {count_files(payload['images'])} are unlike the training images "
            "(column `unknown`): their answers mean little."
        )
    if not (outputs.out or console.json):
        return
    if "values" in payload:
        rows = [(name, "-" if value is None else format_value(value)) for name, value in payload["values"].items()]
        console.table("Answers", ("", "value"), rows)
    else:
        kind = "labels" if "labels" in payload else "classes"
        rows = [(name, f"{count:,}") for name, count in payload[kind].items() if count]
        console.table("Answers", ("label" if kind == "labels" else "class", "images"), rows)
    for label, place in (("Predictions", outputs.out), ("Overlays", outputs.overlay), ("Sorted", outputs.sort_into)):
        if place:
            console.say(f"{label}: {place}")
