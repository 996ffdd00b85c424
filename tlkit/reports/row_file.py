"""Files of rows that can be read while they grow: rows are appended to NAME.partial, which is renamed at the end.

NAME is therefore always complete, and if the process dies, the rows written so far remain as whole lines.
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
    """Return the path of the rows until the file is complete."""
    return path.with_name(numbered(f"{path.name}.partial", 1))


def describe_kept(path: Path) -> str:
    """Return a sentence, after a space, about the rows of an incomplete file; empty if there are none."""
    return f" {describe_partial_rows(path)}" if partial_path(path).exists() else ""


def describe_partial_rows(path: Path) -> str:
    """Return a sentence about the rows of an incomplete file."""
    return f"The rows so far are in {partial_path(path)}."


@contextmanager
def growing_file(path: Path) -> Iterator[BufferedWriter]:
    """Yield the partial file, which replaces `path` at the end; after an exception it is kept unless empty.

    Missing parent folders are created. The rows of an earlier attempt are overwritten.

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
                raise
            os.fsync(file.fileno())
            if sys.platform == "win32":
                file.close()  # some systems cannot rename an open file
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
