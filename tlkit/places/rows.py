"""Images that the rows of a table name: by URLs, or by paths relative to a table that is itself in a bucket."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path

from tlkit.places.cache_root import default_cache_root
from tlkit.places.copies import show_path
from tlkit.places.copying import Advance, copy_objects
from tlkit.places.downloads import NUM_PARALLEL
from tlkit.places.failures import ObjectError, unreachable
from tlkit.places.place import Place, is_place, names_bucket, parse_place
from tlkit.places.retries import PassingError, try_again
from tlkit.places.stores import Store, StoredObject, open_store
from tlkit.waiting import waiting_for


class _Notes:
    """A teller that keeps what it is told, for the notices of the table."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def say(self, text: str) -> None:
        self.sentences.append(text)

    warn = say

    def progress(self, description: str, total: int | None, unit: str) -> nullcontext[Advance]:
        return nullcontext(lambda count: None)


def copy_rows(table: Path, cells: Iterable[str]) -> list[str]:
    """Copy the images that a table names in buckets, as far as they are new or changed, and return notices.

    Args:
        table: The table, absolute; where it is the copy of one in a bucket, its relative paths are keys there.
        cells: Its image paths. Those of files on this machine are passed over.

    Raises:
        PlaceError: A bucket cannot be read, or too many objects cannot be copied.
        SettingError: obstore is not installed, or refuses a setting.
    """
    table_url = show_path(table)
    base = parse_place(table_url) if names_bucket(table_url) else None
    wanted: dict[Place, dict[str, None]] = {}
    for cell in cells:
        place = parse_place(cell) if names_bucket(cell) else _join(base, cell)
        if place is not None and place.key:
            wanted.setdefault(place.root, {})[place.key] = None
    notes = _Notes()
    for root, keys in wanted.items():
        store = open_store(root)
        with _answering(root), waiting_for(f"{root}"):
            found = list(_find_all(store, keys))
            if found:
                copy_objects(store, found, default_cache_root(), notes, may_fail=True)
    return notes.sentences


def _join(base: Place | None, cell: str) -> Place | None:
    """Return where a path relative to a table in a bucket leads; None if there is none."""
    if base is None or is_place(cell) or cell.startswith("/") or not cell:
        return None
    key = posixpath.normpath(posixpath.join(posixpath.dirname(base.key), cell.replace("\\", "/")))
    return None if key.startswith("..") else Place(base.scheme, base.bucket, key)


def _find_all(store: Store, keys: Iterable[str]) -> Iterator[StoredObject]:
    """Yield the objects that there are; a row without one is a path that leads to no file."""

    def find(key: str) -> StoredObject | None:
        try:
            return try_again(lambda: store.find(key))
        except ObjectError:
            return None

    with ThreadPoolExecutor(NUM_PARALLEL) as pool:
        yield from filter(None, pool.map(find, keys))


@contextmanager
def _answering(place: Place) -> Iterator[None]:
    try:
        yield
    except PassingError as failure:
        raise unreachable(place, failure) from failure
