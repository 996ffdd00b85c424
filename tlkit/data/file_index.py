"""What is known of a file from an earlier look: its hash and size, or why it is unusable.

A second look at an unchanged file costs one `stat`. A file counts as unchanged while its size and its times of
modification and of status change are the same; a file touched less than two seconds before it was looked at is not
remembered, as it could change again within the clock's tick (git's rule for "racily clean" files).

The index is a convenience: when it cannot be read or written, files are looked at afresh.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tlkit.data.images import LOADER_VERSION, UnusableImage, check_image, read_content
from tlkit.outputs import GreyRange

RACY_SECONDS = 2.0
_SCHEMA_VERSION = 3
_SCHEMA = """
    CREATE TABLE files (
        path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
        loader_version INTEGER NOT NULL, sha256 TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
        orientation INTEGER NOT NULL, reason TEXT, grey_kind TEXT, grey_least REAL, grey_greatest REAL
    ) WITHOUT ROWID
"""
_COLUMNS = (
    "path, size, mtime_ns, ctime_ns, loader_version, sha256, width, height, orientation, reason, "
    "grey_kind, grey_least, grey_greatest"
)
_PLACES = ",".join("?" * len(_COLUMNS.split(",")))
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What looking at a file has shown.

    Args:
        path: As it was asked for.
        sha256: Hash of the bytes, in hexadecimal digits; empty if they could not be read.
        width: Upright width in pixels; 0 if there is no picture.
        height: Upright height in pixels; 0 if there is no picture.
        orientation: EXIF orientation that made it upright, 1..8; 1 where there is none.
        reason: Why the file is unusable, or None if it is a sound image.
        grey: The least and the greatest value of grey that has more than 8 bits; None of other files.
    """

    path: Path
    sha256: str
    width: int
    height: int
    orientation: int
    reason: str | None
    grey: GreyRange | None = None


class _Stamp(NamedTuple):
    """The marks of a file's state: while they stay, its bytes count as unchanged."""

    size: int
    mtime_ns: int
    ctime_ns: int

    def is_settled(self) -> bool:
        """Tell whether a change from now on is bound to give another stamp."""
        return time.time_ns() - max(self.mtime_ns, self.ctime_ns) >= RACY_SECONDS * 1e9


class FileIndex:
    """Facts about files, remembered in `files.sqlite` in a folder; several processes may use it at once.

    Args:
        root: The folder, made when it is first written to.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / "files.sqlite"

    def look(self, paths: Sequence[Path], *, advance: Callable[[int], None] = lambda count: None) -> list[FileFacts]:
        """Return the facts of files, in the order of `paths`.

        Files that are not remembered are read once, in threads, and decoded to their end. What was found is remembered
        after every few hundred files, so that a killed look is not lost.

        Args:
            paths: Files; a missing or unreadable one has facts with that reason.
            advance: Called with the number of files dealt with since the last call.
        """
        facts: list[FileFacts] = []
        connection = self._connect()
        pool = ThreadPoolExecutor(os.cpu_count())
        try:
            for start in range(0, len(paths), _CHUNK):
                facts += self._look_at_chunk(paths[start : start + _CHUNK], connection, pool, advance)
        finally:
            pool.shutdown(cancel_futures=True)
            if connection is not None:
                connection.close()
        return facts

    def _look_at_chunk(
        self,
        paths: Sequence[Path],
        connection: sqlite3.Connection | None,
        pool: ThreadPoolExecutor,
        advance: Callable[[int], None],
    ) -> list[FileFacts]:
        stamps = {path: _read_stamp(path) for path in paths}
        facts = self._recall(connection, stamps)
        unknown = [path for path in stamps if path not in facts]
        advance(len(paths) - len(unknown))
        fresh: dict[Path, FileFacts] = {}
        try:
            for path, (found, lasting) in zip(unknown, pool.map(_examine, unknown), strict=True):
                facts[path] = found
                if lasting:
                    fresh[path] = found
                advance(1)
        finally:
            self._remember(connection, [(stamps[path], found) for path, found in fresh.items()])
        return [facts[path] for path in paths]

    def _connect(self) -> sqlite3.Connection | None:
        """Return a connection to a sound index, rebuilt if need be; None if there can be none."""
        for _ in range(2):
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                connection = sqlite3.connect(self._path, timeout=30, isolation_level=None)
            except (OSError, sqlite3.Error):
                return None
            try:
                _prepare(connection)
            except sqlite3.DatabaseError as error:
                connection.close()
                self._drop_if_broken(error)
            else:
                return connection
        return None

    def _recall(
        self, connection: sqlite3.Connection | None, stamps: Mapping[Path, _Stamp | None]
    ) -> dict[Path, FileFacts]:
        """Return the facts of those files that are remembered in their present state."""
        if connection is None:
            return {}
        keys = {_key(path): path for path in stamps}
        query = f"SELECT {_COLUMNS} FROM files WHERE path IN ({','.join('?' * len(keys))})"  # noqa: S608 - our own words
        try:
            rows = connection.execute(query, list(keys)).fetchall()
        except sqlite3.DatabaseError as error:
            self._drop_if_broken(error)
            return {}
        facts = {}
        for key, size, mtime_ns, ctime_ns, loader_version, sha256, width, height, orientation, reason, *grey in rows:
            path = keys[key]
            if loader_version == LOADER_VERSION and stamps[path] == _Stamp(size, mtime_ns, ctime_ns):
                facts[path] = FileFacts(
                    path, sha256, width, height, orientation, reason, GreyRange(*grey) if grey[0] else None
                )
        return facts

    def _remember(
        self, connection: sqlite3.Connection | None, found: Iterable[tuple[_Stamp | None, FileFacts]]
    ) -> None:
        """Write the facts of files whose state is settled."""
        rows = [
            (
                _key(facts.path),
                *stamp,
                LOADER_VERSION,
                facts.sha256,
                facts.width,
                facts.height,
                facts.orientation,
                facts.reason,
                *((None, None, None) if facts.grey is None else dataclasses.astuple(facts.grey)),
            )
            for stamp, facts in found
            if stamp is not None and stamp.is_settled()
        ]
        if connection is None or not rows:
            return
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(f"INSERT OR REPLACE INTO files ({_COLUMNS}) VALUES ({_PLACES})", rows)  # noqa: S608 - our own words
            connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            self._drop_if_broken(error)

    def _drop_if_broken(self, error: sqlite3.DatabaseError) -> None:
        """Remove a damaged index, so that the next one starts afresh; a locked or unwritable one stays as it is."""
        if not isinstance(error, sqlite3.OperationalError):
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the table, unless another process has."""
    if connection.execute("PRAGMA user_version").fetchone()[0] == _SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("PRAGMA user_version").fetchone()[0] != _SCHEMA_VERSION:
        connection.execute("DROP TABLE IF EXISTS files")
        connection.execute(_SCHEMA)
        connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _key(path: Path) -> bytes:
    return os.fsencode(os.path.abspath(path))  # noqa: PTH100 - Path.absolute keeps "..", so that one file had two keys


def read_settled_stamp(path: Path) -> tuple[int, ...] | None:
    """Return the size and times of a file that is there and not just being written: as long as they stay, so do its bytes."""
    stamp = _read_stamp(path)
    return tuple(stamp) if stamp is not None and stamp.is_settled() else None


def _read_stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return _Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _examine(path: Path) -> tuple[FileFacts, bool]:
    """Read and decode a file; return its facts, and whether they follow from its bytes alone and so will last."""
    try:
        content = read_content(path)
    except UnusableImage as error:
        return FileFacts(path, "", 0, 0, 1, error.reason), False
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        facts = check_image(content)
    except UnusableImage as error:
        return FileFacts(path, sha256, 0, 0, 1, error.reason), not isinstance(error.__cause__, MemoryError)
    return FileFacts(path, sha256, facts.width, facts.height, facts.orientation, None, facts.grey), True
