"""A file of rows that grows for days: each row is added as a whole line, and a later process goes on behind the last."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedWriter
from pathlib import Path
from typing import Any

from tlkit.errors import RunError, SettingError
from tlkit.files import held_lock
from tlkit.reports.row_file import RowWriter, format_csv_line, format_json_line, write_line

LOG_SUFFIXES = (".csv", ".jsonl")


@dataclass(frozen=True)
class RowLog:
    """An open log.

    Attributes:
        paths: The paths that the file had rows for when it was opened.
        write: Adds the rows of an image.
    """

    paths: frozenset[str]
    write: RowWriter


def check_log_path(path: Path) -> None:
    """Check that a file name has the suffix of a format that can grow.

    Raises:
        SettingError: It has another.
    """
    if path.suffix.lower() not in LOG_SUFFIXES:
        raise SettingError(
            f"--out {path}: a file of this format cannot grow.",
            expected=f"a file that ends in {' or '.join(LOG_SUFFIXES)}",
            fix=f"--out {path.with_suffix(LOG_SUFFIXES[0])}",
        )


@contextmanager
def open_row_log(path: Path, columns: Sequence[str]) -> Iterator[RowLog]:
    """Open a log, or make one. A line that a crash has cut off is removed.

    Args:
        path: The file, .csv or .jsonl.
        columns: The columns, in order; `path` is one of them.

    Raises:
        RunError: Another process writes it, it is something else, or it cannot be written.
    """
    is_csv = path.suffix.lower() == ".csv"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with held_lock(path) as file:
            paths = _read_paths(path, file, columns, is_csv=is_csv)
            if is_csv and not path.stat().st_size:
                write_line(file, format_csv_line(columns))

            def write(*rows: Mapping[str, Any]) -> None:
                lines = (format_csv_line(list(row.values())) if is_csv else format_json_line(row) for row in rows)
                write_line(file, b"".join(lines))

            yield RowLog(paths, write)
    except BlockingIOError as error:
        raise RunError(
            f"{path} is being written by another process.",
            expected="one process per file",
            fix="use another --out, or wait for the other process to finish.",
        ) from error
    except OSError as error:
        raise RunError(
            f"{error.filename or path}: {error.strerror or error}.",
            expected="free disk space and a writable folder",
            fix="fix this, and run the same command again; the rows so far are kept.",
        ) from error


def _read_paths(path: Path, file: BufferedWriter, columns: Sequence[str], *, is_csv: bool) -> frozenset[str]:
    """Return the paths in the file, and cut off an unfinished last line."""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        file.truncate(whole)
    try:
        paths = (_read_csv if is_csv else _read_json_lines)(content[:whole], columns)
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise RunError(
            f"{path} has other rows than this command writes.",
            expected=f"a file with the columns {', '.join(columns)}, or a new one",
            fix="use another --out.",
        ) from error
    return frozenset(paths)


def _read_csv(content: bytes, columns: Sequence[str]) -> list[str]:
    rows = list(csv.reader(io.StringIO(content.decode("utf-8", "surrogateescape"), newline="")))
    if rows and rows[0] != list(columns):
        raise ValueError("other columns")
    place = columns.index("path")
    return [row[place] for row in rows[1:] if len(row) == len(columns)]


def _read_json_lines(content: bytes, columns: Sequence[str]) -> list[str]:
    rows = [json.loads(line) for line in content.decode("utf-8").split("\n") if line]
    if any(list(row) != list(columns) for row in rows):
        raise ValueError("other columns")
    return [str(row["path"]) for row in rows]
