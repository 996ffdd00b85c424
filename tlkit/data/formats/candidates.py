"""The result of a format's reader: files with their classes and splits, not opened yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tlkit.data.manifest import SkippedFile

_SPLIT_OF = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
SPLIT_SPELLINGS = "train or training, validation, valid, val or dev, test or testing"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that should be an image.

    Attributes:
        path: Absolute.
        answer: The target as text, usually the class; see `tlkit.tasks`. None: the class of its box.
        split: The split, if the data has one.
        metadata: The cells of the metadata columns, from a table.
    """

    path: Path
    answer: str | None
    split: str | None
    metadata: tuple[str, ...] = ()


@dataclass(frozen=True)
class Candidates:
    """Everything that a reader found.

    Args:
        root: The data's folder, absolute; for a table, the folder that holds it.
        items: The files, in a fixed order.
        skipped: Files that cannot be images, and why.
        notices: Notices for the user, one sentence each.
        unused_columns: Columns of a table that are not used.
    """

    root: Path
    items: tuple[Candidate, ...]
    skipped: tuple[SkippedFile, ...]
    notices: tuple[str, ...]
    unused_columns: tuple[str, ...] = ()


def find_split(name: str) -> str | None:
    """Return the split that a folder name or a cell stands for, whatever its case; None if it is not a split."""
    return _SPLIT_OF.get(name.strip().lower())
