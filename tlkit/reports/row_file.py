"""A file of rows that can be read while it grows: NAME.partial gets each row at once, and is renamed at the end.

So NAME is always complete, and whatever ends the process leaves the rows that were written before it, in whole lines.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import BufferedWriter
from pathlib import Path
from typing import BinaryIO

from tlkit.errors import RunError
from tlkit.files import flush_folder, held_lock
from tlkit.reports.file_names import numbered


def partial_path(path: Path) -> Path:
    """Return where the rows of a file stand until it is complete."""
    return path.with_name(numbered(f"{path.name}.partial", 1))


def describe_kept(path: Path) -> str:
    """Return a sentence, after a space, about the rows that an incomplete file keeps; nothing where there are none."""
    return f" {say_where_rows_are(path)}" if partial_path(path).exists() else ""


def say_where_rows_are(path: Path) -> str:
    """Return a sentence about the rows of a file that is not complete."""
    return f"The rows so far are in {partial_path(path)}."


@contextmanager
def growing_file(path: Path) -> Iterator[BufferedWriter]:
    """Yield the partial file, which takes the place of `path` at the end; after an exception it stays, unless empty.

    Missing parent folders are made. The rows of an earlier attempt are replaced.

    Raises:
        RunError: Another process writes the same file, the disk is full, or the folder cannot be written to.
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
                raise
            os.fsync(file.fileno())
            if sys.platform == "win32":
                file.close()  # where an open file cannot be renamed
            partial.replace(path)
            flush_folder(path.parent)
    except BrokenPipeError:
        raise  # of a stream that somebody reads: no file breaks like this
    except OSError as error:
        raise RunError(
            f"{error.filename or partial}: {error.strerror or error}.",
            expected="a disk with room left, and a folder that can be written to",
            fix=f"fix that, and run the same command again.{describe_kept(path)}",
        ) from error


@contextmanager
def _locked(partial: Path) -> Iterator[BufferedWriter]:
    with ExitStack() as stack:
        try:
            file = stack.enter_context(held_lock(partial))
        except BlockingIOError as error:
            raise RunError(
                f"{partial} is being written by another process.",
                expected="one process at a time for a file",
                fix="choose another --out, or wait until the other process is done.",
            ) from error
        yield file


def write_line(file: BinaryIO, line: bytes) -> None:
    """Write a whole line at once, so that who reads along, or after a crash, meets whole lines.

    Raises:
        OSError: The disk is full, or the reader of a pipe has gone away. Of a partial file, the whole lines stay.
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
