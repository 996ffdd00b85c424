"""Parse several labels in a cell, or in columns of 0 and 1."""

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
    """Return each cell's labels joined by `|`, and a notice of what was detected, if anything.

    Args:
        path: The table, for messages.
        cells: One per row.
        separator: The user's separator: text, `space`, `none` (a cell is one label), or None to detect it.

    Raises:
        DataError: Commas or spaces may be separators or part of the labels.
    """
    distinct = {cell for cell in cells if cell}
    split, notice = (_split_at(separator), "") if separator else _find_splitter(path, distinct)
    labels = {cell: [label for label in (part.strip() for part in split(cell)) if label] for cell in distinct}
    torn = next((label for found in labels.values() for label in found if LABEL_SEPARATOR in label), None)
    if torn is not None:
        raise DataError(
            f"{path}: the label {torn[:80]!r} contains a {LABEL_SEPARATOR}.",
            expected=f"labels without {LABEL_SEPARATOR}, which is the separator",
            fix=f'rename the label, or use --label-separator "{LABEL_SEPARATOR}".',
        )
    return [LABEL_SEPARATOR.join(labels[cell]) if cell else "" for cell in cells], notice


def find_combined_classes(path: Path, cells: Collection[str]) -> str:
    """Return a notice if the classes of a table look like several labels each, else an empty string."""
    distinct = {cell for cell in cells if cell}
    # A space is often part of a name, so here each word has to be a class by itself.
    of_words = {cell for cell in distinct if {*cell.split()} <= distinct}
    for sign, candidates in ((LABEL_SEPARATOR, distinct), (";", distinct), (",", distinct), (" ", of_words)):
        examples = [cell for cell in sorted(candidates) if sign in cell]
        part = _find_part_of_known_labels(distinct, _split_at(sign))
        if part >= _MIN_PART and examples:
            example = examples[0]
            return (
                f"{path.name}: classes such as {example[:80]!r} look like several labels; --task multilabel learns "
                "each separately."
            )
    return ""


def find_one_hot(table: Table, free: Sequence[str]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return the columns, at least two, with only 0 and 1, and the names of those that are 1 in each row."""
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
    """Return the splitter for cells, and a notice unless it is the usual `|`."""
    if cells and all(_parse_list(cell) is not None for cell in cells):
        return lambda cell: _parse_list(cell) or [], f"{path.name}: labels in a cell are read as a list."
    for sign in (LABEL_SEPARATOR, ";"):
        if any(sign in cell for cell in cells):
            notice = f"{path.name}: labels in a cell are split at {sign!r}."
            return _split_at(sign), "" if sign == LABEL_SEPARATOR else notice
    for name, sign, word in ((",", ",", "','"), (SPACE, " ", "spaces")):
        example = next((cell for cell in sorted(cells) if sign in cell), None)
        part = _find_part_of_known_labels(cells, _split_at(name))
        if example is None or (name == SPACE and part == 0):
            continue
        if part >= _MIN_PART:
            return _split_at(name), f"{path.name}: labels in a cell are split at {word}."
        raise DataError(
            f"{path}: {example[:80]!r} may be one label or several.",
            expected=f"labels separated by {LABEL_SEPARATOR}, or an explicit separator",
            fix=f'use --label-separator "{name}" if it is several, else --label-separator {NO_SEPARATOR}.',
        )
    return _split_at(NO_SEPARATOR), ""


def _find_part_of_known_labels(cells: Collection[str], split: Splitter) -> float:
    """Return the fraction, 0..1, of cells with several labels whose labels all occur in other cells too."""
    labels = {cell: [part.strip() for part in split(cell) if part.strip()] for cell in cells}
    counts = Counter(label for found in labels.values() for label in {*found})
    several = [found for found in labels.values() if len(found) > 1]
    return sum(all(counts[label] > 1 for label in found) for found in several) / max(1, len(several))


def _parse_list(cell: str) -> list[str] | None:
    """Parse a list of strings as written by JSON, Python or NumPy; None if the cell is not such a list."""
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
