"""What a format's reader hands on: files with their classes and splits, none of them opened yet."""

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
    """A file that ought to be an image.

    Attributes:
        path: Absolute.
        answer: What is to be learnt of it, as its task has it (`tlkit.tasks`): mostly its class. None: the class of its box.
        split: Where the data gives one.
        metadata: The texts of the metadata's columns, if a table has them.
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
        skipped: What can be no image, and why.
        notices: What was skipped, one sentence each.
        unused_columns: Columns of a table that have no part in the data set.
    """

    root: Path
    items: tuple[Candidate, ...]
    skipped: tuple[SkippedFile, ...]
    notices: tuple[str, ...]
    unused_columns: tuple[str, ...] = ()


def find_split(name: str) -> str | None:
    """Return the split that a folder's name or a table's cell means, whatever its case; None if it means none."""
    return _SPLIT_OF.get(name.strip().lower())
