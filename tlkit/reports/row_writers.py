"""Write rows one by one, as CSV, JSON lines or Parquet.

All three have the same columns. Rows of text reach the disk as they come; those of Parquet in groups, and the file can
be read only when it is closed.
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
"""What the cells of a column hold: text, float32 or float64."""

RowWriter = Callable[[Mapping[str, Any]], None]
"""Adds one row, a cell for each column, None where there is nothing to say."""


def check_rows_path(path: Path) -> None:
    """Refuse a file name whose ending names no format that rows are written in.

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
def open_rows(out: Path | BinaryIO, kinds: Mapping[str, str]) -> Iterator[RowWriter]:
    """Yield what adds a row.

    Args:
        out: A path, its format chosen by its suffix, which is complete as soon as it exists: see
            `tlkit.reports.row_file`. Or an open binary stream, which gets CSV, row by row.
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
        # Bytes of a name that are no UTF-8 become escapes such as \udce9, which Python reads back as they were.
        write_line(file, json.dumps(values, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")

    yield write


@contextmanager
def _open_parquet(file: BinaryIO, kinds: Mapping[str, str]) -> Iterator[RowWriter]:
    """Yield a writer of row groups. What ends it early leaves a readable file, unless it kills the process."""
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
            rows.clear()  # first: after a failed write, the rows would be written again
            table.write_table(group)

        try:
            yield add
        finally:
            flush()
