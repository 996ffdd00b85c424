"""The proof of an export: it answers as the bundle does, for images that the model was not trained on, from raw files.

The images are those that the run held out, or others that are given, or, where the run's own are gone, the few golden
samples of the bundle. The export is asked by its own program in a fresh process, and the bundle as `tlkit predict` asks
it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.data.images import LOADER_VERSION
from tlkit.errors import NumericsError, RunError
from tlkit.exports.asking import Question, ask_export
from tlkit.exports.base import Export, name_folder
from tlkit.exports.comparison import Comparison, Reference, compare
from tlkit.inference.picture_masks import recover_picture_mask, stack_masks
from tlkit.inference.scoring import Scores, load_record, recover, recover_detections, score_records, split_rows
from tlkit.inference.task_report import list_targets
from tlkit.metadata.columns import IMAGE_FACTS
from tlkit.metadata.encoding import MetadataEncoding, NumberColumn
from tlkit.models.predictor import Predictor
from tlkit.models.spec import BundleSpec
from tlkit.models.storage import GOLDEN_FILE, find_bundle, read_description
from tlkit.models.tensors import open_tensors
from tlkit.recipes import DataSettings
from tlkit.reports.console import Console
from tlkit.runs.evaluation_set import find_run_folder, read_images_to_evaluate
from tlkit.tasks import find_task

if TYPE_CHECKING:
    from tlkit.exports.shipped import ShippedModel

NUM_MAPS = 8
NO_SUCH_VALUE = "\ufffd"


@dataclass(frozen=True)
class Proof:
    """The proof of one exported model.

    Attributes:
        name: Name of its folder, such as onnx-float32.
        export: The format.
        precision: The precision.
        num_bytes: Size of the exported files.
        comparison: Its answers beside the bundle's.
        fault: Why it is not good enough, as a clause; empty if it is.
    """

    name: str
    export: Export
    precision: str
    num_bytes: int
    comparison: Comparison
    fault: str

    def row(self) -> tuple[str, ...]:
        """Return the cells of a printed table: name, size, difference, agreement, score, change, time, verdict."""
        found = self.comparison
        return (
            self.name,
            f"{self.num_bytes / 1e6:.1f} MB",
            f"{found.largest_difference:.1g}",
            "-" if found.same_answer is None else f"{found.same_answer:.1%}",
            "-" if found.score is None else found.score.in_brief(),
            "-" if found.gain is None else found.gain.in_brief("{:+.3f}".format),
            f"{found.latency_ms:.1f}",
            "no" if self.fault else "yes",
        )

    def to_payload(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {
            "name": self.name,
            "format": self.export.name,
            "precision": self.precision,
            "bytes": self.num_bytes,
            "agrees": not self.fault,
            "fault": self.fault,
            **self.comparison.to_payload(),
        }


@contextmanager
def read_reference(
    run: Path, data: Path | None, predictor: Predictor, *, settings: DataSettings, console: Console
) -> Iterator[Reference]:
    """Ask the bundle about the images of the proof; within the block, all of them are files.

    Args:
        run: A run folder, or a bundle folder.
        data: Labelled images; None for those that the run held out.
        predictor: The bundle's model.
        settings: How `data` is read.
        console: Shows progress and notices.

    Raises:
        DataError: `data` holds no images that the model can be asked about.
        RunError: None of them can be read.
    """
    if data is None and find_run_folder(run) is None:
        console.warn(
            f"{run} is a bundle without its run: only its golden samples can be compared. --data gives images."
        )
    else:
        images = read_images_to_evaluate(run, data, predictor.spec, split=None, settings=settings, console=console)
        with console.progress("Asking the bundle", len(images.records)) as advance:
            scores = score_records(predictor, images.records, advance=advance)
        if scores.records:
            if scores.failures:
                console.warn(f"{len(scores.failures):,} images cannot be read any more and are left out.")
            yield _make_reference(scores, predictor.spec, images.source)
            return
        if data is not None:
            raise RunError(
                f"None of the {len(images.records):,} images of {data} can be read.",
                expected="images unchanged since they were checked",
                fix="check the folder.",
            )
        console.warn(
            "The run's own images are gone: only the golden samples of its bundle can be compared. --data gives others."
        )
    with TemporaryDirectory() as scratch:
        yield _read_golden(run, predictor, Path(scratch))


def prove(
    model: ShippedModel,
    reference: Reference,
    out: Path,
    folder: Path,
    export: Export,
    precision: str,
    *,
    console: Console,
) -> tuple[Comparison, str]:
    """Ask an exported model about the images, and compare its answers with the bundle's.

    Args:
        model: What it was written from.
        reference: The bundle's answers.
        out: Folder of the export.
        folder: Folder of the model.
        export: The format.
        precision: The precision.
        console: Shows progress.

    Returns:
        The comparison, and why there is none, if the model cannot be read or run.
    """
    questions = reference.questions
    try:
        with console.progress(f"Proving {name_folder(export, precision)}", len(questions)) as advance:
            rows = ask_export(out, export, folder, questions, num_maps=NUM_MAPS, advance=advance)
    except NumericsError as error:
        return Comparison(len(questions), "", np.nan, np.nan), error.found
    return compare(model.spec, reference, rows, _compute_maps(model, reference)), ""


def _compute_maps(model: ShippedModel, reference: Reference) -> Sequence[Any]:
    """Return maps or cells of the first images, or boxes and scores at their places, as Keras computes them."""
    for name in ("map", "cells"):
        if name in model.output_names:
            return list(model.compute(reference.pixels)[name])
    if "boxes" in model.output_names:
        found = model.compute(reference.pixels)
        return list(zip(found["boxes"], found["scores"], strict=True))
    return ()


def _make_reference(scores: Scores, spec: BundleSpec, source: str) -> Reference:
    names = spec.metadata.names
    texts = [
        {name: text for name, text in zip(names, record.metadata, strict=True) if name not in IMAGE_FACTS}
        for record in scores.records
    ]
    targets = find_task(spec.task).encode_targets(list_targets(spec, scores.records), len(spec.class_names))
    return Reference(
        source,
        [Question(record.path, each) for record, each in zip(scores.records, texts, strict=True)],
        scores.answers,
        [(record.height, record.width) for record in scores.records],
        scores.boxes,
        scores.distances,
        targets,
        [record.box for record in scores.records],
        np.stack([load_record(record, spec) for record in scores.records[:NUM_MAPS]]),
    )


def _read_golden(run: Path, predictor: Predictor, scratch: Path) -> Reference:
    """Return the golden samples, written as images of the input's size."""
    spec = predictor.spec
    folder = find_bundle(run)
    _, hashes = read_description(folder, loader_version=LOADER_VERSION)
    with open_tensors(folder / GOLDEN_FILE) as file:
        golden = dict(file.read(hashes[GOLDEN_FILE]))
    texts = decode_metadata(spec.metadata, golden.get("metadata", np.zeros((len(golden["images"]), 0), np.float32)))
    questions = []
    for number, pixels in enumerate(golden["images"]):
        path = scratch / f"{number}.png"
        Image.fromarray(pixels).save(path)
        questions.append(Question(path, texts[number]))
    rows = split_rows(predictor.predict(golden["images"], golden.get("metadata")), spec)
    boxes = None if rows.boxes is None else [recover(box, spec.image_size, spec) for box in rows.boxes]
    sizes = [spec.image_size] * len(questions)
    answers: NDArray[Any] = rows.answers
    task = find_task(spec.task)
    if task.has_masks:
        answers = stack_masks([recover_picture_mask(each, spec.image_size, spec) for each in answers])
    elif task.has_objects:
        answers = recover_detections(answers, sizes, spec)
    source = (
        "a golden sample of the bundle" if len(questions) == 1 else f"{len(questions)} golden samples of the bundle"
    )
    return Reference(source, questions, answers, sizes, boxes, rows.distances, pixels=golden["images"][:NUM_MAPS])


def decode_metadata(encoding: MetadataEncoding, rows: NDArray[np.float32]) -> list[dict[str, str]]:
    """Return texts that are encoded as these rows, float32 (n, width), by column."""
    decoded: list[dict[str, str]] = [{} for _ in rows]
    start = 0
    for column in encoding.columns:
        part = rows[:, start : start + column.width].astype(np.float64)
        start += column.width
        for texts, row in zip(decoded, part, strict=True):
            if isinstance(column, NumberColumn):
                texts[column.name] = "" if row[1] else repr(float(row[0]) * column.scale + column.mean)
            else:
                texts[column.name] = (*column.values, NO_SUCH_VALUE, "")[int(row.argmax())]
    return decoded
