"""Turn a model's outputs into the rows of a file of predictions and the captions of overlays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from tlkit.data.manifest import ImageRecord, SkippedFile
from tlkit.errors import SettingError
from tlkit.inference.scoring import Scores
from tlkit.models.spec import BundleSpec
from tlkit.outputs import CLASSIFICATION, Box
from tlkit.places.copies import show_path
from tlkit.reports.captions import Caption, CaptionLine, caption_flagged, format_percent
from tlkit.reports.row_file import SINGLE, TEXT, RowWriter, open_rows
from tlkit.reports.row_log import open_row_log
from tlkit.tasks import find_task
from tlkit.tasks.predictions import BOX_COLUMNS, UNCERTAIN, UNKNOWN, Prediction, shorten_float32

MAX_CAPTION_LINES = 12
DISTANCE_COLUMNS = (UNKNOWN, "distance")


@dataclass(frozen=True)
class PredictionColumns:
    """The columns of a file of predictions: first the path, last the error if there is no prediction.

    Between them, as requested: the true target; the labels, joined by `|`, or the value; class_name, probability,
    class_name_2, probability_2 and so on up to top_k; uncertain (yes or no); left, top, right, bottom; unknown (yes or
    no) and distance. For detection there is a row for each object, and one for an image without: see `OBJECT_COLUMNS`.

    Attributes:
        task: One of `tlkit.outputs.TASKS`.
        top_k: Number of ranked classes or labels, at least 1; not used for values.
        value_name: Name of the values and of their column, which is prefixed by "predicted_" if the name is taken.
        with_targets: Whether to include true_class_name and true_class_probability, true_labels, or true_value.
        with_uncertain: Whether to include the flag for improbable classes.
        with_box: Whether to include the box.
        with_distance: Whether to include the distance from the training images.
    """

    task: str = CLASSIFICATION
    top_k: int = 1
    value_name: str = "value"
    with_targets: bool = False
    with_uncertain: bool = False
    with_box: bool = False
    with_distance: bool = False

    @property
    def value_column(self) -> str:
        """The name of the column with the predicted value."""
        is_taken = self.value_name.casefold() in {
            "path",
            find_task(self.task).target_column,
            *BOX_COLUMNS,
            *DISTANCE_COLUMNS,
            "error",
        }
        return f"predicted_{self.value_name}" if is_taken else self.value_name

    def kinds(self) -> dict[str, str]:
        """Return the columns by name, in order, each with its kind (`tlkit.reports.row_file`)."""
        task = find_task(self.task)
        return {
            "path": TEXT,
            **(task.target_columns() if self.with_targets else {}),
            **task.prediction_columns(top_k=self.top_k, value_column=self.value_column),
            **({UNCERTAIN: TEXT} if self.with_uncertain else {}),
            **(dict.fromkeys(BOX_COLUMNS, SINGLE) if self.with_box else {}),
            **(dict(zip(DISTANCE_COLUMNS, (TEXT, SINGLE), strict=True)) if self.with_distance else {}),
            "error": TEXT,
        }

    def names(self) -> tuple[str, ...]:
        """Return the columns' names, in order."""
        return tuple(self.kinds())

    def list_rows(self, prediction: Prediction) -> list[dict[str, Any]]:
        """Return the rows of an image by column, at least one; None for empty cells."""
        shared = self._share_values(prediction)
        rows = find_task(self.task).list_rows(prediction, value_column=self.value_column)
        return [shared | {name: cell for name, cell in cells.items() if name in shared} for cells in rows]

    def _share_values(self, prediction: Prediction) -> dict[str, Any]:
        """Return the cells that all rows of an image share."""
        values: dict[str, Any] = dict.fromkeys(self.names())
        values |= {"path": prediction.path, "error": prediction.error or None}
        if prediction.box is not None:
            values |= zip(BOX_COLUMNS, (round(edge, 2) for edge in prediction.box), strict=True)
        if prediction.is_uncertain is not None:
            values[UNCERTAIN] = _yes_or_no(prediction.is_uncertain)
        if prediction.distance is not None:
            values |= zip(DISTANCE_COLUMNS, (_yes_or_no(prediction.is_unknown), prediction.distance), strict=True)
        return values


class PredictionWriter(Protocol):
    """Writes predictions."""

    def write(self, prediction: Prediction) -> None:
        """Add what is predicted for one image."""


@contextmanager
def open_predictions(out: Path | BinaryIO, columns: PredictionColumns) -> Iterator[PredictionWriter]:
    """Yield a writer for predictions; see `tlkit.reports.row_file.open_rows`.

    Raises:
        RunError: The file cannot be written; the rows so far are kept.
    """
    with open_rows(out, columns.kinds()) as write:
        yield _ImageByImage(columns, write)


@contextmanager
def open_prediction_log(out: Path, columns: PredictionColumns) -> Iterator[tuple[PredictionWriter, frozenset[str]]]:
    """Yield a writer that adds to a file, and the paths that the file has rows for; see `open_row_log`.

    Raises:
        RunError: The file has other rows, or cannot be written.
    """
    with open_row_log(out, columns.names()) as log:
        yield _ImageByImage(columns, log.write), log.paths


class _ImageByImage:
    """Turns predictions into rows."""

    def __init__(self, columns: PredictionColumns, write: RowWriter) -> None:
        self._columns = columns
        self._write = write

    def write(self, prediction: Prediction) -> None:
        self._write(*self._columns.list_rows(prediction))


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "no"


def choose_prediction_columns(
    spec: BundleSpec, *, top_k: int, with_targets: bool = False, with_uncertain: bool = False
) -> PredictionColumns:
    """Return the columns for a model's predictions; `top_k` is at least 1."""
    return PredictionColumns(
        task=spec.task,
        top_k=min(top_k, max(1, len(spec.class_names))),
        value_name=spec.target.name if spec.target else "value",
        with_targets=with_targets,
        with_uncertain=with_uncertain,
        with_box=spec.has_box,
        with_distance=spec.measures_distance,
    )


def make_prediction(
    path: str,
    answer: NDArray[np.floating[Any]],
    box: Box | None,
    distance: np.floating[Any] | None,
    spec: BundleSpec,
    *,
    top_k: int,
    record: ImageRecord | None = None,
) -> Prediction:
    """Return the prediction for an image.

    Args:
        path: Path of the image, as written to the file.
        answer: Float (num_answers,): probabilities, 0..1, or a value in its own unit.
        box: In pixels of the upright image, if any.
        distance: Distance from the training images, 0..1, if measured.
        spec: The model's description.
        top_k: Number of ranked classes or labels.
        record: The image with its true target, if known.
    """
    far, is_unknown = None, False
    if distance is not None and spec.unknown_above is not None:
        far, is_unknown = shorten_float32(distance), bool(distance > spec.unknown_above)
    fields = find_task(spec.task).predict(answer, spec, top_k=top_k, answer=record.answer if record else None)
    return Prediction(path, box=box, distance=far, is_unknown=is_unknown, **fields)


def write_scored(path: Path, scores: Scores, spec: BundleSpec, *, top_k: int, skipped: Sequence[SkippedFile]) -> None:
    """Write what a model says of labelled images, with the truth, as a file of predictions.

    Args:
        path: The file.
        scores: What it says.
        spec: The model's.
        top_k: Classes or labels that are ranked.
        skipped: Files that could not be scored; they stand at the end.

    Raises:
        RunError: The file cannot be written.
    """
    columns = choose_prediction_columns(spec, top_k=top_k, with_targets=True)
    boxes = scores.boxes or [None] * len(scores.records)
    distances = [None] * len(scores.records) if scores.distances is None else scores.distances
    with open_predictions(path, columns) as writer:
        for record, answer, box, distance in zip(scores.records, scores.answers, boxes, distances, strict=True):
            row = make_prediction(
                show_path(record.path), answer, box, distance, spec, top_k=columns.top_k, record=record
            )
            writer.write(replace(row, upright_size=(record.height, record.width)))
        for item in skipped:
            writer.write(Prediction(show_path(item.path), error=item.reason))


def limit_scores(spec: BundleSpec, min_score: float | None) -> BundleSpec:
    """Return a description by which objects with lower scores than `min_score`, 0..1, are left out, if given.

    Raises:
        SettingError: The model finds no objects.
    """
    if min_score is None:
        return spec
    if not find_task(spec.task).lists_objects:
        raise SettingError(
            f"--min-score {min_score:g} has no effect: the model finds no objects: its task is {spec.task}.",
            expected="--min-score only with a model of the task detection",
            fix=f"--min-probability {min_score:g}, which marks improbable classes, or leave out --min-score.",
        )
    return replace(spec, thresholds=(min_score,) * len(spec.class_names))


def flag_uncertain(prediction: Prediction, min_probability: float | None) -> Prediction:
    """Return a prediction flagged as uncertain if its class is less probable than `min_probability`, if given."""
    if min_probability is None or not prediction.ranked:
        return prediction
    return replace(prediction, is_uncertain=prediction.ranked[0][1] < min_probability)


def write_caption(prediction: Prediction, spec: BundleSpec, *, min_probability: float | None = None) -> Caption:
    """Return the caption of an image, at most twelve lines."""
    caption = find_task(spec.task).write_caption(prediction, spec)
    if len(caption) > MAX_CAPTION_LINES:
        num_left = len(caption) - MAX_CAPTION_LINES + 1
        caption = [*caption[: MAX_CAPTION_LINES - 1], CaptionLine(f"and {num_left:,} more")]
    if prediction.flag == UNKNOWN:
        return caption_flagged(UNKNOWN, "unlike the training images", caption)
    if prediction.flag == UNCERTAIN:
        return caption_flagged(UNCERTAIN, f"below {format_percent(min_probability or 0)}", caption)
    return caption
