"""Write rows one by one as CSV, JSON Lines or Parquet.

All three have the same columns. CSV and JSON Lines rows are written immediately; Parquet rows are written in groups,
and the file is readable only once it is closed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from tlkit.errors import SettingError
from tlkit.files import format_csv_row
from tlkit.reports.row_file import growing_file, write_line

SUFFIXES = (".csv", ".jsonl", ".parquet")
ROWS_IN_A_GROUP = 10_000
TEXT, SINGLE, DOUBLE = "text", "single", "double"
"""Type of a column: text, float32 or float64."""

RowWriter = Callable[[Mapping[str, Any]], None]
"""Adds one row, with a cell for each column; None for an empty cell."""


def check_rows_path(path: Path) -> None:
    """Check that a file name has the suffix of a supported format.

    Raises:
        SettingError: The suffix is not .csv, .jsonl or .parquet, or the path is a folder.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise SettingError(
            f"--out {path}: unknown suffix {path.suffix}." if path.suffix else f"--out {path}: no suffix.",
            expected=f"a file that ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}",
            fix=f"--out {path.with_suffix('.csv')}",
        )
    if path.is_dir():
        raise SettingError(f"--out {path} is a folder.", expected="a file name", fix="use another name.")


@contextmanager
def open_rows(out: Path | BinaryIO, kinds: Mapping[str, str]) -> Iterator[RowWriter]:
    """Yield a function that adds a row.

    Args:
        out: A path whose suffix gives the format, written by `tlkit.reports.row_file`; or an open binary stream, which
            receives CSV row by row.
        kinds: The columns by name, in order, each TEXT, SINGLE or DOUBLE; `path` is one of them.

    Raises:
        RunError: The file cannot be written; the rows so far are kept.
    """
    if not isinstance(out, Path):
        with _open_csv(out, kinds) as write:
            yield write
        return
    opener = {".csv": _open_csv, ".jsonl": _open_json_lines, ".parquet": _open_parquet}[out.suffix.lower()]
    with growing_file(out) as file, opener(file, kinds) as write:
        yield write


@contextmanager
def _open_csv(file: BinaryIO, kinds: Mapping[str, str]) -> Iterator[RowWriter]:
    def write(cells: Sequence[Any]) -> None:
        write_line(file, format_csv_row(cells).encode("utf-8", "surrogateescape"))

    write(tuple(kinds))
    yield lambda values: write(list(values.values()))


@contextmanager
def _open_json_lines(file: BinaryIO, kinds: Mapping[str, str]) -> Iterator[RowWriter]:
    def write(values: Mapping[str, Any]) -> None:
        # Invalid UTF-8 in a name becomes escapes such as \udce9, which Python converts back.
        write_line(file, json.dumps(values, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")

    yield write


@contextmanager
def _open_parquet(file: BinaryIO, kinds: Mapping[str, str]) -> Iterator[RowWriter]:
    """Yield a writer of row groups. An early end leaves a readable file, unless the process is killed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {TEXT: pa.string(), SINGLE: pa.float32(), DOUBLE: pa.float64()}
    schema = pa.schema([(name, types[kind]) for name, kind in kinds.items()])
    rows: list[dict[str, Any]] = []
    with pq.ParquetWriter(file, schema) as table:

        def add(values: Mapping[str, Any]) -> None:
            path = values["path"].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            rows.append({**values, "path": path})
            if len(rows) == ROWS_IN_A_GROUP:
                flush()

        def flush() -> None:
            group = pa.Table.from_pylist(rows, schema)
            rows.clear()  # first, so that a failed write is not repeated
            table.write_table(group)

        try:
            yield add
        finally:
            flush()
