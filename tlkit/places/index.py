"""What a copy of a place has: each object with its tag, as listed and as copied, in an SQLite file beside the copy.

Only the process that holds the copy's lock writes it. It is flat in memory however many objects there are. Lost, it
costs copying anew, and nothing else.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from tlkit.places.stores import StoredObject

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    key TEXT PRIMARY KEY, tag TEXT NOT NULL, num_bytes INTEGER NOT NULL, round INTEGER NOT NULL,
    copied_tag TEXT, copied_bytes INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (round INTEGER NOT NULL);
"""
_ROWS_AT_ONCE = 2000


class CopyIndex:
    """The objects of one copy; a context manager.

    Each listing is a round: what it does not find again is gone.

    Args:
        path: The SQLite file.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._database = _open(path)
        except sqlite3.DatabaseError:  # damaged: everything is copied again
            for name in (path, *path.parent.glob(f"{path.name}-*")):
                name.unlink(missing_ok=True)
            self._database = _open(path)
        row = self._database.execute("SELECT max(round) FROM state").fetchone()
        self._round = row[0] or 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        with suppress(sqlite3.Error):
            self._database.commit()
        self._database.close()

    def start_round(self) -> None:
        """Begin a listing."""
        self._round += 1
        self._database.execute("DELETE FROM state")
        self._database.execute("INSERT INTO state VALUES (?)", (self._round,))

    def note_listed(self, objects: Iterable[StoredObject]) -> None:
        """Record listed objects."""
        self._database.executemany(
            "INSERT INTO objects (key, tag, num_bytes, round) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (key) DO UPDATE SET tag = excluded.tag, num_bytes = excluded.num_bytes, round = excluded.round",
            ((each.key, each.tag, each.num_bytes, self._round) for each in objects),
        )

    def note_copied(self, key: str, tag: str, num_bytes: int) -> None:
        """Record that a file is on the disk, whole."""
        self._database.execute(
            "UPDATE objects SET copied_tag = ?, copied_bytes = ? WHERE key = ?", (tag, num_bytes, key)
        )

    def note_lost(self, keys: Iterable[str]) -> None:
        """Record that files are no longer on the disk."""
        self._database.executemany(
            "UPDATE objects SET copied_tag = NULL, copied_bytes = NULL WHERE key = ?", ((key,) for key in keys)
        )

    def commit(self) -> None:
        """Keep what was recorded, whatever happens to the process."""
        self._database.commit()

    def list_copied(self) -> Iterator[tuple[str, int]]:
        """Yield (key, size) of the objects of this round whose copies are those that were listed."""
        yield from self._select(
            "SELECT key, copied_bytes FROM objects WHERE round = ? AND copied_tag = tag AND key > ? ORDER BY key LIMIT ?"
        )

    def list_missing(self) -> Iterator[StoredObject]:
        """Yield the objects of this round that are to be copied."""
        for key, num_bytes, tag in self._select(
            "SELECT key, num_bytes, tag FROM objects "
            "WHERE round = ? AND copied_tag IS NOT tag AND key > ? ORDER BY key LIMIT ?"
        ):
            yield StoredObject(key, num_bytes, tag)

    def count_missing(self) -> tuple[int, int]:
        """Return the number and the size in bytes of the objects to copy."""
        number, num_bytes = self._database.execute(
            "SELECT count(*), coalesce(sum(max(num_bytes, 0)), 0) FROM objects WHERE round = ? AND copied_tag IS NOT tag",
            (self._round,),
        ).fetchone()
        return number, num_bytes

    def count(self) -> int:
        """Return the number of objects of this round."""
        (number,) = self._database.execute("SELECT count(*) FROM objects WHERE round = ?", (self._round,)).fetchone()
        return int(number)

    def list_gone(self) -> Iterator[str]:
        """Yield the keys of objects that this round did not find."""
        for (key,) in self._select("SELECT key FROM objects WHERE round < ? AND key > ? ORDER BY key LIMIT ?"):
            yield key

    def forget(self, key: str) -> None:
        """Drop an object."""
        self._database.execute("DELETE FROM objects WHERE key = ?", (key,))

    def _select(self, query: str) -> Iterator[tuple[Any, ...]]:
        """Yield rows in pages by key, so that rows may be changed meanwhile; the first column is the key."""
        last = ""
        while page := self._database.execute(query, (self._round, last, _ROWS_AT_ONCE)).fetchall():
            last = page[-1][0]
            for key, *rest in page:
                yield (key, *rest)


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path)
    database.execute("PRAGMA synchronous = NORMAL")
    database.executescript(_SCHEMA)
    database.execute("SELECT count(*) FROM state").fetchone()
    return database
