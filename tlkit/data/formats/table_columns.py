"""Find the columns of a table by the names that the user or custom gives them, and read numbers as they are written."""

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
    """Return the column that was asked for, or the first of the usual names that the table has; None if it has none.

    Raises:
        DataError: Two columns have this usual name, in other case.
        SettingError: The column that was asked for is not there.
    """
    if asked:
        name = normalize_column_name(asked)
        if name not in table.header:
            raise SettingError(
                f"{table.path}: there is no column {asked!r} (--{option}).",
                expected=f"one of {shorten_names(table.header)}",
                fix=_suggest_name(asked, table.header, is_quoted=option == "metadata"),
            )
        return name
    for name in usual:
        found = [column for column in table.header if column.lower() == name]
        if len(found) > 1:
            raise DataError(
                f"{table.path}: the columns {' and '.join(found)} differ by case only.",
                expected=f"one column named {name}",
                fix=f"name the one that counts with --{option}.",
            )
        if found:
            return found[0]
    return None


def require_column(table: Table, asked: str | None, usual: Sequence[str], what: str, *, option: str) -> str:
    """Return the column that was asked for, or that has a usual name; see `find_column`.

    Raises:
        DataError: There is none.
        SettingError: The column that was asked for is not there.
    """
    column = find_column(table, asked, usual, option=option)
    if column is None:
        raise lack_column(table, usual, what, option=option)
    return column


def lack_column(table: Table, usual: Sequence[str], what: str, *, option: str, hint: str = "") -> DataError:
    """Return the error for a table that has no column of a usual name."""
    return DataError(
        f"{table.path}: there is no {what} column among {shorten_names(table.header)}.",
        expected=f"a column named {', '.join(usual[:-1])} or {usual[-1]}" if usual else "a column that is named",
        fix=f"name the column with --{option}.{hint}",
    )


def shorten_names(names: Sequence[str]) -> str:
    """Return names with commas between them; of a wide table only the first."""
    shown = ", ".join(names[:_NUM_LOOKED_FOR])
    return shown if len(names) <= _NUM_LOOKED_FOR else f"{shown} and {len(names) - _NUM_LOOKED_FOR:,} more"


def _suggest_name(asked: str, names: Sequence[str], *, is_quoted: bool) -> str:
    """Return the fix for a column that is not there; in a list of names, one with a comma has to stand in quotes."""
    longer = next((name for name in names if is_quoted and name.startswith((f"{asked},", f"{asked}:"))), None)
    nearest = longer or nearest_name(asked, names)
    if is_quoted and nearest and quote_column_name(nearest) != nearest:
        return f"did you mean {quote_column_name(nearest)}, in double quotes?"
    return name_fix(asked, names)


def find_image_column(table: Table, asked: str | None) -> str:
    """Return the column of the images' paths: the one asked for, or one of the usual names.

    Of several usual names, the first counts whose cells name files that are there.

    Raises:
        DataError: There is none.
        SettingError: The column that was asked for is not there.
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
    """Return the texts of columns, one tuple a row, numbers as `parse_number` reads them, and what there is to say.

    Raises:
        DataError: The numbers of a column can be read in two ways.
        SettingError: A column is not there, or its name cannot stand in a model.
    """
    columns: list[list[str]] = []
    notices: list[str] = []
    for request in requests:
        find_column(table, request.name, (), option="metadata")
        if not is_clean_text(request.name, max_length=MAX_NAME_LENGTH):
            raise SettingError(
                f"{table.path}: the column {request.name[:80]!r} cannot be metadata.",
                expected=f"a name of at most {MAX_NAME_LENGTH} characters that can be printed",
                fix="rename the column.",
            )
        cells, told = read_numbers(table, request, table.read_column(request.name))
        columns.append(cells)
        notices += told
    return (list(zip(*columns, strict=True)) if columns else [()] * table.num_rows), tuple(notices)


def read_numbers(table: Table, request: ColumnRequest, cells: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """Return a column's cells with its numbers written plainly, and how they were read; other columns as they are.

    Raises:
        DataError: The numbers can be read in two ways.
    """
    if request.kind == CATEGORY or is_code_name(request.name):
        return cells, ()

    def read_others() -> Iterable[Sequence[str]]:
        # Only a CSV file leaves open how its numbers are written.
        return (table.read_column(name) for name in table.header) if table.separator else ()

    try:
        notation = find_notation(cells, separator=table.separator, others=read_others)
    except AmbiguousNumbers as error:
        with_comma = error.text
        raise DataError(
            f"{table.path}: {with_comma!r} in the column {request.name!r} can be read as {with_comma.replace(',', '')} "
            f"or {with_comma.replace(',', '.')}.",
            expected="numbers with a decimal point and nothing between thousands",
            fix="save the table with plain numbers, or with semicolons between the cells if commas are decimal.",
        ) from None
    if notation is None:
        return cells, ()
    rewritten = [notation.rewrite(cell) for cell in cells]
    changed = next(((cell, text) for cell, text in zip(cells, rewritten, strict=True) if cell != text), None)
    if changed is None:
        return cells, ()
    return rewritten, (f"{table.path.name}: {request.name}: {changed[0]} is read as {changed[1]}.",)
