"""Find the images to predict: folders, patterns, files, or paths on standard input."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tlkit.data.signatures import IMAGE_SUFFIXES, looks_like_image
from tlkit.data.standard_input import read_lines
from tlkit.errors import DataError
from tlkit.places.copies import list_failures

_FOLDERS = frozenset(
    {
        # Synology
        "@eadir",
        "@tmp",
        "@sharebin",
        "@sharesnap",
        "#recycle",
        "#snapshot",
        # QNAP
        "@recycle",
        "@recently-snapshot",
        "@__thumb",
        # NetApp
        "~snapshot",
        # Windows
        "$recycle.bin",
        "system volume information",
        # Linux
        "lost+found",
        # macOS
        "__macosx",
        "network trash folder",
        "temporary items",
        # GoodSync
        "_gsdata_",
        # Python
        "__pycache__",
    }
)
# Windows: files recovered by chkdsk, and a user's folder of deleted files in RECYCLER.
_FOLDER_PATTERN = re.compile(r"found\.\d{3}|s-1-5-[\d-]+")
_FILES = frozenset({"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "picasa.ini", "icon\r"})
# Streams and attributes that a drive cannot store in the file are stored beside it.
_FILE_ENDINGS = (":zone.identifier", ":encryptable", "@synoeastream", "@synoresource")


def is_system_folder(name: str) -> bool:
    """Return whether a folder of this name, in any case, belongs to the operating system."""
    folded = name.casefold()
    return folded in _FOLDERS or _FOLDER_PATTERN.fullmatch(folded) is not None


def is_system_file(name: str) -> bool:
    """Return whether a file of this name, in any case, belongs to the operating system."""
    folded = name.casefold()
    return folded in _FILES or folded.endswith(_FILE_ENDINGS)


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


__all__ = ["OUTPUT_MARKER", "find_images"]

STDIN = "-"


@dataclass(frozen=True)
class FoundImages:
    """The files found for the sources.

    Attributes:
        groups: The files in the order of the sources, in groups that can be processed together. Groups from standard
            input are lines, unchanged, as they arrive.
        number: Number of files; None for standard input.
        files: All files; empty for standard input.
    """

    groups: Iterator[Sequence[Path] | Sequence[str]]
    number: int | None
    files: Sequence[Path] = ()


def find_images(sources: Sequence[str], stdin: BinaryIO | None = None) -> FoundImages:
    """Return the files of the sources, in order.

    Args:
        sources: A folder, for all files at any depth that look like images, except hidden and system folders and
            tlkit's own output; a pattern such as `photos/**/*.jpg`; or a file, whatever it looks like. Each file is
            returned once. `-` reads one path per line from standard input, with repetitions.
        stdin: Where `-` reads from; see `tlkit.data.standard_input`.

    Returns:
        Paths as the user wrote them, or below the user's folders. A path from standard input need not exist.

    Raises:
        DataError: A source does not exist, or no image was found.
    """
    seen: set[str] = set()
    groups: list[list[Path] | None] = []
    for source in sources:
        if source == STDIN:
            groups.append(None)
            continue
        found = list(_drop_seen(_find(source), seen))
        last = groups[-1] if groups else None
        if last is None:
            groups.append(found)
        else:
            last += found
    if not any(group is None or group for group in groups):
        raise DataError(
            f"{', '.join(sources)}: no images found.",
            expected="folders with images, patterns, image files, or - for paths on standard input",
            fix="check the path; hidden folders and tlkit's own output are skipped.",
        )
    if None in groups:
        return FoundImages(_read_groups(groups, stdin), None)
    files = [file for group in groups if group is not None for file in group]
    return FoundImages(_read_groups(groups, stdin), len(files), files)


def _read_groups(
    groups: Sequence[list[Path] | None], stdin: BinaryIO | None
) -> Iterator[Sequence[Path] | Sequence[str]]:
    for group in groups:
        if group is not None:
            yield group
        elif stdin is not None:
            yield from read_lines(stdin)


def _find(source: str) -> Iterator[Path]:
    path = Path(source)
    if path.is_dir():
        yield from _find_in_folder(path)
    elif os.path.lexists(path):
        yield path
    else:
        matches = sorted(glob.glob(source, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
        if not matches:
            raise DataError(
                f"{source}: no such file or folder.",
                expected="a folder, a file, a pattern such as 'photos/**/*.jpg', or -",
                fix="check the path.",
            )
        for match in map(Path, matches):
            if _is_of_a_system(match, source):
                continue
            yield from _find_in_folder(match) if match.is_dir() else (match,)


def _is_of_a_system(match: Path, pattern: str) -> bool:
    """Return whether a wildcard matched a system file; names spelled out in the pattern are intended."""
    spelled_out = Path(pattern).parts
    return any(is_system_folder(part) or is_system_file(part) for part in match.parts if part not in spelled_out)


def _find_in_folder(folder: Path) -> Iterator[Path]:
    """Yield files that look like images, and unreadable folders so that they are reported."""
    yield from (
        path for path in list_failures(folder) if path.suffix.lower() in IMAGE_SUFFIXES
    )  # so that each has a row
    for file in walk_files(folder):
        # A file with a problem may be a pipe, which must not be opened.
        if file.problem is None:
            is_wanted = looks_like_image(file.path)
        else:
            is_wanted = file.path.suffix.lower() in IMAGE_SUFFIXES or file.path.is_dir()
        if is_wanted:
            yield file.path


def _drop_seen(paths: Iterable[Path], seen: set[str]) -> Iterator[Path]:
    for path in paths:
        place = os.path.abspath(path)  # noqa: PTH100 - "./a" and "a" are one file
        if place not in seen:
            seen.add(place)
            yield path
