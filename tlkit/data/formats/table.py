"""Read a table with one row an image: a column for its path, one for its class and, if there is one, one for its split."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlkit.data.answers import parse_answer
from tlkit.data.formats.candidates import SPLIT_SPELLINGS, Candidate, Candidates, find_split
from tlkit.data.manifest import SetAside
from tlkit.errors import DataError, SettingError, name_fix
from tlkit.outputs import CLASSIFICATION, REGRESSION

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")

IMAGE_COLUMNS = ("path", "image_path", "image", "filepath", "file_path", "filename", "file_name", "file")
LABEL_COLUMNS = ("label", "class_name", "class", "category", "category_name", "target")
SPLIT_COLUMNS = ("split", "subset", "partition")


@dataclass(frozen=True)
class Table:
    """The names of a table's columns, the number of its rows, and a function that reads the texts of one column."""

    header: Sequence[str]
    num_rows: int
    read_column: Callable[[str], list[str]]


@dataclass(frozen=True)
class TableColumns:
    """The columns of a table that are read; None: found by one of the usual ones, whatever its case.

    Attributes:
        image: Of the images' paths.
        answer: Of what is to be learnt; for values there is no usual name.
        split: Of the splits; a table may have none.
        metadata: Of the metadata, by name; columns that a table need not have are left out before.
        task: What the answers are.
    """

    image: str | None = None
    answer: str | None = None
    split: str | None = None
    metadata: tuple[str, ...] = ()
    task: str = CLASSIFICATION


def read_table(path: Path, columns: TableColumns = TableColumns()) -> Candidates:
    """Read a data set from a `.csv`, `.tsv` or `.parquet` file.

    A CSV file is in UTF-8, with commas, semicolons or tabs between the columns and their names in the first line. Paths
    start from the table's folder. Rows without a path, answer or split are set aside, and a row that says the same as an
    earlier one is passed over; the files themselves are not looked at.

    Args:
        path: The table.
        columns: Which of its columns to read.

    Raises:
        DataError: The table cannot be read, a column is not there, or a split has an unknown name.
        SettingError: A column that was asked for is not there.
    """
    path, table = open_table(path)
    image, answer, split = _find_own_columns(path, table, columns)
    images, answers = table.read_column(image), table.read_column(answer)
    splits = [None] * len(images) if split is None else [_parse_split(path, text) for text in table.read_column(split)]
    metadata = read_metadata_columns(path, table, columns.metadata)
    return _build_candidates(path, zip(images, answers, splits, metadata, strict=True), columns.task)


def list_other_columns(path: Path, columns: TableColumns) -> tuple[str, ...]:
    """Return the columns of a table that are neither path, answer nor split, in their order.

    Raises:
        DataError: The table cannot be read, or lacks the columns of paths or answers.
        SettingError: A column that was asked for is not there.
    """
    path, table = open_table(path)
    taken = _find_own_columns(path, table, columns)
    return tuple(name for name in table.header if name not in taken)


def open_table(path: Path) -> tuple[Path, Table]:
    """Open a table by its suffix; return its absolute path, from whose folder its paths start, and the table.

    Raises:
        DataError: It cannot be read.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - takes ".." away, which Path.absolute does not
    return path, open_parquet(path) if path.suffix.lower() == ".parquet" else open_csv(path)


def _find_own_columns(path: Path, table: Table, columns: TableColumns) -> tuple[str, str, str | None]:
    """Return the columns of paths, answers and, if there is one, splits."""
    image = find_image_column(path, table, columns.image)
    if columns.task == REGRESSION:
        answer = _require_column(path, table.header, columns.answer, (), "target", option="target")
    else:
        answer = _require_column(path, table.header, columns.answer, LABEL_COLUMNS, "label")
    return image, answer, _find_column(path, table.header, columns.split, SPLIT_COLUMNS, "split", option="split-column")


def find_image_column(path: Path, table: Table, asked: str | None) -> str:
    """Return the column of the images' paths: the one asked for, or one of the usual names.

    Raises:
        DataError: There is none.
        SettingError: The column that was asked for is not there.
    """
    return _require_column(path, table.header, asked, IMAGE_COLUMNS, "image")


def read_metadata_columns(path: Path, table: Table, names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the texts of columns, one tuple a row.

    Raises:
        SettingError: A column is not there.
    """
    for name in names:
        _find_column(path, table.header, name, (), "metadata", option="metadata")
    if not names:
        return [()] * table.num_rows
    return list(zip(*(table.read_column(name) for name in names), strict=True))


def _build_candidates(
    path: Path, rows: Iterable[tuple[str, str, str | None, tuple[str, ...]]], task: str
) -> Candidates:
    """Return the candidates of rows (path, answer, split, metadata); an empty text says that there is none."""
    items: dict[Candidate, None] = {}
    set_aside: list[SetAside] = []
    num_repeated = 0
    for number, (image, text, split, metadata) in enumerate(rows, start=1):
        try:
            answer = _parse_row(task, image, text, split)
        except ValueError as reason:
            set_aside.append(SetAside(path.parent / image if image else path, f"{reason} in row {number}"))
            continue
        item = Candidate(Path(os.path.normpath(path.parent / image)), answer, split, metadata)
        num_repeated += item in items
        items[item] = None
    rows_say, count = ("row says", "counts") if num_repeated == 1 else ("rows say", "count")
    notice = f"{path.name}: {num_repeated:,} {rows_say} the same as an earlier one and {count} once."
    return Candidates(path.parent, tuple(items), tuple(set_aside), (notice,) if num_repeated else ())


def _parse_row(task: str, image: str, text: str, split: str | None) -> str:
    """Return a row's answer, or raise ValueError with what the row lacks."""
    if not image:
        raise ValueError("no image path")
    answer = parse_answer(task, text)
    if split == "":
        raise ValueError("no split")
    return answer


def _parse_split(path: Path, text: str) -> str:
    """Return the split that a cell names, or an empty text for an empty cell."""
    split = find_split(text) if text else ""
    if split is None:
        raise DataError(
            f"{path}: the split column holds {text!r}.",
            expected=SPLIT_SPELLINGS,
            fix="mend the cell, or name another column with --split-column.",
        )
    return split


def _require_column(
    path: Path, header: Sequence[str], asked: str | None, usual: Sequence[str], what: str, *, option: str = ""
) -> str:
    option = option or f"{what}-column"
    column = _find_column(path, header, asked, usual, what, option=option)
    if column is None:
        raise DataError(
            f"{path}: there is no {what} column among {', '.join(header)}.",
            expected=f"a column named {', '.join(usual[:-1])} or {usual[-1]}" if usual else "a column that is named",
            fix=f"name the column with --{option}.",
        )
    return column


def _find_column(
    path: Path, header: Sequence[str], asked: str | None, usual: Sequence[str], what: str, *, option: str
) -> str | None:
    """Return the column that was asked for, or the first of the usual names that the table has."""
    if asked:
        if asked not in header:
            raise SettingError(
                f"{path}: there is no column {asked!r} (--{option}).",
                expected=f"one of {', '.join(header)}",
                fix=name_fix(asked, header),
            )
        return asked
    by_lower_case = {name.lower(): name for name in reversed(header)}
    return next((by_lower_case[name] for name in usual if name in by_lower_case), None)


def open_csv(path: Path) -> Table:
    """Open a CSV or TSV file in UTF-8, whichever of comma, semicolon and tab it uses.

    Raises:
        DataError: It cannot be read, or its rows and its first line do not agree.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first_line = file.readline()
            file.seek(0)
            delimiter = max(",;\t", key=first_line.count)
            rows = [row for row in csv.reader(file, delimiter=delimiter) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path}: the table cannot be read ({error}).",
            expected="a CSV file in UTF-8, with the columns' names in its first line",
            fix="save it again as CSV in UTF-8.",
        ) from error
    header = [name.strip() for name in rows[0]] if rows else []
    _check_header(path, header)
    for number, row in enumerate(rows[1:], start=1):
        if len(row) != len(header):
            raise DataError(
                f"{path}: row {number} has {len(row)} fields.",
                expected=f"{len(header)}, as many as the first line names",
                fix="mend the row; a field that holds the separator itself stands in double quotes.",
            )

    def read_column(name: str) -> list[str]:
        position = header.index(name)
        return [row[position].strip() for row in rows[1:]]

    return Table(header, len(rows) - 1, read_column)


def open_parquet(path: Path) -> Table:
    """Open a Parquet file; columns are read when they are asked for.

    Raises:
        DataError: It cannot be read.
    """
    import pyarrow
    import pyarrow.parquet

    def fail(error: Exception) -> DataError:
        return DataError(
            f"{path}: the table cannot be read ({error}).",
            expected="a Parquet file",
            fix="write it again, or save it as CSV.",
        )

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise fail(error) from error
    header = [str(name) for name in file.schema_arrow.names]
    _check_header(path, header)

    def read_column(name: str) -> list[str]:
        # One column at a time: a table may hold the pictures themselves beside their paths.
        try:
            return [_as_text(value) for value in file.read(columns=[name]).column(name).to_pylist()]
        except (OSError, KeyError, pyarrow.ArrowException) as error:
            raise fail(error) from error

    return Table(header, file.metadata.num_rows, read_column)


def _as_text(value: object) -> str:
    """Return a cell as text; a missing value, also a float's NaN, is empty."""
    return "" if value is None or value != value else str(value).strip()


def _check_header(path: Path, header: Sequence[str]) -> None:
    if len(header) < 2 or len(set(header)) != len(header):
        raise DataError(
            f"{path}: {'the columns are ' + ', '.join(header) if header else 'the table is empty'}.",
            expected="a first line that names at least two columns, each once",
            fix="name the columns in the first line.",
        )
