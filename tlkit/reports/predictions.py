"""Write predictions row by row, as CSV, JSON lines or Parquet.

All three have the same columns: path, class_name, probability, class_name_2, probability_2 and so on down to the k-th
most probable class, and error, which says why a file has no prediction. Rows leave memory as they come.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from tlkit.errors import SettingError
from tlkit.outputs import Box
from tlkit.reports.aside import open_text, written_aside

SUFFIXES = (".csv", ".jsonl", ".parquet")
ROWS_IN_A_GROUP = 10_000
BOX_COLUMNS = ("left", "top", "right", "bottom")


@dataclass(frozen=True)
class Prediction:
    """What the model says about one file.

    `ranked` holds (class name, probability 0..1), the most probable first; it is empty where `error` says why. `box` is
    left, top, right, bottom in pixels of the upright picture, if the model has learnt boxes. `true_class_name` is known
    only where a labelled set is scored.
    """

    path: str
    ranked: tuple[tuple[str, float], ...] = ()
    box: Box | None = None
    error: str = ""
    true_class_name: str = ""


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
        class_names: The name of each class.
        top_k: At least 1.

    Returns:
        (class name, probability) pairs. The probability is the float32 in its shortest decimal form, so that it prints
        as 0.83 and not as 0.8299999833106995; reading it back as float32 gives the same bits.
    """
    order = np.argsort(-probabilities, kind="stable")[:top_k]
    return tuple((class_names[label], float(str(np.float32(probabilities[label])))) for label in order)


def check_predictions_path(path: Path) -> None:
    """Refuse a file name whose ending names no format that predictions are written in.

    Raises:
        SettingError: The suffix is not .csv, .jsonl or .parquet, or the path is a folder.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise SettingError(
            f"--out {path}: its ending {path.suffix!r} names no format."
            if path.suffix
            else f"--out {path}: no ending.",
            expected=f"a file that ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}",
            fix=f"--out {path.with_suffix('.csv')}",
        )
    if path.is_dir():
        raise SettingError(f"--out {path} is a folder.", expected="the name of a file", fix="choose another name.")


def prediction_columns(top_k: int, *, with_truth: bool = False, with_box: bool = False) -> tuple[str, ...]:
    """Return the columns' names."""
    pairs = [("class_name", "probability")]
    pairs += [(f"class_name_{rank}", f"probability_{rank}") for rank in range(2, top_k + 1)]
    truth = ("true_class_name",) if with_truth else ()
    box = BOX_COLUMNS if with_box else ()
    return ("path", *truth, *(column for pair in pairs for column in pair), *box, "error")


@contextmanager
def open_predictions(
    out: Path | BinaryIO, *, top_k: int, with_truth: bool = False, with_box: bool = False
) -> Iterator[PredictionWriter]:
    """Yield a writer for predictions.

    Args:
        out: A path, written aside and renamed at the end, its format chosen by its suffix; or an open binary stream,
            which gets CSV.
        top_k: How many classes a row names.
        with_truth: Add the column true_class_name.
        with_box: Add the columns left, top, right, bottom.
    """
    columns = prediction_columns(top_k, with_truth=with_truth, with_box=with_box)
    if not isinstance(out, Path):
        with _open_csv(out, columns) as writer:
            yield writer
        return
    opener = {".csv": _open_csv, ".jsonl": _open_json_lines, ".parquet": _open_parquet}[out.suffix.lower()]
    with written_aside(out) as file, opener(file, columns) as writer:
        yield writer


def _row_values(prediction: Prediction, columns: Sequence[str]) -> dict[str, Any]:
    """Return the row by column, None where there is nothing to say."""
    values: dict[str, Any] = dict.fromkeys(columns)
    values["path"] = prediction.path
    values["error"] = prediction.error or None
    if "true_class_name" in values:
        values["true_class_name"] = prediction.true_class_name
    if prediction.box is not None:
        values.update(zip(BOX_COLUMNS, (round(edge, 2) for edge in prediction.box), strict=True))
    for rank, (class_name, probability) in enumerate(prediction.ranked, start=1):
        ending = "" if rank == 1 else f"_{rank}"
        values[f"class_name{ending}"] = class_name
        values[f"probability{ending}"] = probability
    return values


@contextmanager
def _open_csv(file: BinaryIO, columns: Sequence[str]) -> Iterator[PredictionWriter]:
    with open_text(file) as text:
        rows = csv.DictWriter(text, columns, lineterminator="\n")
        rows.writeheader()
        yield _RowByRow(columns, rows.writerow)


@contextmanager
def _open_json_lines(file: BinaryIO, columns: Sequence[str]) -> Iterator[PredictionWriter]:
    with open_text(file) as text:
        yield _RowByRow(columns, lambda values: text.write(json.dumps(values, ensure_ascii=False) + "\n"))


@contextmanager
def _open_parquet(file: BinaryIO, columns: Sequence[str]) -> Iterator[PredictionWriter]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            (column, pa.float32() if column.startswith("probability") or column in BOX_COLUMNS else pa.string())
            for column in columns
        ]
    )
    rows: list[dict[str, Any]] = []
    with pq.ParquetWriter(file, schema) as table:

        def add(values: dict[str, Any]) -> None:
            values["path"] = values["path"].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            rows.append(values)
            if len(rows) == ROWS_IN_A_GROUP:
                flush()

        def flush() -> None:
            table.write_table(pa.Table.from_pylist(rows, schema))
            rows.clear()

        yield _RowByRow(columns, add)
        flush()


class _RowByRow:
    """Turns predictions into rows and hands each to `add`."""

    def __init__(self, columns: Sequence[str], add: Any) -> None:
        self._columns = columns
        self._add = add

    def write(self, prediction: Prediction) -> None:
        self._add(_row_values(prediction, self._columns))
