"""Cached facts about files: the hash and size, or why a file is unusable.

Looking up an unchanged file costs one `stat`. A file counts as unchanged while its size, mtime and ctime are the same.
A file modified less than two seconds before it was read is not cached, because it could change again within the
clock's resolution (git's rule for "racily clean" files).

The index is only a cache. Each entry has a checksum and is ignored if it does not match. If the index cannot be read,
files are read again; a damaged index is rebuilt, and one that is locked, read-only or not a database is ignored.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from PIL import Image

from tlkit.data.images import LOADER_VERSION, UnusableImage, decode_image, read_content
from tlkit.outputs import GreyRange
from tlkit.waiting import waiting_for

RACY_SECONDS = 2.0
THUMBNAIL_EDGE = 16
_SCHEMA_VERSION = 6
_SCHEMA = "CREATE TABLE files (path BLOB PRIMARY KEY, entry BLOB NOT NULL) WITHOUT ROWID"
_DIGEST_BYTES = 16
_LONGEST_WAIT_SECONDS = 5.0
"""How long to wait for another process that has locked the index, normally for milliseconds."""
_KEPT = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
}
"""Errors that do not mean a damaged index; after any other error it is removed."""
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Facts about one file.

    Args:
        path: As requested.
        sha256: Hash of the bytes, in hexadecimal digits; empty if they could not be read.
        width: Upright width in pixels; 0 if the file is unusable.
        height: Upright height in pixels; 0 if the file is unusable.
        orientation: EXIF orientation, 1..8; 1 if there is none.
        reason: Why the file is unusable, or None if it is a valid image.
        grey: Minimum and maximum of grey of more than 8 bits; None for other files.
        num_bytes: The file's size.
        format: Pillow's name of the format; empty if the file is unusable.
        mode: Pillow's name of the mode; empty if the file is unusable.
        camera: The camera's make and model from EXIF; empty if there are none.
        thumbnail: The whole upright picture in grey, stretched to 16 x 16 pixels, row by row, 0..255; empty if the file
            is unusable.
    """

    path: Path
    sha256: str
    width: int
    height: int
    orientation: int
    reason: str | None
    grey: GreyRange | None = None
    num_bytes: int = 0
    format: str = ""
    mode: str = ""
    camera: str = ""
    thumbnail: bytes = dataclasses.field(default=b"", repr=False)


class _Stamp(NamedTuple):
    """A file's size and times; while they stay the same, its bytes count as unchanged."""

    size: int
    mtime_ns: int
    ctime_ns: int

    def is_settled(self) -> bool:
        """Return whether any later change is certain to give another stamp."""
        return time.time_ns() - max(self.mtime_ns, self.ctime_ns) >= RACY_SECONDS * 1e9


class FileIndex:
    """Facts about files, cached in `files.sqlite` in a folder; several processes may use it at once.

    Args:
        root: The folder, created on the first write.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / "files.sqlite"

    def look(self, paths: Sequence[Path], *, advance: Callable[[int], None] = lambda count: None) -> list[FileFacts]:
        """Return facts about files, in the order of `paths`.

        Files that are not cached are read and fully decoded, in threads. Results are written every few hundred files,
        so that an interrupted check is not lost.

        Args:
            paths: Files; a missing or unreadable file gets facts with the reason.
            advance: Called with the number of files finished since the last call.
        """
        facts: list[FileFacts] = []
        pool = ThreadPoolExecutor(os.cpu_count())
        with _Memo(self._path) as memo:
            try:
                for start in range(0, len(paths), _CHUNK):
                    facts += _look_at_chunk(paths[start : start + _CHUNK], memo, pool, advance)
            finally:
                pool.shutdown(cancel_futures=True)
        return facts


def _look_at_chunk(
    paths: Sequence[Path], memo: _Memo, pool: ThreadPoolExecutor, advance: Callable[[int], None]
) -> list[FileFacts]:
    stamps = {path: _read_stamp(path) for path in paths}
    facts = memo.recall(stamps)
    unknown = [path for path in stamps if path not in facts]
    advance(len(paths) - len(unknown))
    fresh: dict[Path, FileFacts] = {}
    try:
        for path, future in [(path, pool.submit(_examine, path)) for path in unknown]:
            with waiting_for(f"{path} to be read and decoded"):
                found, lasting = future.result()
            facts[path] = found
            if lasting:
                fresh[path] = found
            advance(1)
    finally:
        memo.remember([(stamps[path], found) for path, found in fresh.items()])
    return [facts[path] for path in paths]


class _Memo:
    """The database. After any error it is not used again during this check."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        for _ in range(2):  # a second time if a damaged one was removed
            with contextlib.suppress(OSError), self._on_error_do_without():
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._connection = sqlite3.connect(self._path, timeout=_LONGEST_WAIT_SECONDS, isolation_level=None)
                _prepare(self._connection)
            if self._connection or self._path.exists():
                break
        return self

    def __exit__(self, *exception: object) -> None:
        if self._connection is not None:
            self._connection.close()

    def recall(self, stamps: Mapping[Path, _Stamp | None]) -> dict[Path, FileFacts]:
        """Return cached facts for the files that have not changed."""
        keys = {_key(path): path for path in stamps}
        facts = {}
        with self._on_error_do_without():
            if self._connection is not None:
                query = f"SELECT path, entry FROM files WHERE path IN ({','.join('?' * len(keys))})"  # noqa: S608
                for key, entry in self._connection.execute(query, list(keys)):
                    path = keys.get(key)  # a damaged index may return rows that were not requested
                    found = path and _decode(key, entry, path, stamps[path])
                    if path and found:
                        facts[path] = found
        return facts

    def remember(self, found: Iterable[tuple[_Stamp | None, FileFacts]]) -> None:
        """Store facts of files whose stamps are settled."""
        rows = [_encode(stamp, facts) for stamp, facts in found if stamp is not None and stamp.is_settled()]
        with self._on_error_do_without():
            if self._connection is not None and rows:
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.executemany("INSERT OR REPLACE INTO files VALUES (?,?)", rows)
                self._connection.execute("COMMIT")

    @contextlib.contextmanager
    def _on_error_do_without(self) -> Iterator[None]:
        """Continue without the index if it fails, and remove a damaged one so that the next check rebuilds it."""
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:  # messages may quote a damaged index
            if self._connection is not None:
                self._connection.close()  # rolls back an open transaction
                self._connection = None
            if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF not in _KEPT:
                for suffix in ("", "-journal", "-wal", "-shm"):
                    with contextlib.suppress(OSError):
                        Path(f"{self._path}{suffix}").unlink()


def _prepare(connection: sqlite3.Connection) -> None:
    """Create the table, unless another process has."""
    if connection.execute("PRAGMA user_version").fetchone()[0] == _SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("PRAGMA user_version").fetchone()[0] != _SCHEMA_VERSION:
        connection.execute("DROP TABLE IF EXISTS files")
        connection.execute(_SCHEMA)
        connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _encode(stamp: _Stamp, facts: FileFacts) -> tuple[bytes, bytes]:
    """Encode a row: the key, and a digest of key and facts followed by the facts."""
    key = _key(facts.path)
    _, *known, thumbnail = dataclasses.astuple(facts)
    picture = base64.b64encode(thumbnail).decode()
    content = json.dumps([*stamp, LOADER_VERSION, *known, picture]).encode()
    return key, _digest(key, content) + content


def _decode(key: bytes, entry: object, path: Path, stamp: _Stamp | None) -> FileFacts | None:
    """Decode the facts of a row; None if the row is damaged, or the file or the loader has changed."""
    if not isinstance(entry, bytes):
        return None
    digest, content = entry[:_DIGEST_BYTES], entry[_DIGEST_BYTES:]
    if digest != _digest(key, content):
        return None
    size, mtime_ns, ctime_ns, loader_version, *known = json.loads(content)
    if loader_version != LOADER_VERSION or stamp != _Stamp(size, mtime_ns, ctime_ns):
        return None
    sha256, width, height, orientation, reason, grey, num_bytes, *names, picture = known
    file_format, mode, camera = map(sys.intern, names)
    return FileFacts(
        path,
        sha256,
        width,
        height,
        orientation,
        reason,
        GreyRange(*grey) if grey else None,
        num_bytes,
        file_format,
        mode,
        camera,
        base64.b64decode(picture),
    )


def _digest(key: bytes, content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES, key=hashlib.sha256(key).digest()).digest()


def _key(path: Path) -> bytes:
    return os.fsencode(os.path.abspath(path))  # noqa: PTH100 - Path.absolute keeps "..", so that one file had two keys


def read_settled_stamp(path: Path) -> tuple[int, ...] | None:
    """Return the size and times of an existing file, or None if it is missing or may still be changing."""
    stamp = _read_stamp(path)
    return tuple(stamp) if stamp is not None and stamp.is_settled() else None


def _read_stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return _Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _examine(path: Path) -> tuple[FileFacts, bool]:
    """Read and decode a file; return its facts, and whether they depend on its bytes alone and can be cached."""
    try:
        content = read_content(path)
    except UnusableImage as error:
        return FileFacts(path, "", 0, 0, 1, error.reason), False
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        decoded = decode_image(content, target=(THUMBNAIL_EDGE, THUMBNAIL_EDGE))
    except UnusableImage as error:
        return FileFacts(path, sha256, 0, 0, 1, error.reason, num_bytes=len(content)), not isinstance(
            error.__cause__, MemoryError
        )
    facts = decoded.facts
    small = decoded.picture.resize((THUMBNAIL_EDGE, THUMBNAIL_EDGE), Image.Resampling.BOX, reducing_gap=2.0)
    return FileFacts(
        path,
        sha256,
        facts.width,
        facts.height,
        facts.orientation,
        None,
        facts.grey,
        len(content),
        facts.format,
        facts.mode,
        sys.intern(facts.camera),
        small.convert("L").tobytes(),
    ), True
