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

from tlkit.bundle import BundleSpec, read_spec
from tlkit.data.file_walk import OUTPUT_MARKER
from tlkit.data.images import LOADER_VERSION, UnusableImage, read_content, read_picture, read_upright_size
from tlkit.data.sources import find_images
from tlkit.errors import SettingError
from tlkit.features.extract import run_batches
from tlkit.outputs import Box
from tlkit.reports.captions import caption_classes
from tlkit.reports.console import Console
from tlkit.reports.output_folder import check_output_folder, check_outside, make_output_folder
from tlkit.reports.overlays import LONGEST_EDGE_PX, OverlayFolder
from tlkit.reports.predictions import (
    BOX_COLUMNS,
    Prediction,
    PredictionColumns,
    PredictionWriter,
    check_predictions_path,
    open_predictions,
    rank_classes,
)
from tlkit.reports.sorting import ClassFolders
from tlkit.runtime import start_keras
from tlkit.workflows.scoring import BATCH_SIZE, count_files, load_pixels, recover

if TYPE_CHECKING:
    from tlkit.bundle import Classifier

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
    batch_size: int = BATCH_SIZE,
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
        batch_size: Images in a batch; another than training's may change the last bits.

    Raises:
        BundleError: The model is missing, damaged or foreign.
        DataError: The sources hold no image.
        SettingError: The ending of `out` names no format, or two outputs share a folder.
        RunError: An output folder is in the way of something.
    """
    spec = read_spec(run, loader_version=LOADER_VERSION)
    _check_outputs(outputs, sources)
    paths = find_images(sources, stdin)
    start_keras()
    from tlkit.bundle import read_bundle

    classifier = read_bundle(run, loader_version=LOADER_VERSION)

    start = time.perf_counter()
    counts: Counter[str] = Counter()
    collected = _CollectedRows()
    copies = _Copies(outputs, spec, console)
    with ExitStack() as stack:
        writer: PredictionWriter = collected
        if outputs.out or not console.json:
            columns = PredictionColumns(top_k=min(top_k, len(spec.class_names)), with_box=spec.has_box)
            writer = stack.enter_context(open_predictions(outputs.out or stdout, columns))
        advance = stack.enter_context(console.progress("Predicting", len(paths)))
        for path, prediction in predict_files(classifier, paths, top_k=top_k, batch_size=batch_size):
            writer.write(prediction)
            if prediction.ranked:
                counts[prediction.ranked[0][0]] += 1
                copies.write(path, prediction)
            advance(1)

    payload = _describe(run, len(paths), counts, spec, time.perf_counter() - start)
    if writer is collected:
        payload["predictions"] = collected.rows
    _tell(payload, outputs, console)
    return payload


def predict_files(
    classifier: Classifier, paths: Sequence[Path], *, top_k: int, batch_size: int = BATCH_SIZE
) -> Iterator[tuple[Path, Prediction]]:
    """Yield each path with its prediction, in order; a file that gives no picture has an error instead of classes."""
    spec = classifier.spec
    for batch in run_batches(
        enumerate(paths), lambda item: load_pixels(item[1], spec), classifier.predict, batch_size=batch_size
    ):
        rows = [
            (item, _predict_one(item[1], row, spec, top_k))
            for item, row in zip(batch.items, batch.outputs, strict=True)
        ]
        rows += [(item, Prediction(str(item[1]), error=reason)) for item, reason in batch.failures]
        for (_, path), prediction in sorted(rows, key=lambda row: row[0][0]):
            yield path, prediction


def _predict_one(path: Path, row: NDArray[np.float32], spec: BundleSpec, top_k: int) -> Prediction:
    """Return the prediction of a file from the model's row."""
    num_classes = len(spec.class_names)
    ranked = rank_classes(row[:num_classes], spec.class_names, top_k)
    box = recover(row[num_classes:], read_upright_size(read_content(path)), spec) if spec.has_box else None
    return Prediction(str(path), ranked, box)


class _CollectedRows:
    """Keeps the rows for the JSON result."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def write(self, prediction: Prediction) -> None:
        classes = [{"class_name": name, "probability": probability} for name, probability in prediction.ranked]
        row: dict[str, Any] = {"path": prediction.path, "classes": classes, "error": prediction.error or None}
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
        self._overlays: OverlayFolder | None = None
        self._class_folders: ClassFolders | None = None
        self._console = console
        if outputs.overlay:
            make_output_folder(outputs.overlay, kind=OVERLAYS, marker=OUTPUT_MARKER)
            self._overlays = OverlayFolder(outputs.overlay)
        if outputs.sort_into:
            make_output_folder(outputs.sort_into, kind=SORTED_IMAGES, marker=OUTPUT_MARKER)
            self._class_folders = ClassFolders(outputs.sort_into, spec.class_names)

    def write(self, path: Path, prediction: Prediction) -> None:
        try:
            if self._overlays:
                # A JPEG is decoded at twice the target or more.
                picture = read_picture(read_content(path), target=(LONGEST_EDGE_PX // 2, LONGEST_EDGE_PX // 2))
                self._overlays.write(path, picture, caption_classes(prediction.ranked), _in_fractions(path, prediction))
            if self._class_folders:
                self._class_folders.copy(path, prediction.ranked[0][0])
        except (UnusableImage, FileNotFoundError) as error:
            self._console.warn(f"{path} was classified, but could not be copied: {error}.")


def _check_outputs(outputs: PredictOutputs, sources: Sequence[str]) -> None:
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


def _describe(run: Path, num_files: int, counts: Counter[str], spec: BundleSpec, seconds: float) -> dict[str, Any]:
    return {
        "run": run,
        "images": num_files,
        "errors": num_files - counts.total(),
        "classes": {name: counts[name] for name in spec.class_names},
        "seconds": round(seconds, 3),
        "images_per_second": round(num_files / seconds, 3),
    }


def _tell(payload: dict[str, Any], outputs: PredictOutputs, console: Console) -> None:
    """Say how it went; on standard output only where that is not taken by the rows."""
    if payload["errors"]:
        console.warn(f"{payload['errors']:,} of {count_files(payload['images'])} could not be read; the rows say why.")
    if not (outputs.out or console.json):
        return
    rows = [(name, f"{count:,}") for name, count in payload["classes"].items() if count]
    console.table("Answers", ("class", "images"), rows)
    for label, place in (("Predictions", outputs.out), ("Overlays", outputs.overlay), ("Sorted", outputs.sort_into)):
        if place:
            console.say(f"{label}: {place}")
