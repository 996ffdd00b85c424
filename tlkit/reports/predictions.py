"""Write predictions row by row, as CSV, JSON lines or Parquet.

All three have the same columns, which follow from a `PredictionColumns`. Rows of text reach the disk as they come; those
of Parquet in groups, and the file can be read only when it is closed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from tlkit.errors import SettingError
from tlkit.files import format_csv_row
from tlkit.outputs import CLASSIFICATION, LABEL_SEPARATOR, MULTILABEL, REGRESSION, Box
from tlkit.reports.row_file import growing_file, write_line

SUFFIXES = (".csv", ".jsonl", ".parquet")
ROWS_IN_A_GROUP = 10_000
BOX_COLUMNS = ("left", "top", "right", "bottom")
UNKNOWN, UNCERTAIN = "unknown", "uncertain"
"""What an answer is flagged as: the picture is unlike the training images, or no class is probable enough."""
DISTANCE_COLUMNS = (UNKNOWN, "distance")
TRUE_PROBABILITY_COLUMN = "true_class_probability"
TRUTH_COLUMNS = {CLASSIFICATION: "true_class_name", MULTILABEL: "true_labels", REGRESSION: "true_value"}
TEXT, SINGLE, DOUBLE = "text", "single", "double"


@dataclass(frozen=True)
class PredictionColumns:
    """What a file of predictions tells of each image: first its path, last why there is no prediction, if so.

    Between them stand, as far as wanted: the truth; the names of the labels, joined by `|`, or the value; class_name,
    probability, class_name_2, probability_2 and so on down to the k-th most probable; uncertain (yes or no); left, top,
    right, bottom; unknown (yes or no) and distance.

    Attributes:
        task: One of `tlkit.outputs.TASKS`.
        top_k: How many classes or labels a row ranks, at least 1; not used for values.
        value_name: What the values are called: their column, or "predicted_" and it where another column is called so.
        with_truth: Whether there are the columns true_class_name and true_class_probability, true_labels, or true_value.
        with_uncertain: Whether it is told which classes are less probable than they should be.
        with_box: Whether there are the columns of a box.
        with_distance: Whether it is told how unlike the training images a picture is.
    """

    task: str = CLASSIFICATION
    top_k: int = 1
    value_name: str = "value"
    with_truth: bool = False
    with_uncertain: bool = False
    with_box: bool = False
    with_distance: bool = False

    @property
    def value_column(self) -> str:
        """The name of the column with the predicted value."""
        is_taken = self.value_name.casefold() in {
            "path",
            TRUTH_COLUMNS[REGRESSION],
            *BOX_COLUMNS,
            *DISTANCE_COLUMNS,
            "error",
        }
        return f"predicted_{self.value_name}" if is_taken else self.value_name

    def kinds(self) -> dict[str, str]:
        """Return the columns by name, in order, each with its kind: TEXT, SINGLE or DOUBLE for float32 and float64."""
        kinds = {"path": TEXT}
        if self.with_truth:
            kinds[TRUTH_COLUMNS[self.task]] = DOUBLE if self.task == REGRESSION else TEXT
            if self.task == CLASSIFICATION:
                kinds[TRUE_PROBABILITY_COLUMN] = SINGLE
        if self.task == REGRESSION:
            kinds[self.value_column] = DOUBLE
        else:
            if self.task == MULTILABEL:
                kinds["labels"] = TEXT
            for rank in range(1, self.top_k + 1):
                kinds |= dict(zip(_ranked_columns(rank), (TEXT, SINGLE), strict=True))
        if self.with_uncertain:
            kinds[UNCERTAIN] = TEXT
        if self.with_box:
            kinds |= dict.fromkeys(BOX_COLUMNS, SINGLE)
        if self.with_distance:
            kinds |= dict(zip(DISTANCE_COLUMNS, (TEXT, SINGLE), strict=True))
        return {**kinds, "error": TEXT}

    def names(self) -> tuple[str, ...]:
        """Return the columns' names, in order."""
        return tuple(self.kinds())


@dataclass(frozen=True)
class Prediction:
    """What the model says about one file.

    Attributes:
        path: The file.
        ranked: (class or label name, probability 0..1), the most probable first; empty where `error` says why, and for
            values.
        box: left, top, right, bottom in pixels of the upright picture, if the model has learnt boxes.
        error: Why there is no prediction.
        value: The predicted value, if values were learnt.
        labels: The names of the labels at or above their threshold, if labels were learnt; there may be none.
        distance: From the training images, 0..1, if the model measures it.
        is_unknown: Whether that is farther than nearly all pictures like the training images are.
        is_uncertain: Whether the most probable class is less probable than was asked for; None if nothing was asked.
        true_class_name: Known, like the next three, only where a labelled set is scored.
        true_probability: The probability, 0..1, that the true class was given.
        true_labels: The names of the labels that the image bears.
        true_value: Its true value.
    """

    path: str
    ranked: tuple[tuple[str, float], ...] = ()
    box: Box | None = None
    error: str = ""
    value: float | None = None
    labels: tuple[str, ...] | None = None
    distance: float | None = None
    is_unknown: bool = False
    is_uncertain: bool | None = None
    true_class_name: str = ""
    true_probability: float | None = None
    true_labels: tuple[str, ...] | None = None
    true_value: float | None = None

    @property
    def flag(self) -> str:
        """`unknown`, `uncertain`, or nothing where the answer can be taken as it is."""
        return UNKNOWN if self.is_unknown else UNCERTAIN if self.is_uncertain else ""


class PredictionWriter(Protocol):
    """Takes predictions one by one."""

    def write(self, prediction: Prediction) -> None:
        """Add one row."""


def rank_classes(
    probabilities: NDArray[np.floating[Any]], class_names: Sequence[str], top_k: int
) -> tuple[tuple[str, float], ...]:
    """Return the `top_k` most probable classes of one image, or all if there are fewer; of equals the first leads.

    Args:
        probabilities: Float (classes,), 0..1.
        class_names: The name of each class or label.
        top_k: At least 1.

    Returns:
        (class name, probability) pairs, the probability as `shorten_float32` gives it.
    """
    order = np.argsort(-probabilities, kind="stable")[:top_k]
    return tuple((class_names[label], shorten_float32(probabilities[label])) for label in order)


def shorten_float32(number: np.floating[Any]) -> float:
    """Return the float64 nearest to a float32's shortest decimal form.

    It prints as 0.83 and not as 0.8299999833106995; reading it back as float32 gives the same bits.
    """
    return float(str(np.float32(number)))


def check_predictions_path(path: Path) -> None:
    """Refuse a file name whose ending names no format that predictions are written in.

    Raises:
        SettingError: The suffix is not .csv, .jsonl or .parquet, or the path is a folder.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise SettingError(
            f"--out {path}: its ending {path.suffix} names no format." if path.suffix else f"--out {path}: no ending.",
            expected=f"a file that ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}",
            fix=f"--out {path.with_suffix('.csv')}",
        )
    if path.is_dir():
        raise SettingError(f"--out {path} is a folder.", expected="the name of a file", fix="choose another name.")


@contextmanager
def open_predictions(out: Path | BinaryIO, columns: PredictionColumns) -> Iterator[PredictionWriter]:
    """Yield a writer for predictions.

    Args:
        out: A path, its format chosen by its suffix, which is complete as soon as it exists: see
            `tlkit.reports.row_file`. Or an open binary stream, which gets CSV, row by row.
        columns: What each row tells.

    Raises:
        RunError: The file cannot be written; the rows so far are kept.
    """
    if not isinstance(out, Path):
        with _open_csv(out, columns) as writer:
            yield writer
        return
    opener = {".csv": _open_csv, ".jsonl": _open_json_lines, ".parquet": _open_parquet}[out.suffix.lower()]
    with growing_file(out) as file, opener(file, columns) as writer:
        yield writer


def _ranked_columns(rank: int) -> tuple[str, str]:
    ending = "" if rank == 1 else f"_{rank}"
    return f"class_name{ending}", f"probability{ending}"


def _row_values(prediction: Prediction, columns: PredictionColumns) -> dict[str, Any]:
    """Return the row by column, None where there is nothing to say."""
    values: dict[str, Any] = dict.fromkeys(columns.names())
    values |= {"path": prediction.path, "error": prediction.error or None}
    if columns.with_truth:
        values[TRUTH_COLUMNS[columns.task]] = {
            CLASSIFICATION: prediction.true_class_name,
            MULTILABEL: _join(prediction.true_labels),
            REGRESSION: prediction.true_value,
        }[columns.task]
    if TRUE_PROBABILITY_COLUMN in values:
        values[TRUE_PROBABILITY_COLUMN] = prediction.true_probability
    if columns.task == REGRESSION:
        values[columns.value_column] = prediction.value
    elif columns.task == MULTILABEL:
        values["labels"] = _join(prediction.labels)
    for rank, answer in enumerate(prediction.ranked, start=1):
        values |= zip(_ranked_columns(rank), answer, strict=True)
    if prediction.box is not None:
        values |= zip(BOX_COLUMNS, (round(edge, 2) for edge in prediction.box), strict=True)
    if prediction.is_uncertain is not None:
        values[UNCERTAIN] = _yes_or_no(prediction.is_uncertain)
    if prediction.distance is not None:
        values |= zip(DISTANCE_COLUMNS, (_yes_or_no(prediction.is_unknown), prediction.distance), strict=True)
    return values


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "no"


def _join(names: Sequence[str] | None) -> str | None:
    return None if names is None else LABEL_SEPARATOR.join(names)


@contextmanager
def _open_csv(file: BinaryIO, columns: PredictionColumns) -> Iterator[PredictionWriter]:
    def write(cells: Sequence[Any]) -> None:
        write_line(file, format_csv_row(cells).encode("utf-8", "surrogateescape"))

    write(columns.names())
    yield _RowByRow(columns, lambda values: write(list(values.values())))


@contextmanager
def _open_json_lines(file: BinaryIO, columns: PredictionColumns) -> Iterator[PredictionWriter]:
    def write(values: dict[str, Any]) -> None:
        # Bytes of a name that are no UTF-8 become escapes such as \udce9, which Python reads back as they were.
        write_line(file, json.dumps(values, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")

    yield _RowByRow(columns, write)


@contextmanager
def _open_parquet(file: BinaryIO, columns: PredictionColumns) -> Iterator[PredictionWriter]:
    """Yield a writer of row groups. What ends it early leaves a readable file, unless it kills the process."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {TEXT: pa.string(), SINGLE: pa.float32(), DOUBLE: pa.float64()}
    schema = pa.schema([(name, types[kind]) for name, kind in columns.kinds().items()])
    rows: list[dict[str, Any]] = []
    with pq.ParquetWriter(file, schema) as table:

        def add(values: dict[str, Any]) -> None:
            values["path"] = values["path"].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            rows.append(values)
            if len(rows) == ROWS_IN_A_GROUP:
                flush()

        def flush() -> None:
            group = pa.Table.from_pylist(rows, schema)
            rows.clear()  # first: after a failed write, the rows would be written again
            table.write_table(group)

        try:
            yield _RowByRow(columns, add)
        finally:
            flush()


class _RowByRow:
    """Turns predictions into rows and hands each to `add`."""

    def __init__(self, columns: PredictionColumns, add: Callable[[dict[str, Any]], object]) -> None:
        self._columns = columns
        self._add = add

    def write(self, prediction: Prediction) -> None:
        self._add(_row_values(prediction, self._columns))
