"""Which columns of a table divide it into training, validation and test images."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tlkit.data.formats.candidates import SPLIT_SPELLINGS, find_split
from tlkit.data.formats.column_names import SPLIT_COLUMNS
from tlkit.data.formats.table_file import Table
from tlkit.data.manifest import SPLITS
from tlkit.errors import DataError
from tlkit.metadata.categories import read_flags

NO_SPLIT_COLUMN = "none"
"""What the user names to have no column taken for the split."""

_TABLE_WORDS = {"validate": "validation", "publictest": "validation", "privatetest": "test"}
_FLAGS = {
    "is_train": "train",
    "is_training": "train",
    "is_training_image": "train",
    "is_valid": "validation",
    "is_val": "validation",
    "is_validation": "validation",
    "is_test": "test",
}


@dataclass(frozen=True)
class TableSplits:
    """The splits of a table's rows: one text a row, empty where a row has none; no texts if the table has no splits.

    Attributes:
        columns: The columns that tell them.
        splits: One for each row.
        notice: How they were found, if it was not by a column's usual name.
    """

    columns: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    notice: str = ""


def find_splits(table: Table, asked: str | None, taken: Collection[str]) -> TableSplits:
    """Return the splits of a table's rows.

    They stand in the column that is asked for, or in one of a usual name; else in a column all of whose cells are words
    for splits, or in flags such as `is_valid`.

    Args:
        table: The table, which has the column that is asked for.
        asked: A column, `none`, or None: found.
        taken: Columns that have another part.

    Raises:
        DataError: The column has other words, or several columns tell different splits.
    """
    if asked == NO_SPLIT_COLUMN and asked not in table.header:
        return TableSplits()
    free = [name for name in table.header if name not in taken]
    usual = {name.lower(): name for name in reversed(free)}
    column = asked or next((usual[name] for name in SPLIT_COLUMNS if name in usual), "")
    if column:
        cells = table.read_column(column)
        flag = _read_flags(column, cells)
        splits = _split_by_flags([flag]) if flag else tuple(_parse_split(table, column, cell) for cell in cells)
        return TableSplits((column,), splits)
    found = list(_find_word_columns(table, free))
    flags = {name: flag for name in filter(_find_flag_split, free) if (flag := _read_flags(name, _read(table, name)))}
    if flags:
        _refuse_flag_of_most(table, flags)
        found.append((tuple(flags), _split_by_flags(list(flags.values()))))
    return _choose(table, found) if found else TableSplits()


def _choose(table: Table, found: Sequence[tuple[tuple[str, ...], tuple[str, ...]]]) -> TableSplits:
    columns, splits = found[0]
    other = next((names for names, texts in found[1:] if texts != splits), None)
    if other:
        raise DataError(
            f"{table.path}: both {columns[0]!r} and {other[0]!r} could be the splits, and they differ.",
            expected="one column of splits",
            fix=f"use --split-column {columns[0]} or --split-column {other[0]}, or --split-column {NO_SPLIT_COLUMN}.",
        )
    counts = ", ".join(f"{splits.count(name):,} {name}" for name in SPLITS if name in splits)
    names = " and ".join(map(repr, columns))
    return TableSplits(columns, splits, f"{table.path.name}: the splits come from {names}: {counts}.")


def _find_word_columns(table: Table, free: Sequence[str]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Yield columns whose cells are words of two or more splits, and nothing else."""
    for name in free:
        cells = _read(table, name)
        words = {cell: _find_word(cell) for cell in {*cells} if cell}
        if len({*words.values()}) > 1 and all(words.values()):
            yield (name,), tuple(words[cell] or "" if cell else "" for cell in cells)


def _read(table: Table, name: str) -> Sequence[str]:
    """Return a column's cells; none if it holds no texts, such as the pictures themselves."""
    try:
        return table.read_column(name)
    except DataError:
        return ()


def _find_word(cell: str) -> str | None:
    return find_split(cell) or _TABLE_WORDS.get(cell.strip().lower())


def _find_flag_split(name: str) -> str | None:
    """Return the split that a flag of this name stands for; None if it is no such flag."""
    return _FLAGS.get("_".join(name.lower().replace("-", " ").split()))


def _read_flags(name: str, cells: Sequence[str]) -> tuple[str, tuple[bool, ...]] | None:
    """Return the split that a flag of this name stands for, and which rows have it; None if it is no such flag."""
    split = _find_flag_split(name)
    values = read_flags(cells) if split else None
    return None if split is None or values is None else (split, tuple(values))


def _split_by_flags(flags: Sequence[tuple[str, tuple[bool, ...]]]) -> tuple[str, ...]:
    """Return each row's split: that of its first flag, or else the one that no flag names."""
    named = {split for split, _ in flags}
    other = next((split for split in ("train", "test", "validation") if split not in named), "")
    rows = zip(*(values for _, values in flags), strict=True)
    return tuple(next((flags[place][0] for place, is_set in enumerate(row) if is_set), other) for row in rows)


def _refuse_flag_of_most(table: Table, flags: Mapping[str, tuple[str, tuple[bool, ...]]]) -> None:
    """Raise DataError for a flag of validation or test images that most rows have: it may tell usable images."""
    for name, (split, values) in flags.items():
        if split != "train" and 2 * sum(values) > len(values):
            raise DataError(
                f"{table.path}: {name!r} is true in {sum(values):,} of {len(values):,} rows.",
                expected=f"a flag of {split} images, which are the smaller part, or a column of another name",
                fix=f"use --split-column {name} if they are {split} images, else --split-column {NO_SPLIT_COLUMN}.",
            )


def _parse_split(table: Table, column: str, cell: str) -> str:
    """Return the split that a cell names, or an empty text for an empty cell."""
    split = _find_word(cell) if cell else ""
    if split is None:
        raise DataError(
            f"{table.path}: the split column {column!r} holds {cell[:80]!r}.",
            expected=SPLIT_SPELLINGS,
            fix=f"fix the cell, or name another column with --split-column ({NO_SPLIT_COLUMN}: there is none).",
        )
    return split
