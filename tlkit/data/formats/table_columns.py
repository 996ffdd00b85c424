"""Find table columns by the user's names or by usual names, and parse numbers in common notations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tlkit.data.formats.column_names import IMAGE_COLUMNS
from tlkit.data.formats.table_file import Table
from tlkit.errors import DataError, SettingError, name_fix, nearest_name
from tlkit.metadata.columns import CATEGORY, MAX_NAME_LENGTH, ColumnRequest, normalize_column_name, quote_column_name
from tlkit.metadata.encoding import is_code_name
from tlkit.metadata.numbers import AmbiguousNumbers, find_notation
from tlkit.untrusted import is_clean_text

_NUM_LOOKED_FOR = 20


def find_column(table: Table, asked: str | None, usual: Sequence[str], *, option: str) -> str | None:
    """Return the requested column, or the first usual name in the table; None if there is none.

    Raises:
        DataError: Two columns have this name in different case.
        SettingError: The requested column is missing.
    """
    if asked:
        name = normalize_column_name(asked)
        if name not in table.header:
            raise SettingError(
                f"{table.path}: no column {asked!r} (--{option}).",
                expected=f"one of {shorten_names(table.header)}",
                fix=_suggest_name(asked, table.header, is_quoted=option == "metadata"),
            )
        return name
    for name in usual:
        found = [column for column in table.header if column.lower() == name]
        if len(found) > 1:
            raise DataError(
                f"{table.path}: the columns {' and '.join(found)} differ only in case.",
                expected=f"one column named {name}",
                fix=f"choose one with --{option}.",
            )
        if found:
            return found[0]
    return None


def require_column(table: Table, asked: str | None, usual: Sequence[str], what: str, *, option: str) -> str:
    """Return the requested column, or the one with a usual name; see `find_column`.

    Raises:
        DataError: There is none.
        SettingError: The requested column is missing.
    """
    column = find_column(table, asked, usual, option=option)
    if column is None:
        raise lack_column(table, usual, what, option=option)
    return column


def lack_column(table: Table, usual: Sequence[str], what: str, *, option: str, hint: str = "") -> DataError:
    """Return the error for a table without a column of a usual name."""
    return DataError(
        f"{table.path}: no {what} column among {shorten_names(table.header)}.",
        expected=f"a column named {', '.join(usual[:-1])} or {usual[-1]}" if usual else "a column given by name",
        fix=f"name the column with --{option}.{hint}",
    )


def shorten_names(names: Sequence[str]) -> str:
    """Join names with commas; only the first of a wide table."""
    shown = ", ".join(names[:_NUM_LOOKED_FOR])
    return shown if len(names) <= _NUM_LOOKED_FOR else f"{shown} and {len(names) - _NUM_LOOKED_FOR:,} more"


def _suggest_name(asked: str, names: Sequence[str], *, is_quoted: bool) -> str:
    """Return the fix for a missing column; in a list, a name that contains a comma needs quotes."""
    longer = next((name for name in names if is_quoted and name.startswith((f"{asked},", f"{asked}:"))), None)
    nearest = longer or nearest_name(asked, names)
    if is_quoted and nearest and quote_column_name(nearest) != nearest:
        return f"did you mean {quote_column_name(nearest)}, in double quotes?"
    return name_fix(asked, names)


def find_image_column(table: Table, asked: str | None) -> str:
    """Return the column of image paths: the requested one, or one with a usual name.

    Of several usual names, the first whose cells name existing files is used.

    Raises:
        DataError: There is none.
        SettingError: The requested column is missing.
    """
    first = require_column(table, asked, IMAGE_COLUMNS, "image", option="image-column")
    others = {name.lower(): name for name in reversed(table.header)}
    names = [others[name] for name in IMAGE_COLUMNS if name in others]
    if asked or len(names) == 1:
        return first

    def names_files(name: str) -> bool:
        try:
            cells = table.read_column(name)[:_NUM_LOOKED_FOR]
        except DataError:
            return False
        return any(cell and (table.path.parent / cell).is_file() for cell in cells)

    return next(filter(names_files, names), first)


def read_metadata_columns(
    table: Table, requests: Sequence[ColumnRequest]
) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Return the cells of columns, one tuple per row, with numbers normalized for `parse_number`, and notices.

    Raises:
        DataError: The numbers of a column are ambiguous.
        SettingError: A column is missing, or its name cannot be stored in a model.
    """
    columns: list[list[str]] = []
    notices: list[str] = []
    for request in requests:
        find_column(table, request.name, (), option="metadata")
        if not is_clean_text(request.name, max_length=MAX_NAME_LENGTH):
            raise SettingError(
                f"{table.path}: the column {request.name[:80]!r} cannot be metadata.",
                expected=f"a name of at most {MAX_NAME_LENGTH} printable characters",
                fix="rename the column.",
            )
        cells, column_notices = read_numbers(table, request, table.read_column(request.name))
        columns.append(cells)
        notices += column_notices
    return (list(zip(*columns, strict=True)) if columns else [()] * table.num_rows), tuple(notices)


def read_numbers(table: Table, request: ColumnRequest, cells: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """Return a column's cells with normalized numbers, and a notice; other columns are unchanged.

    Raises:
        DataError: The numbers are ambiguous.
    """
    if request.kind == CATEGORY or is_code_name(request.name):
        return cells, ()

    def read_others() -> Iterable[Sequence[str]]:
        # Only CSV files have ambiguous number notation.
        return (table.read_column(name) for name in table.header) if table.separator else ()

    try:
        notation = find_notation(cells, separator=table.separator, others=read_others)
    except AmbiguousNumbers as error:
        with_comma = error.text
        raise DataError(
            f"{table.path}: {with_comma!r} in the column {request.name!r} can be read as {with_comma.replace(',', '')} "
            f"or {with_comma.replace(',', '.')}.",
            expected="numbers with a decimal point and no thousands separator",
            fix="save the table with plain numbers, or with semicolons between cells if the comma is the decimal mark.",
        ) from None
    if notation is None:
        return cells, ()
    rewritten = [notation.rewrite(cell) for cell in cells]
    changed = next(((cell, text) for cell, text in zip(cells, rewritten, strict=True) if cell != text), None)
    if changed is None:
        return cells, ()
    return rewritten, (f"{table.path.name}: {request.name}: {changed[0]} is read as {changed[1]}.",)
