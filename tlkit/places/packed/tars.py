"""WebDataset tars: samples of files that share a name, `0001.jpg` with `0001.cls`, `0001.txt` or `0001.json`.

A tar may come from a stranger. Only regular members with plain names are written, none of them is followed, and none is
larger than the tar says in its own bytes: sparse and compressed tars are refused.
"""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tlkit.errors import DataError
from tlkit.places.names import find_name_problem, is_hidden
from tlkit.places.packed.part import MAX_IMAGE_BYTES, Part, RowWriter, open_rows

LABEL = "label"
_LABEL_FIELDS = ("label", "class", "class_name", "cls", "category")
_MAX_TEXT_BYTES = 2**20
_MAX_LABEL_LENGTH = 100
_TEXTS = ("cls", "json", "txt")
_REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE)


@dataclass
class _Sample:
    """The members of one key: paths of images, and texts by their ending."""

    key: str = ""
    images: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)


def unpack_tar(
    tar: Path, folder: Path, part: Part, *, is_image: Callable[[str], bool], advance: Callable[[int], None]
) -> None:
    """Write the images of a tar into a folder, and the rows of its table.

    Args:
        tar: The tar.
        folder: The new folder.
        part: Takes the notes.
        is_image: Whether a file of this ending, such as `.jpg`, is an image.
        advance: Called with the bytes of the tar that are done.

    Raises:
        DataError: It is no tar.
        OSError: The tar cannot be read, or the disk refuses.
    """
    with open_rows(folder) as file, tar.open("rb") as content:
        samples = _Samples(RowWriter(part, file), part, folder, is_image)
        try:
            for member, stream in _read_members(tar, content, part, advance):
                samples.add(member.name, member.size, stream)
        except (tarfile.TarError, EOFError):
            part.leave_out(tar.name, f"a tar that is damaged or cut off behind its first {part.num_images:,} images")
        samples.finish()


class _Samples:
    """Writes images as they come, and the row of each when all members of its sample have come."""

    def __init__(self, rows: RowWriter, part: Part, folder: Path, is_image: Callable[[str], bool]) -> None:
        self._rows = rows
        self._part = part
        self._folder = folder
        self._is_image = is_image
        self._taken: set[str] = set()
        self._sample = _Sample()

    def add(self, name: str, num_bytes: int, stream: IO[bytes]) -> None:
        """Take a member of the tar."""
        key, ending = _split_name(name)
        if key != self._sample.key:
            self.finish()
            self._sample = _Sample(key)
        if name in self._taken:
            self._part.leave_out(name, "a name that the tar has twice")
        elif self._is_image(f".{ending.rpartition('.')[2]}".lower()):
            self._taken.add(name)
            _write(stream, self._folder.joinpath(*name.split("/")))
            self._sample.images.append(name)
        elif ending.lower() in _TEXTS and num_bytes <= _MAX_TEXT_BYTES:
            self._sample.texts[ending.lower()] = stream.read().decode("utf-8", "replace").strip()
        else:
            self._part.leave_out(name, f"a file of type .{ending}" if ending else "a file without a type")

    def finish(self) -> None:
        """Write the rows of the last sample."""
        _finish(self._sample, self._rows, self._part)
        self._sample = _Sample()


def _read_members(
    tar: Path, content: IO[bytes], part: Part, advance: Callable[[int], None]
) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    """Yield the members that can be used, each with its bytes."""
    done = 0
    try:
        archive = tarfile.open(fileobj=content, mode="r:")  # noqa: SIM115 - closed below
    except (tarfile.TarError, EOFError) as error:
        raise _no_tar(tar) from error
    with archive:
        while (member := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # it would keep all of them
            member.name = member.name.removeprefix("./")
            stream = archive.extractfile(member) if _is_plain(member, part) else None
            if stream is not None:
                yield member, stream
            advance(archive.offset - done)
            done = archive.offset


def _is_plain(member: tarfile.TarInfo, part: Part) -> bool:
    """Return whether a member is a regular file of a usable name and size; others are noted."""
    if member.isdir() or (member.type in _REGULAR and is_hidden(member.name)):
        return False
    problem = find_name_problem(member.name)
    if member.type not in _REGULAR or member.sparse is not None:
        problem = "a link, a device or a sparse file in the tar"
    elif member.size > MAX_IMAGE_BYTES:
        problem = f"larger than {MAX_IMAGE_BYTES / 2**30:g} GiB"
    if problem:
        part.leave_out(member.name, problem)
    return problem is None


def _split_name(name: str) -> tuple[str, str]:
    """Return a member's key, up to the first dot of its last part, and its ending."""
    folder, slash, last = name.rpartition("/")
    stem, _, ending = last.partition(".")
    return f"{folder}{slash}{stem}", ending


def _write(stream: IO[bytes], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("wb") as file:
            shutil.copyfileobj(stream, file, 2**20)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _finish(sample: _Sample, rows: RowWriter, part: Part) -> None:
    """Write the rows of a sample's images."""
    if not sample.key:
        return
    if not sample.images:
        for ending in sample.texts:
            part.leave_out(f"{sample.key}.{ending}", "a text without an image")
        return
    cells = _read_json(sample, part)
    label = sample.texts.get("cls")
    if label is None:
        label = next((cells[name] for name in _LABEL_FIELDS if name in cells), None)
    text = sample.texts.get("txt")
    if text is not None and label is None and len(text) <= _MAX_LABEL_LENGTH and "\n" not in text:
        label = text
    elif text is not None:
        part.leave_out(f"{sample.key}.txt", "a text that is no label")
    if label is not None:
        cells = {LABEL: label, **{name: cell for name, cell in cells.items() if name != LABEL}}
    for image in sample.images:
        rows.write(image, cells)


def _read_json(sample: _Sample, part: Part) -> dict[str, str]:
    """Return the plain values of a sample's JSON object as cells."""
    text = sample.texts.get("json")
    if text is None:
        return {}
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        part.leave_out(f"{sample.key}.json", "a text that is no JSON object")
        return {}
    cells = {str(name): str(value) for name, value in content.items() if isinstance(value, (str, int, float))}
    for name in content.keys() - cells.keys():
        if content[name] is not None:
            part.leave_out(f"{sample.key}.json: {name}", f"the JSON value {name}, which is no text or number")
    return {name: cell for name, cell in cells.items() if name != "path"}


def _no_tar(tar: Path) -> DataError:
    return DataError(
        f"{tar}: not a tar file.",
        expected="an uncompressed tar of images, with labels beside them: 0001.jpg, 0001.cls",
        fix="unpack a compressed one first, with gunzip for instance.",
    )
