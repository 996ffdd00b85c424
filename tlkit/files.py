"""Write files that survive a crash, lock what only one process may write, and read what a user names within bounds.

A file appears under its name only when it is whole and on the disk: it is written under another name, flushed to the
disk and renamed, and the rename is flushed, too. So whoever reads a file meets the old content or the new, never half,
even after a power cut.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from tlkit.waiting import waiting_for

PARTIAL_PATTERN = ".*.partial"
"""Matches the files that a killed process leaves behind half written; nothing ever reads them. See `make_partial_path`."""

MAX_JSON_BYTES = 2**28
_O_NONBLOCK, _O_BINARY = getattr(os, "O_NONBLOCK", 0), getattr(os, "O_BINARY", 0)
_CANNOT_LOCK = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


def make_partial_path(folder: Path) -> Path:
    """Return a new path for a file that is not complete yet; short, since its later name may be the longest there is."""
    return folder / f".{os.urandom(8).hex()}.partial"


@contextmanager
def written_aside(path: Path, *, is_flushed: bool = True) -> Iterator[BinaryIO]:
    """Yield a binary file that takes the place of `path` at the end; after an exception `path` is as it was.

    Missing parent folders are made. An existing file is replaced. The new file's mode follows the umask.

    Args:
        path: The file.
        is_flushed: Whether the content is on the disk before the name is. A file among thousands that can be made
            again need not survive a power cut.

    Raises:
        OSError: The disk is full, or the folder cannot be written to; it names `path` unless it comes from elsewhere.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = make_partial_path(path.parent)
    try:
        with partial.open("xb") as file:
            yield file
            if is_flushed:
                file.flush()
                with waiting_for(f"the disk to take {path}"):
                    os.fsync(file.fileno())
        partial.replace(path)
        if is_flushed:
            with waiting_for(f"the disk to take {path}"):
                flush_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in {None, str(partial), str(path.parent)}:
            error.filename, error.filename2 = str(path), None
        raise


@contextmanager
def open_text(file: BinaryIO) -> Iterator[io.TextIOWrapper]:
    """Yield a UTF-8 text stream on top of an open binary file, which stays open afterwards.

    File names on Linux may hold any bytes: they are written as they were read.
    """
    text = io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="")
    try:
        yield text
        text.flush()
    finally:
        with suppress(OSError):  # after a failed write, detaching would write again and hide the first error
            text.detach()


def format_csv_row(cells: Iterable[object]) -> str:
    """Return a row of a CSV file with a bare newline at its end; None is an empty cell.

    Told of such an end, the writer of Python 3.11 leaves a carriage return unquoted, and the reader ends the row there.
    """
    line = io.StringIO(newline="")
    csv.writer(line).writerow(cells)
    return line.getvalue().removesuffix("\r\n") + "\n"


def write_text(path: Path, text: str) -> None:
    """Write a text file as UTF-8 in one step; see `written_aside`."""
    with written_aside(path) as file:
        file.write(text.encode("utf-8", errors="surrogateescape"))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file in one step; paths and other foreign values are written as text."""
    write_text(path, json.dumps(value, indent=1, default=str) + "\n")


def flush_file(path: Path) -> None:
    """Flush a file that another library has written to the disk."""
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_folder(folder: Path) -> None:
    """Flush the renames in a folder to the disk, where the platform can (Windows cannot open a folder)."""
    if os.name != "posix":
        return
    flush_file(folder)


def remove_partials(folder: Path) -> None:
    """Remove what killed processes left half written in a folder; call it only while holding the folder's lock."""
    for partial in folder.glob(PARTIAL_PATTERN):
        with suppress(OSError):
            partial.unlink()


def list_files(folder: Path, pattern: str) -> list[Path]:
    """Return what matches in a folder that another process may be removing, sorted; nothing if it is gone."""
    try:
        return sorted(folder.glob(pattern))
    except FileNotFoundError:
        return []


def open_regular_file(path: Path) -> io.BufferedReader:
    """Open a file for reading at whose path a pipe or a device may stand, which would keep the process waiting.

    Raises:
        OSError: It cannot be read, or is not a regular file; `strerror` says which.
    """
    descriptor = os.open(path, os.O_RDONLY | _O_NONBLOCK | _O_BINARY)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def read_regular_file(path: Path, *, max_bytes: int) -> bytes:
    """Return the bytes of a file that somebody named, which may be a device, a pipe or far too large.

    Raises:
        OSError: It cannot be read, is not a regular file, or is larger than `max_bytes`; `strerror` says which.
    """
    with open_regular_file(path) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"larger than {max_bytes:,} bytes", str(path))
    return content


def read_json(path: Path) -> Any:
    """Return the content of a JSON file of tlkit's own, in whose place anything may stand by now.

    Raises:
        OSError: It is no file that can be read, or larger than 256 MiB.
        ValueError: It holds no JSON, or JSON that is nested too deeply.
    """
    try:
        return json.loads(read_regular_file(path, max_bytes=MAX_JSON_BYTES))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


@contextmanager
def held_lock(path: Path, *, shared: bool = False) -> Iterator[io.BufferedWriter]:
    """Hold the lock of a file, which is made if needed; a process that dies gives its lock back.

    Yields the file, open for adding to its end. The lock binds only those who ask for it. On a file system that has no
    locks, nothing is held. The file stays, unless its holder removes or renames it.

    Args:
        path: The file.
        shared: Whether others may hold it as well, if they share it, too.

    Raises:
        BlockingIOError: Another process holds it, or has just removed it.
        OSError: The file cannot be made.
    """
    # A pipe in its place would keep the process waiting for a reader.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | _O_NONBLOCK | _O_BINARY
    with open(path, "ab", opener=lambda name, _: os.open(name, flags, 0o666)) as file:
        try:
            _lock(file, shared=shared)
        except OSError as error:
            if error.errno not in _CANNOT_LOCK:
                raise
        if not (path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())):
            raise BlockingIOError(errno.EAGAIN, "its holder has just removed it", str(path))
        yield file


def _lock(file: BinaryIO, *, shared: bool) -> None:
    """Lock an open file until it is closed.

    Raises:
        BlockingIOError: Another process holds the lock.
    """
    if sys.platform == "win32":
        import msvcrt

        if shared:  # there are no such locks; but nobody can remove a file that is open
            return
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError(errno.EAGAIN, "another process holds the lock", str(file.name)) from error
    else:
        import fcntl

        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
