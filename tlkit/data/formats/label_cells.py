"""Several labels in a cell, or in columns of 0 and 1: what stands between them, and which labels there are."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from tlkit.data.formats.table_file import Table
from tlkit.errors import DataError
from tlkit.metadata.categories import read_flags
from tlkit.outputs import LABEL_SEPARATOR

NO_SEPARATOR, SPACE = "none", "space"

_QUOTED = re.compile(r"'([^'\\]*)'|\"([^\"\\]*)\"")
_MIN_PART = 0.5

Splitter = Callable[[str], Sequence[str]]


def join_labels(path: Path, cells: Sequence[str], separator: str | None) -> tuple[list[str], str]:
    """Return each cell's labels with `|` between them, and what was decided by evidence, if anything.

    Args:
        path: The table, for messages.
        cells: One a row.
        separator: What the user says: text, `space`, `none` (a cell is one label), or None: found.

    Raises:
        DataError: It cannot be told whether commas or spaces stand between labels or within them.
    """
    distinct = {cell for cell in cells if cell}
    split, notice = (_split_at(separator), "") if separator else _find_splitter(path, distinct)
    labels = {cell: [label for label in (part.strip() for part in split(cell)) if label] for cell in distinct}
    torn = next((label for found in labels.values() for label in found if LABEL_SEPARATOR in label), None)
    if torn is not None:
        raise DataError(
            f"{path}: the label {torn[:80]!r} holds a {LABEL_SEPARATOR}.",
            expected=f"labels without {LABEL_SEPARATOR}, which stands between them",
            fix=f'rename the label, or use --label-separator "{LABEL_SEPARATOR}".',
        )
    return [LABEL_SEPARATOR.join(labels[cell]) if cell else "" for cell in cells], notice


def find_combined_classes(path: Path, cells: Collection[str]) -> str:
    """Return a notice if the classes of a table look like several labels each; empty if they do not."""
    distinct = {cell for cell in cells if cell}
    # A space is often part of a name, so that here each word has to be a class of its own.
    of_words = {cell for cell in distinct if {*cell.split()} <= distinct}
    for sign, candidates in ((LABEL_SEPARATOR, distinct), (";", distinct), (",", distinct), (" ", of_words)):
        examples = [cell for cell in sorted(candidates) if sign in cell]
        part = _find_part_of_known_labels(distinct, _split_at(sign))
        if part >= _MIN_PART and examples:
            example = examples[0]
            return (
                f"{path.name}: classes such as {example[:80]!r} look like several labels; with --task multilabel each "
                "is learned by itself."
            )
    return ""


def find_one_hot(table: Table, free: Sequence[str]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return the columns, at least two, whose cells are all 0 or 1, and the names of those that are 1 in each row."""
    flags = {}
    for name in free:
        try:
            values = read_flags(table.read_column(name))
        except DataError:
            continue
        if values is not None:
            flags[name] = values
    if len(flags) < 2:
        return (), []
    rows = zip(*flags.values(), strict=True)
    return tuple(flags), [[name for name, is_set in zip(flags, row, strict=True) if is_set] for row in rows]


def _split_at(separator: str) -> Splitter:
    if separator == NO_SEPARATOR:
        return lambda cell: [cell]
    return str.split if separator == SPACE else lambda cell: cell.split(separator)


def _find_splitter(path: Path, cells: Collection[str]) -> tuple[Splitter, str]:
    """Return what divides cells into labels, and a notice unless it is the usual `|`."""
    if cells and all(_parse_list(cell) is not None for cell in cells):
        return lambda cell: _parse_list(cell) or [], f"{path.name}: the labels of a cell are read as a list."
    for sign in (LABEL_SEPARATOR, ";"):
        if any(sign in cell for cell in cells):
            told = f"{path.name}: the labels of a cell are divided at {sign!r}."
            return _split_at(sign), "" if sign == LABEL_SEPARATOR else told
    for name, sign, word in ((",", ",", "','"), (SPACE, " ", "spaces")):
        example = next((cell for cell in sorted(cells) if sign in cell), None)
        part = _find_part_of_known_labels(cells, _split_at(name))
        if example is None or (name == SPACE and part == 0):
            continue
        if part >= _MIN_PART:
            return _split_at(name), f"{path.name}: the labels of a cell are divided at {word}."
        raise DataError(
            f"{path}: {example[:80]!r} may be one label or several.",
            expected=f"labels with {LABEL_SEPARATOR} between them, or a separator that is named",
            fix=f'use --label-separator "{name}" if there are several, else --label-separator {NO_SEPARATOR}.',
        )
    return _split_at(NO_SEPARATOR), ""


def _find_part_of_known_labels(cells: Collection[str], split: Splitter) -> float:
    """Return in which part of those cells that hold several labels each of them occurs in another cell, too; 0..1."""
    labels = {cell: [part.strip() for part in split(cell) if part.strip()] for cell in cells}
    counts = Counter(label for found in labels.values() for label in {*found})
    several = [found for found in labels.values() if len(found) > 1]
    return sum(all(counts[label] > 1 for label in found) for found in several) / max(1, len(several))


def _parse_list(cell: str) -> list[str] | None:
    """Return the texts of a list as JSON, Python or NumPy writes it; None if the cell is no such list."""
    if not (cell.startswith("[") and cell.endswith("]")):
        return None
    try:
        values = json.loads(cell)
    except (ValueError, RecursionError):
        inside = cell[1:-1]
        if _QUOTED.sub("", inside).strip(", \n"):
            return None
        return [first or second for first, second in _QUOTED.findall(inside)]
    return [str(value) for value in values] if all(isinstance(value, str | int) for value in values) else None
