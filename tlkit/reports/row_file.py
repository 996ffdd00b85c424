"""Files of rows that can be read while they grow: rows are appended to NAME.partial, which is renamed at the end.

NAME is therefore always complete, and if the process dies, the rows written so far remain as whole lines.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from io import BufferedWriter
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from tlkit.errors import RunError, SettingError
from tlkit.files import flush_folder, format_csv_row, held_lock
from tlkit.reports.sorting import numbered

SUFFIXES = (".csv", ".jsonl", ".parquet")
ROWS_IN_A_GROUP = 10_000
TEXT, SINGLE, DOUBLE, WHOLE = "text", "single", "double", "whole"
"""Type of a column: text, float32, float64 or int32."""


class RowWriter(Protocol):
    """Adds rows."""

    def __call__(self, *rows: Mapping[str, Any]) -> None:
        """Add the rows of one image, in one step; each has a cell for each column, None for an empty one."""


def check_rows_path(path: Path, *, option: str = "--out") -> None:
    """Check that a file name has the suffix of a supported format.

    Args:
        path: The file; it need not exist.
        option: The option that names it, for messages.

    Raises:
        SettingError: The suffix is not .csv, .jsonl or .parquet, or the path is a folder.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise SettingError(
            f"{option} {path}: unknown suffix {path.suffix}." if path.suffix else f"{option} {path}: no suffix.",
            expected=f"a file that ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}",
            fix=f"{option} {path.with_suffix('.csv')}",
        )
    if path.is_dir():
        raise SettingError(f"{option} {path} is a folder.", expected="a file name", fix="use another name.")


@contextmanager
def open_rows(out: Path | BinaryIO, kinds: Mapping[str, str]) -> Iterator[RowWriter]:
    """Yield a function that adds a row.

    Args:
        out: A path whose suffix gives the format, written by `tlkit.reports.row_file`; or an open binary stream, which
            receives CSV row by row.
        kinds: The columns by name, in order, each TEXT, SINGLE, DOUBLE or WHOLE; `path` is one of them.

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
    write_line(file, format_csv_line(tuple(kinds)))
    yield lambda *rows: write_line(file, b"".join(format_csv_line(list(row.values())) for row in rows))


def format_csv_line(cells: Sequence[Any]) -> bytes:
    """Return a row of CSV as a line; a file name keeps its bytes."""
    return format_csv_row(cells).encode("utf-8", "surrogateescape")


@contextmanager
def _open_json_lines(file: BinaryIO, kinds: Mapping[str, str]) -> Iterator[RowWriter]:
    yield lambda *rows: write_line(file, b"".join(map(format_json_line, rows)))


def format_json_line(values: Mapping[str, Any]) -> bytes:
    """Return a row of JSON lines; invalid UTF-8 in a name becomes escapes, which Python converts back."""
    return json.dumps(values, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


@contextmanager
def _open_parquet(file: BinaryIO, kinds: Mapping[str, str]) -> Iterator[RowWriter]:
    """Yield a writer of row groups. An early end leaves a readable file, unless the process is killed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {TEXT: pa.string(), SINGLE: pa.float32(), DOUBLE: pa.float64(), WHOLE: pa.int32()}
    schema = pa.schema([(name, types[kind]) for name, kind in kinds.items()])
    waiting: list[dict[str, Any]] = []
    with pq.ParquetWriter(file, schema) as table:

        def add(*rows: Mapping[str, Any]) -> None:
            for row in rows:
                path = row["path"].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
                waiting.append({**row, "path": path})
            if len(waiting) >= ROWS_IN_A_GROUP:
                flush()

        def flush() -> None:
            group = pa.Table.from_pylist(waiting, schema)
            waiting.clear()  # first, so that a failed write is not repeated
            table.write_table(group)

        try:
            yield add
        finally:
            flush()


def partial_path(path: Path) -> Path:
    """Return the path of the rows until the file is complete."""
    return path.with_name(numbered(f"{path.name}.partial", 1))


def describe_kept(path: Path) -> str:
    """Return a sentence, after a space, about the rows of an incomplete file; empty if there are none."""
    return f" {describe_partial_rows(path)}" if partial_path(path).exists() else ""


def describe_partial_rows(path: Path) -> str:
    """Return a sentence about the rows of an incomplete file."""
    return f"The rows so far are in {partial_path(path)}."


Convert = Callable[[Path, Path], None]
"""Writes the second file, in one step, from the lines of the first, which may be the same."""


@contextmanager
def growing_file(path: Path, convert: Convert | None = None) -> Iterator[BufferedWriter]:
    """Yield the partial file, which replaces `path` at the end; after an exception it is kept unless empty.

    Missing parent folders are created. The rows of an earlier attempt are overwritten.

    Args:
        path: The file.
        convert: Makes the file from its lines; if it is interrupted, too, so that the partial file can be used. Only a
            killed process leaves lines. None if the lines are the file.

    Raises:
        RunError: Another process is writing the same file, the disk is full, or the folder is not writable.
    """
    partial = partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(partial) as file:
            file.truncate(0)
            try:
                yield file
                file.flush()
            except BaseException:
                with suppress(OSError):
                    if not file.seek(0, os.SEEK_END):
                        partial.unlink()
                    elif convert:
                        convert(partial, partial)
                raise
            os.fsync(file.fileno())
            if convert:
                convert(partial, path)
            if sys.platform == "win32":
                file.close()  # some systems cannot rename an open file
            if convert:
                partial.unlink()
            else:
                partial.replace(path)
            flush_folder(path.parent)
    except BrokenPipeError:
        raise  # from a closed pipe, not from the file
    except OSError as error:
        raise RunError(
            f"{error.filename or partial}: {error.strerror or error}.",
            expected="free disk space and a writable folder",
            fix=f"fix this, and run the same command again.{describe_kept(path)}",
        ) from error


@contextmanager
def _locked(partial: Path) -> Iterator[BufferedWriter]:
    with ExitStack() as stack:
        try:
            file = stack.enter_context(held_lock(partial))
        except BlockingIOError as error:
            raise RunError(
                f"{partial} is being written by another process.",
                expected="one process per file",
                fix="use another --out, or wait for the other process to finish.",
            ) from error
        yield file


def write_line(file: BinaryIO, line: bytes) -> None:
    """Write a whole line at once, so that readers see whole lines, even after a crash.

    Raises:
        OSError: The disk is full, or the pipe is closed. A partial file keeps its whole lines.
    """
    raw = file.raw if isinstance(file, BufferedWriter) and file.seekable() else None
    if raw is None:
        file.write(line)
        file.flush()
        return
    end = raw.seek(0, os.SEEK_END)
    try:
        rest = memoryview(line)
        while rest:
            rest = rest[raw.write(rest) or 0 :]
    except OSError as error:
        with suppress(OSError):
            raw.truncate(end)
        error.filename = file.name
        raise
