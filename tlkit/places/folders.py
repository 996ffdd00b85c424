"""The folder of a copy below the cache root: its parts, its locks, what it says of itself, and the list of all.

`lock` is shared by all processes that use the copy, so that none removes it; `copying` is held by the one that copies.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlkit.files import held_lock, read_json, write_json
from tlkit.places.names import MAX_NAME_BYTES, find_name_problem
from tlkit.places.place import Place, parse_place
from tlkit.waiting import waiting_for

PLACES = "places"
"""Folder under the cache root in which copies lie."""
_DESCRIPTION, _INDEX, _ASIDE = "place.json", "objects.sqlite", "aside"
_LOCK, _COPYING = "lock", "copying"
_OWN_FILES = (_DESCRIPTION, _INDEX, f"{_INDEX}-journal", _COPYING, _LOCK)
_NAME = re.compile(r".{1,64}-(objects-|unpacked-)?[0-9a-f]{16}")
_PAUSE_SECONDS = 0.2

_users = ExitStack()
"""The locks of the copies that this process uses, until it ends."""


@dataclass(frozen=True)
class CopyFolder:
    """A copy's folder.

    Attributes:
        path: The folder.
        place: What it is a copy of.
    """

    path: Path
    place: Place

    @property
    def data(self) -> Path:
        """The copy: a folder with the name that the place has."""
        return self.path / (self.place.name if _is_plain(self.place.name) else "data")

    @property
    def index(self) -> Path:
        """The list of its objects."""
        return self.path / _INDEX

    @property
    def aside(self) -> Path:
        """Where files are written before they get their names."""
        return self.path / _ASIDE

    def clear_aside(self) -> None:
        """Remove what a killed process left half written, and make the folder for what is written aside."""
        shutil.rmtree(self.aside, ignore_errors=True)
        self.aside.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(exist_ok=True)

    def describe(self) -> None:
        """Write what the copy is of."""
        write_description(self.path, str(self.place))


def write_description(folder: Path, text: str) -> None:
    """Write into a copy's folder what it is a copy of; the file's time is that of its last use."""
    write_json(folder / _DESCRIPTION, {"url": text})


def _is_plain(name: str) -> bool:
    return find_name_problem(name) is None and not name.startswith((".", "-")) and len(name.encode()) < MAX_NAME_BYTES


def find_copy_folder(place: Place, root: Path, *, of_objects: bool = False) -> CopyFolder:
    """Return the folder of a place's copy, whether it is there or not.

    Args:
        place: A folder.
        root: The cache root.
        of_objects: Whether only single objects are copied that were named.
    """
    name = re.sub(r"[^\w.-]+", "_", place.name)[:64].strip(".-") or "place"
    kind = "objects-" if of_objects else ""
    return CopyFolder(root / PLACES / f"{name}-{kind}{place.identity}", place)


def locate_copy(url: str, root: Path) -> Path:
    """Return where the copy of a folder lies, if it was copied: with its folder, or as single objects."""
    place = parse_place(url).folder
    as_folder = find_copy_folder(place, root).data
    as_objects = find_copy_folder(place.root, root, of_objects=True).data.joinpath(*filter(None, place.key.split("/")))
    return as_objects if as_objects.exists() and not as_folder.exists() else as_folder


@contextmanager
def held_folder(place: Place, root: Path, *, of_objects: bool = False) -> Iterator[CopyFolder]:
    """Yield a copy's folder, in which no other process copies at the same time; until this one ends, none removes it.

    Raises:
        OSError: The folder cannot be made.
    """
    folder = find_copy_folder(place, root, of_objects=of_objects)
    with held_path(folder.path, f"another process that copies {place}"):
        if not folder.index.exists():  # nobody knows what these files are
            shutil.rmtree(folder.data, ignore_errors=True)
        yield folder


@contextmanager
def held_path(path: Path, waited_for: str) -> Iterator[None]:
    """Hold the folder of a copy, which is made if needed, so that only this process changes it; none removes it later.

    Args:
        path: The folder.
        waited_for: What another process does that holds it, in words.

    Raises:
        OSError: The folder cannot be made.
    """
    with waiting_for(waited_for):
        _use(path)
        turn = _take_turn(path / _COPYING)
    with turn:
        yield


def _use(folder: Path) -> None:
    """Make a folder, and share its lock until the process ends."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _users.enter_context(held_lock(folder / _LOCK, shared=True))
        except (BlockingIOError, FileNotFoundError):  # it is being removed
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def _take_turn(path: Path) -> ExitStack:
    """Return the held lock of a file, once no other process holds it."""
    turn = ExitStack()
    while True:
        try:
            turn.enter_context(held_lock(path))
        except BlockingIOError:
            time.sleep(_PAUSE_SECONDS)
        else:
            return turn


@dataclass(frozen=True)
class CopySummary:
    """A copy on the disk.

    Attributes:
        key: Name of its folder.
        folder: Its folder.
        url: Its place; empty if its description is lost.
        num_files: Number of files.
        num_bytes: Their size.
        last_used: When it was last brought up to date, in seconds since 1970.
    """

    key: str
    folder: Path
    url: str
    num_files: int
    num_bytes: int
    last_used: float


def list_copies(root: Path) -> list[CopySummary]:
    """Return the copies below a cache root, most recently used first."""
    found = []
    for folder in sorted((root / PLACES).glob("*")):
        if not _NAME.fullmatch(folder.name) or folder.is_symlink() or not folder.is_dir():
            continue
        num_files = num_bytes = 0
        for path in _walk(folder):
            with suppress(OSError):
                num_bytes += path.lstat().st_size
                num_files += path.parent != folder
        description = _read_description(folder)
        with suppress(OSError):
            last_used = max(
                (folder / name).stat().st_mtime for name in (_DESCRIPTION, _INDEX, ".") if (folder / name).exists()
            )
            found.append(
                CopySummary(folder.name, folder, str(description.get("url", "")), num_files, num_bytes, last_used)
            )
    return sorted(found, key=lambda each: -each.last_used)


def _read_description(folder: Path) -> dict[str, Any]:
    try:
        content = read_json(folder / _DESCRIPTION)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _walk(folder: Path) -> Iterator[Path]:
    for current, _, names in os.walk(folder):
        yield from (Path(current, name) for name in names)


@contextmanager
def claimed_copy(folder: Path) -> Iterator[bool]:
    """Yield whether no process uses a copy; if so, none can inside the context."""
    with ExitStack() as lock:
        try:
            lock.enter_context(held_lock(folder / _LOCK))
        except BlockingIOError:
            yield False
            return
        except OSError:
            pass
        yield True


def remove_copy(folder: Path) -> None:
    """Remove a copy that is claimed: its data, and the files beside it.

    Raises:
        OSError: A file cannot be removed.
    """
    for entry in sorted(folder.iterdir(), key=lambda path: path.name in _OWN_FILES):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name in _OWN_FILES:
            entry.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
