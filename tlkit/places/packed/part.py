"""One packed file, unpacked: a folder of images, what its table will say of each, and what was left out.

A part is made in a folder of its own that gets its name when it is whole. Its notes are hidden files, which nobody takes for
data.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from tlkit.files import read_json, write_json

MAX_IMAGE_BYTES = 2**30
_ROWS, _NOTES = ".rows.jsonl", ".part.json"
_MAX_NAMED = 1000


@dataclass
class Part:
    """What became of one packed file.

    Attributes:
        stamp: What changes with the packed file.
        columns: Columns of the rows, in order.
        num_images: Number of images.
        left_out: Members or rows that are not used, each with its reason; of many, the first.
        unused: How often something was seen that is not used, by what it is.
    """

    stamp: str
    columns: list[str] = field(default_factory=list)
    num_images: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    unused: Counter[str] = field(default_factory=Counter)

    def leave_out(self, name: str, reason: str) -> None:
        """Note something that is not used."""
        self.unused[reason] += 1
        if len(self.left_out) < _MAX_NAMED:
            self.left_out[name] = reason

    def write_notes(self, folder: Path) -> None:
        """Write the notes into the part's folder."""
        write_json(
            folder / _NOTES,
            {
                "stamp": self.stamp,
                "columns": self.columns,
                "images": self.num_images,
                "left_out": self.left_out,
                "unused": dict(self.unused),
            },
        )


def read_part(folder: Path) -> Part | None:
    """Return the notes of a part; None if there is none that is whole."""
    try:
        notes = read_json(folder / _NOTES)
        return Part(
            str(notes["stamp"]),
            [str(name) for name in notes["columns"]],
            int(notes["images"]),
            {str(name): str(reason) for name, reason in notes["left_out"].items()},
            Counter({str(reason): int(number) for reason, number in notes["unused"].items()}),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


class RowWriter:
    """Writes what the table says of each image of a part, one JSON object a line.

    Args:
        part: Its columns and number of images are kept.
        file: The open file of rows.
    """

    def __init__(self, part: Part, file: TextIO) -> None:
        self._part = part
        self._file = file

    def write(self, path: str, cells: dict[str, str]) -> None:
        """Write the row of an image.

        Args:
            path: Path of the image in the part's folder, with slashes.
            cells: Its other cells, by column.
        """
        self._part.columns += [name for name in cells if name not in self._part.columns]
        self._part.num_images += 1
        self._file.write(json.dumps([path, cells]) + "\n")


def open_rows(folder: Path) -> TextIO:
    """Return the file of a part's rows, open for writing."""
    return (folder / _ROWS).open("w", encoding="utf-8", errors="surrogateescape")


def read_rows(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the path and the other cells of each image of a part."""
    with (folder / _ROWS).open(encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            path, cells = json.loads(line)
            yield path, cells
