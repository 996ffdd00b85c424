"""Find the images to predict: folders, patterns, files, or paths on standard input."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tlkit.data.file_walk import OUTPUT_MARKER, walk_files
from tlkit.data.signatures import IMAGE_SUFFIXES, looks_like_image
from tlkit.data.standard_input import read_lines
from tlkit.data.system_entries import is_system_file, is_system_folder
from tlkit.errors import DataError

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
