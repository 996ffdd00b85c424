"""Walk folders in sorted order: skip hidden, system and tlkit's own folders, follow links, visit nothing twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tlkit.data.system_entries import is_system_file, is_system_folder

OUTPUT_MARKER = ".tlkit-output"
"""The file that marks a folder as tlkit's output, so that it is never read as data."""


@dataclass(frozen=True)
class FoundFile:
    """A path below a folder; `problem` says why it cannot be read, or is None."""

    path: Path
    problem: str | None = None


@dataclass(frozen=True)
class Listing:
    """The direct entries of a folder, each part sorted by name; `skipped` are files of the operating system."""

    folders: tuple[Path, ...]
    files: tuple[FoundFile, ...]
    skipped: tuple[Path, ...] = ()


def list_folder(folder: Path) -> Listing:
    """Return the visible folders and files in a folder.

    Skipped: names that start with a dot, folders with tlkit's output marker, and files of operating systems and network
    drives, such as `@eaDir` and `Thumbs.db`. Broken links, pipes and the like are returned with a `problem`.

    Raises:
        OSError: The folder cannot be read.
    """
    with os.scandir(folder) as scan:
        entries = sorted((entry for entry in scan if not entry.name.startswith(".")), key=lambda entry: entry.name)
    folders, files, skipped = [], [], []
    for entry in entries:
        path = folder / entry.name
        try:
            if (is_system_folder if entry.is_dir() else is_system_file)(entry.name):
                skipped.append(path)
            elif entry.is_dir():
                if not os.path.lexists(path / OUTPUT_MARKER):
                    folders.append(path)
            elif entry.is_file():
                files.append(FoundFile(path))
            else:
                files.append(FoundFile(path, "a broken link" if entry.is_symlink() else "not a regular file"))
        except OSError as error:
            files.append(FoundFile(path, f"cannot be read: {error.strerror}"))
    return Listing(tuple(folders), tuple(files), tuple(skipped))


def walk_files(folder: Path, *, skipped: list[Path] | None = None) -> Iterator[FoundFile]:
    """Yield the files of a folder, then those of its subfolders, whatever their suffix.

    An unreadable folder is yielded itself, with a `problem`. A folder that links lead to again is walked once, so
    cycles end.

    Args:
        folder: Where to start; it is walked whatever its name.
        skipped: Collects the files of the operating system.
    """
    visited: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            status = current.stat()
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            listing = list_folder(current)
        except OSError as error:
            yield FoundFile(current, f"a folder that cannot be read: {error.strerror}")
            continue
        if skipped is not None:
            skipped += listing.skipped
        yield from listing.files
        waiting.extend(reversed(listing.folders))
