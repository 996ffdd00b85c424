"""Open a table, CSV or Parquet: the names of its columns, and the texts of those that are asked for.

A table comes from anybody: a device or pipe in its place, a file of gigabytes, and columns that unpack into gigabytes
are refused before they are read.
"""

from __future__ import annotations

import json
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from tlkit.data.formats.csv_text import MAX_ROWS, parse_csv, refuse_rows
from tlkit.data.signatures import IMAGE_SUFFIXES
from tlkit.errors import DataError
from tlkit.files import read_regular_file
from tlkit.metadata.columns import normalize_column_name

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")
MAX_CSV_BYTES = 2**27
MAX_COLUMN_BYTES = 2**28
MAX_CELL_LENGTH = 10_000
MAX_COLUMNS = 10_000
_BATCH_ROWS = 2**16


@dataclass(frozen=True)
class Table:
    """A table's columns by name, and its rows by number, from 0.

    Attributes:
        path: Absolute; the paths in its cells start from its folder.
        header: Names, each once; white space in them is single spaces. Columns without a name are left out.
        num_rows: Rows without the header.
        read_column: Returns the texts of a column, without spaces around them; an empty one where there is no value.
        locate: Returns where a row stands, in words: `line 7` or `row 6`.
        separator: What stands between a CSV file's cells; empty in a Parquet file.
        notices: What was decided by evidence or passed over, one sentence each.
    """

    path: Path
    header: Sequence[str]
    num_rows: int
    read_column: Callable[[str], list[str]]
    locate: Callable[[int], str]
    separator: str = ""
    notices: tuple[str, ...] = ()


def open_table(path: Path) -> Table:
    """Open a table by its suffix.

    Raises:
        DataError: It cannot be read.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - takes ".." away, which Path.absolute does not
    return _open_parquet(path) if path.suffix.lower() == ".parquet" else _open_csv(path)


def _open_csv(path: Path) -> Table:
    try:
        content = read_regular_file(path, max_bytes=MAX_CSV_BYTES)
    except OSError as error:
        raise DataError(
            f"{path}: the table cannot be read ({error.strerror}).",
            expected=f"a CSV file of at most {MAX_CSV_BYTES >> 20} MiB, with the columns' names in its first line",
            fix="check the path; of a large table, save the columns that are needed, or save it as Parquet.",
        ) from error
    table = parse_csv(path, content)
    columns = _name_columns(path, table.header)

    def read_column(name: str) -> list[str]:
        position = columns[name]
        return [row[position].strip() for row in table.rows]

    return Table(
        path,
        tuple(columns),
        len(table.rows),
        read_column,
        lambda row: f"line {table.lines[row]:,}",
        table.separator,
        (*table.notices, *_describe_nameless(path, len(table.header) - len(columns))),
    )


def _open_parquet(path: Path) -> Table:
    import pyarrow
    import pyarrow.parquet

    def fail(error: Exception) -> DataError:
        return DataError(
            f"{path}: the table cannot be read ({error}).",
            expected="a Parquet file with text in UTF-8",
            fix="write it again, or save it as CSV.",
        )

    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError("not a regular file")
        facts = pyarrow.parquet.read_metadata(path)
        parts = [facts.schema.column(number) for number in range(min(facts.num_columns, MAX_COLUMNS))]
        # Read as a dictionary, a text that a million rows share stands in memory once.
        # That of a list, several groups of rows together, Arrow cannot.
        texts = [part.path for part in parts if part.physical_type == "BYTE_ARRAY" and not part.max_repetition_level]
        file = pyarrow.parquet.ParquetFile(path, read_dictionary=texts)
        names = [str(name) for name in file.schema_arrow.names]
    except (OSError, KeyError, ValueError, pyarrow.ArrowException) as error:
        raise fail(error) from error
    if facts.num_rows > MAX_ROWS:
        refuse_rows(path, f"{facts.num_rows:,}")
    columns = _name_columns(path, names)
    sizes = _sum_column_bytes(facts)

    def read_column(name: str) -> list[str]:
        # One column at a time: a table may hold the pictures themselves beside their paths.
        stored_name = names[columns[name]]
        _check_column_size(path, name, sizes[stored_name])
        column: list[str] = []
        try:
            for batch in file.iter_batches(_BATCH_ROWS, columns=[stored_name]):
                batch.validate(full=True)  # a damaged file's dictionary may be shorter than it is used
                column += _read_texts(path, name, batch.column(stored_name))
                if len(column) > facts.num_rows:
                    break
            if len(column) != facts.num_rows:
                raise ValueError(f"the column {name!r} has other than {facts.num_rows:,} rows")
        except (OSError, KeyError, ValueError, pyarrow.ArrowException) as error:
            raise fail(error) from error
        return column

    told = tuple(_describe_nameless(path, len(names) - len(columns)))
    return Table(path, tuple(columns), facts.num_rows, read_column, lambda row: f"row {row + 1:,}", notices=told)


def _sum_column_bytes(facts: Any) -> Counter[str]:
    """Return the bytes into which each column unpacks, with the parts of a nested one, by what the file says.

    Where all columns together are small enough, none is counted.
    """
    sizes: Counter[str] = Counter()
    groups = [facts.row_group(number) for number in range(facts.num_row_groups)]
    if 0 <= sum(group.total_byte_size for group in groups) <= MAX_COLUMN_BYTES:
        return sizes  # no column is too large, and Arrow aborts the process at the facts of a damaged one
    for group in groups:
        for chunk in map(group.column, range(min(group.num_columns, MAX_COLUMNS))):
            names = list(accumulate(chunk.path_in_schema.split("."), "{}.{}".format))
            sizes.update(dict.fromkeys(names, chunk.total_uncompressed_size))
    return sizes


def _check_column_size(path: Path, name: str, num_bytes: int) -> None:
    if num_bytes > MAX_COLUMN_BYTES:
        raise DataError(
            f"{path}: the column {name!r} unpacks to {num_bytes >> 20:,} MiB.",
            expected=f"at most {MAX_COLUMN_BYTES >> 20} MiB of paths, labels or other short texts and numbers",
            fix="name another column.",
        )


def _read_texts(path: Path, name: str, values: Any) -> list[str]:
    """Return a batch of a column as texts; a missing value, also a float's NaN, is empty."""
    import pyarrow.compute
    import pyarrow.types

    kind = values.type
    if pyarrow.types.is_dictionary(kind):
        texts = _read_texts(path, name, values.dictionary)
        return ["" if place is None else texts[place] for place in values.indices.to_pylist()]
    if pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind):
        return list(_join_lists(values.to_pylist()))
    if pyarrow.types.is_nested(kind):
        raise DataError(
            f"{path}: the column {name!r} holds {str(kind)[:80]}.",
            expected="a column of texts or numbers",
            fix="name another column.",
        )
    found = pyarrow.compute.cast(values, pyarrow.string()).to_pylist()
    if pyarrow.types.is_floating(kind):
        return ["" if text is None or text == "nan" else text for text in found]
    texts = ["" if text is None else _check_cell(path, name, text) for text in found]
    return texts


def _join_lists(lists: Sequence[Any]) -> Iterator[str]:
    """Yield each list as JSON, as it would stand in a CSV file."""
    for values in lists:
        yield json.dumps([str(value) for value in values], ensure_ascii=False) if values is not None else ""


def _check_cell(path: Path, name: str, text: str) -> str:
    if len(text) > MAX_CELL_LENGTH or text.startswith("<value out of range"):
        what = "a date out of range" if text.startswith("<") else f"a text of {len(text):,} characters"
        raise DataError(
            f"{path}: the column {name!r} holds {what}.",
            expected=f"dates of the years 1 to 9999, and texts of at most {MAX_CELL_LENGTH:,} characters",
            fix="fix the column, or name another one.",
        )
    return text.strip()


def _name_columns(path: Path, names: Sequence[str]) -> dict[str, int]:
    """Return the places of the columns by their names in one spelling: single spaces, composed letters."""
    header = [*map(normalize_column_name, names)]
    columns = {name: place for place, name in reversed([*enumerate(header)]) if name}
    twice = [name for name, number in Counter(header).items() if name and number > 1]
    if len(columns) < 2 or len(header) > MAX_COLUMNS or twice:
        shown = ", ".join(header)
        what = (
            f"the columns are {shown if len(shown) <= 200 else shown[:197] + '...'}" if header else "the table is empty"
        )
        raise DataError(
            f"{path}: {what}{f'; {twice[0]} appears twice' if twice else ''}.",
            expected=f"a first line that names at least two columns (and at most {MAX_COLUMNS:,}), each once",
            fix="name the columns in the first line, with commas, semicolons, tabs or | between them.",
        )
    file = next((name for name in header if Path(name).suffix.lower() in IMAGE_SUFFIXES), None)
    if file:
        raise DataError(
            f"{path}: the first line is a row of the table: it holds {file[:80]!r}.",
            expected="a first line that names the columns",
            fix="add a first line such as path,label.",
        )
    return dict(sorted(columns.items(), key=lambda item: item[1]))


def _describe_nameless(path: Path, number: int) -> Iterator[str]:
    if number:
        yield f"{path.name}: {'1 column has' if number == 1 else f'{number:,} columns have'} no name, and no part."
