"""Find the columns of a table that give its splits."""

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
"""The user's word for using no split column."""

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
    """The splits of a table's rows; empty if the table has none.

    Attributes:
        columns: The columns that they come from.
        splits: One for each row, empty if the row has none.
        notice: How they were detected, if not by a usual column name.
    """

    columns: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    notice: str = ""


def find_splits(table: Table, asked: str | None, taken: Collection[str]) -> TableSplits:
    """Return the splits of a table's rows.

    They come from the requested column, or one with a usual name; else from a column that contains only split names, or
    from flags such as `is_valid`.

    Args:
        table: The table; it has the requested column.
        asked: A column, `none`, or None to detect it.
        taken: Columns with another use.

    Raises:
        DataError: The column contains other words, or several columns give different splits.
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
            f"{table.path}: both {columns[0]!r} and {other[0]!r} could be the split column, and they differ.",
            expected="one split column",
            fix=f"use --split-column {columns[0]} or --split-column {other[0]}, or --split-column {NO_SPLIT_COLUMN}.",
        )
    counts = ", ".join(f"{splits.count(name):,} {name}" for name in SPLITS if name in splits)
    names = " and ".join(map(repr, columns))
    return TableSplits(columns, splits, f"{table.path.name}: the splits come from {names}: {counts}.")


def _find_word_columns(table: Table, free: Sequence[str]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Yield columns that contain only split names, of two or more splits."""
    for name in free:
        cells = _read(table, name)
        words = {cell: _find_word(cell) for cell in {*cells} if cell}
        if len({*words.values()}) > 1 and all(words.values()):
            yield (name,), tuple(words[cell] or "" if cell else "" for cell in cells)


def _read(table: Table, name: str) -> Sequence[str]:
    """Return a column's cells; empty if it is not text, such as image bytes."""
    try:
        return table.read_column(name)
    except DataError:
        return ()


def _find_word(cell: str) -> str | None:
    return find_split(cell) or _TABLE_WORDS.get(cell.strip().lower())


def _find_flag_split(name: str) -> str | None:
    """Return the split that a flag of this name means; None if it is not such a flag."""
    return _FLAGS.get("_".join(name.lower().replace("-", " ").split()))


def _read_flags(name: str, cells: Sequence[str]) -> tuple[str, tuple[bool, ...]] | None:
    """Return the split that a flag of this name means, and the rows that have it; None if it is not such a flag."""
    split = _find_flag_split(name)
    values = read_flags(cells) if split else None
    return None if split is None or values is None else (split, tuple(values))


def _split_by_flags(flags: Sequence[tuple[str, tuple[bool, ...]]]) -> tuple[str, ...]:
    """Return each row's split: that of its first flag, or else the remaining one."""
    named = {split for split, _ in flags}
    other = next((split for split in ("train", "test", "validation") if split not in named), "")
    rows = zip(*(values for _, values in flags), strict=True)
    return tuple(next((flags[place][0] for place, is_set in enumerate(row) if is_set), other) for row in rows)


def _refuse_flag_of_most(table: Table, flags: Mapping[str, tuple[str, tuple[bool, ...]]]) -> None:
    """Raise DataError if most rows have a validation or test flag, since it may mean valid images."""
    for name, (split, values) in flags.items():
        if split != "train" and 2 * sum(values) > len(values):
            raise DataError(
                f"{table.path}: {name!r} is true in {sum(values):,} of {len(values):,} rows.",
                expected=f"a {split} flag on the minority of rows, or another column name",
                fix=f"use --split-column {name} if they are {split} images, else --split-column {NO_SPLIT_COLUMN}.",
            )


def _parse_split(table: Table, column: str, cell: str) -> str:
    """Return a cell's split, or an empty string for an empty cell."""
    split = _find_word(cell) if cell else ""
    if split is None:
        raise DataError(
            f"{table.path}: the split column {column!r} contains {cell[:80]!r}.",
            expected=SPLIT_SPELLINGS,
            fix=f"fix the cell, or use another column with --split-column ({NO_SPLIT_COLUMN} for none).",
        )
    return split
