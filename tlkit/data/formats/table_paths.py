"""Resolve the paths in a table to files, including paths written by other systems and programs.

A path is first resolved unchanged, relative to the table's folder. Only if no such file exists are other readings
tried: backslashes, `file://`, `~`, percent-encoding, the other Unicode form, different case, a missing suffix. A
reading is
used only if it matches exactly one existing file.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import unquote

from tlkit.data.signatures import IMAGE_SUFFIXES
from tlkit.errors import DataError
from tlkit.places.copies import find_path, show_path
from tlkit.places.place import is_place, names_bucket, parse_place

_MAX_PATH_LENGTH = 4096
_MAX_FOLDERS = 200
_FILE_URL = re.compile(r"file:(?://[^/]*)?(?=/)", re.IGNORECASE)
_URL = re.compile(r"(?:https?|ftp|s3|gs|data):", re.IGNORECASE)


class PathFinder:
    """Finds the files that a table names.

    Attributes:
        readings: Number of paths resolved by another reading, by the reading's name.

    Args:
        table: The table, absolute; relative paths are relative to its folder.
    """

    def __init__(self, table: Path) -> None:
        self._table = table
        self._names: dict[Path, dict[str, list[str]]] = {}
        self._folders: dict[Path, Path | None] = {}
        self._found: dict[str, tuple[Path | None, str]] = {}
        self._missing: list[str] = []
        self._num_found = 0
        self.readings: Counter[str] = Counter()

    def copy_from_buckets(self, cells: Iterable[str]) -> list[str]:
        """Copy what the cells name in buckets to this machine, and return notices; see `tlkit.places.rows`."""
        cells = list(cells)
        if not (is_place(show_path(self._table)) or any(map(names_bucket, cells))):
            return []
        from tlkit.places.rows import copy_rows

        return copy_rows(self._table, cells)

    def find(self, cell: str) -> Path:
        """Return the absolute path of a cell's file; the cell unchanged if there is none."""
        if cell not in self._found:
            self._found[cell] = self._find(cell)
        path, reading = self._found[cell]
        if path is None:
            self._missing.append(cell)
            return self._join(cell)
        if reading:
            self.readings[reading] += 1
        self._num_found += 1
        return path

    def _find(self, cell: str) -> tuple[Path | None, str]:
        """Return a cell's file, or None, and how the cell was read."""
        return next(((path, reading) for path, reading in self._read(cell) if path is not None), (None, ""))

    def _join(self, cell: str) -> Path:
        return Path(os.path.normpath(self._table.parent / cell))

    def _read(self, cell: str) -> Iterator[tuple[Path | None, str]]:
        """Yield the readings of a cell, likely ones first; None if a reading matches no file."""
        if names_bucket(cell):
            yield find_path(parse_place(cell).url), ""
            return
        is_too_deep = len(re.findall(r"[\\/]", cell)) > _MAX_FOLDERS
        if len(cell) > _MAX_PATH_LENGTH or is_too_deep or "\0" in cell:
            return
        for text, reading in ((cell, ""), *_respell(cell)):
            path = self._join(text)
            yield (path if os.path.lexists(path) else None), reading
        for text, reading in ((cell, ""), *_respell(cell)):
            path = self._join(text)
            yield self._find_similar(path), reading or "paths in a different case or Unicode form"
            yield self._find_suffix(path), "paths without a suffix"

    def _find_similar(self, path: Path) -> Path | None:
        """Return the only file whose path differs just in case or Unicode form."""
        folder = self._find_folder(path.parent)
        names = [] if folder is None else self._list_names(folder).get(fold_name(path.name), [])
        return folder / names[0] if folder is not None and len(names) == 1 else None

    def _find_folder(self, folder: Path) -> Path | None:
        if folder not in self._folders:
            self._folders[folder] = folder if folder.is_dir() else None
            if not folder.is_dir() and folder.parent != folder:
                self._folders[folder] = self._find_similar(folder)
        return self._folders[folder]

    def _find_suffix(self, path: Path) -> Path | None:
        """Return the only image whose name is the path plus a suffix."""
        folder = self._find_folder(path.parent)
        if folder is None or path.suffix.lower() in IMAGE_SUFFIXES:
            return None
        names = self._list_names(folder)
        found = [name for suffix in IMAGE_SUFFIXES for name in names.get(fold_name(path.name) + suffix, ())]
        return folder / found[0] if len(found) == 1 else None

    def _list_names(self, folder: Path) -> dict[str, list[str]]:
        """Return the names in a folder by their normalized form."""
        if folder not in self._names:
            names: dict[str, list[str]] = {}
            try:
                for name in os.listdir(folder):
                    names.setdefault(fold_name(name), []).append(name)
            except OSError:
                names = {}
            self._names[folder] = names
        return self._names[folder]

    def describe_readings(self) -> list[str]:
        """Return notices about paths that were resolved by another reading."""
        return [
            f"{self._table.name}: {number:,} {'file was' if number == 1 else 'files were'} found by reading {reading}."
            for reading, number in self.readings.items()
        ]

    def describe(self) -> list[str]:
        """Return notices about paths that were resolved by another reading, or are missing but fixable.

        Raises:
            DataError: No path leads to a file, and the reason is known.
        """
        hint = self._explain_missing()
        if hint and not self._num_found:
            raise DataError(
                f"{self._table}: none of the files exists; the first: {self._missing[0][:200]}.",
                expected=f"paths relative to {self._table.parent}, with / between folders",
                fix=hint,
            )
        what = "1 path leads" if len(self._missing) == 1 else f"{len(self._missing):,} paths lead"
        missing = f"{self._table.name}: {what} to no file ({self._missing[0][:200]}): {hint}" if hint else ""
        return [*self.describe_readings(), *filter(None, [missing])]

    def _explain_missing(self) -> str:
        """Return how to fix the first missing path, if known."""
        cell = self._missing[0] if self._missing else ""
        if _URL.match(cell):
            return "download the images, and use file paths, or URLs of a bucket such as s3://BUCKET/KEY."
        parts = split_path(cell)
        for start in range(max(1, len(parts) - _MAX_FOLDERS), len(parts)):
            tail = self._table.parent.joinpath(*parts[start:])
            if os.path.lexists(tail):
                return f"make the paths relative to the table's folder: {'/'.join(parts[start:])} exists."
        if PureWindowsPath(cell).is_absolute() or PurePosixPath(cell).is_absolute():
            return "the paths come from another location: make them relative to the table's folder, or move the table."
        return ""


def _respell(cell: str) -> Iterator[tuple[str, str]]:
    """Yield a cell as a path of this system, with the reading's name; percent-decoded last."""
    text, url = cell, _FILE_URL.match(cell)
    if url:
        yield unquote(cell[url.end() :]), "file:// URLs"
        return
    if cell.startswith("~"):
        text = os.path.expanduser(cell)  # noqa: PTH111 - Path.expanduser raises
        yield text, "paths from the home folder"
    elif "\\" in cell:
        text = cell.replace("\\", "/")
        yield text, "paths with backslashes"
    decoded = unquote(text)
    if decoded != text:
        yield decoded, "percent-encoding, such as %20 for a space"


def split_path(cell: str) -> tuple[str, ...]:
    """Split a path into its parts, whichever system it was written for."""
    return tuple(part for part in re.split(r"[\\/]+", unicodedata.normalize("NFC", cell)) if part not in ("", "."))


def fold_name(name: str) -> str:
    """Normalize a file name's case and Unicode form."""
    return unicodedata.normalize("NFC", name).casefold()
