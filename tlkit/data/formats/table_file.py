"""Open a CSV or Parquet table: its column names, and the cells of requested columns.

Tables are untrusted: a device or pipe, a file of gigabytes, and columns that decompress to gigabytes are refused before
they are read.
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
    """A table: columns by name, rows by number from 0.

    Attributes:
        path: Absolute; paths in its cells are relative to its folder.
        header: Unique names, with whitespace collapsed to single spaces. Columns without a name are left out.
        num_rows: Number of rows, without the header.
        read_column: Returns the stripped cells of a column; missing values are empty.
        locate: Describes the place of a row: `line 7` or `row 6`.
        separator: The separator of a CSV file; empty for Parquet.
        notices: What was detected or skipped, one sentence each.
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
            expected=f"a CSV file of at most {MAX_CSV_BYTES >> 20} MiB, with the column names in its first line",
            fix="check the path; for a large table, keep only the columns you need, or save it as Parquet.",
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
            expected="a Parquet file with UTF-8 text",
            fix="write it again, or save it as CSV.",
        )

    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError("not a regular file")
        facts = pyarrow.parquet.read_metadata(path)
        parts = [facts.schema.column(number) for number in range(min(facts.num_columns, MAX_COLUMNS))]
        # Dictionary encoding keeps a text that a million rows share in memory once.
        # Arrow cannot do this for list columns over several row groups.
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
        # One column at a time, because a table may also contain the image bytes.
        stored_name = names[columns[name]]
        _check_column_size(path, name, sizes[stored_name])
        column: list[str] = []
        try:
            for batch in file.iter_batches(_BATCH_ROWS, columns=[stored_name]):
                batch.validate(full=True)  # a damaged file's dictionary may be too short for its indices
                column += _read_texts(path, name, batch.column(stored_name))
                if len(column) > facts.num_rows:
                    break
            if len(column) != facts.num_rows:
                raise ValueError(f"the column {name!r} does not have {facts.num_rows:,} rows")
        except (OSError, KeyError, ValueError, pyarrow.ArrowException) as error:
            raise fail(error) from error
        return column

    notices = tuple(_describe_nameless(path, len(names) - len(columns)))
    return Table(path, tuple(columns), facts.num_rows, read_column, lambda row: f"row {row + 1:,}", notices=notices)


def _sum_column_bytes(facts: Any) -> Counter[str]:
    """Return the uncompressed bytes of each column, including nested parts, as declared in the file.

    Empty if all columns together are small enough.
    """
    sizes: Counter[str] = Counter()
    groups = [facts.row_group(number) for number in range(facts.num_row_groups)]
    if 0 <= sum(group.total_byte_size for group in groups) <= MAX_COLUMN_BYTES:
        return sizes  # no column is too large, and Arrow can abort the process on a damaged file's metadata
    for group in groups:
        for chunk in map(group.column, range(min(group.num_columns, MAX_COLUMNS))):
            names = list(accumulate(chunk.path_in_schema.split("."), "{}.{}".format))
            sizes.update(dict.fromkeys(names, chunk.total_uncompressed_size))
    return sizes


def _check_column_size(path: Path, name: str, num_bytes: int) -> None:
    if num_bytes > MAX_COLUMN_BYTES:
        raise DataError(
            f"{path}: the column {name!r} decompresses to {num_bytes >> 20:,} MiB.",
            expected=f"at most {MAX_COLUMN_BYTES >> 20} MiB of paths, labels or other short texts and numbers",
            fix="use another column.",
        )


def _read_texts(path: Path, name: str, values: Any) -> list[str]:
    """Return a batch of a column as strings; missing values, including NaN, are empty."""
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
            f"{path}: the column {name!r} contains {str(kind)[:80]}.",
            expected="a column of text or numbers",
            fix="use another column.",
        )
    found = pyarrow.compute.cast(values, pyarrow.string()).to_pylist()
    if pyarrow.types.is_floating(kind):
        return ["" if text is None or text == "nan" else text for text in found]
    texts = ["" if text is None else _check_cell(path, name, text) for text in found]
    return texts


def _join_lists(lists: Sequence[Any]) -> Iterator[str]:
    """Yield each list as JSON, as it would be written in a CSV file."""
    for values in lists:
        yield json.dumps([str(value) for value in values], ensure_ascii=False) if values is not None else ""


def _check_cell(path: Path, name: str, text: str) -> str:
    if len(text) > MAX_CELL_LENGTH or text.startswith("<value out of range"):
        what = "a date out of range" if text.startswith("<") else f"a text of {len(text):,} characters"
        raise DataError(
            f"{path}: the column {name!r} contains {what}.",
            expected=f"dates from year 1 to 9999, and texts of at most {MAX_CELL_LENGTH:,} characters",
            fix="fix the column, or use another one.",
        )
    return text.strip()


def _name_columns(path: Path, names: Sequence[str]) -> dict[str, int]:
    """Return column positions by normalized name: single spaces, composed characters."""
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
            expected=f"a first line with 2 to {MAX_COLUMNS:,} unique column names",
            fix="put the column names in the first line, separated by commas, semicolons, tabs or |.",
        )
    file = next((name for name in header if Path(name).suffix.lower() in IMAGE_SUFFIXES), None)
    if file:
        raise DataError(
            f"{path}: the first line is data, not a header: it contains {file[:80]!r}.",
            expected="a first line with the column names",
            fix="add a first line such as path,label.",
        )
    return dict(sorted(columns.items(), key=lambda item: item[1]))


def _describe_nameless(path: Path, number: int) -> Iterator[str]:
    if number:
        yield f"{path.name}: {'1 column has' if number == 1 else f'{number:,} columns have'} no name; not used."
