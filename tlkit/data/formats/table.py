"""Read a table with one row an image: a column for its path, one for its class and, if there is one, one for its split."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlkit.data.formats.candidates import SPLIT_SPELLINGS, Candidate, Candidates, find_split, normalize_class_name
from tlkit.data.manifest import SetAside
from tlkit.errors import DataError, SettingError, name_fix

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")

IMAGE_COLUMNS = ("path", "image_path", "image", "filepath", "file_path", "filename", "file_name", "file")
LABEL_COLUMNS = ("label", "class_name", "class", "category", "category_name", "target")
SPLIT_COLUMNS = ("split", "subset", "partition")


@dataclass(frozen=True)
class Table:
    """The names of a table's columns, and a function that reads the texts of one of them."""

    header: Sequence[str]
    read_column: Callable[[str], list[str]]


def read_table(path: Path, *, image_column: str = "", label_column: str = "", split_column: str = "") -> Candidates:
    """Read a data set from a `.csv`, `.tsv` or `.parquet` file.

    A CSV file is in UTF-8, with commas, semicolons or tabs between the columns and their names in the first line. Paths
    start from the table's folder. Rows without a path, label or split are set aside, and a row that says the same as an
    earlier one is passed over; the files themselves are not looked at.

    Args:
        path: The table.
        image_column: Column of the paths; empty: found by one of the usual names, whatever its case.
        label_column: Column of the class names; empty: found likewise.
        split_column: Column of the splits; empty: found likewise, and the table may have none.

    Raises:
        DataError: The table cannot be read, a column is not there, or a split has an unknown name.
        SettingError: A column that was asked for is not there.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - takes ".." away, which Path.absolute does not
    table = open_parquet(path) if path.suffix.lower() == ".parquet" else open_csv(path)
    image = _require_column(path, table.header, image_column, IMAGE_COLUMNS, "image")
    label = _require_column(path, table.header, label_column, LABEL_COLUMNS, "label")
    split = _find_column(path, table.header, split_column, SPLIT_COLUMNS, "split")
    images, labels = table.read_column(image), table.read_column(label)
    splits = [None] * len(images) if split is None else [_parse_split(path, text) for text in table.read_column(split)]
    return _build_candidates(path, zip(images, labels, splits, strict=True))


def _build_candidates(path: Path, rows: Iterable[tuple[str, str, str | None]]) -> Candidates:
    """Return the candidates of rows (path, label, split), of which an empty text says that there is none."""
    items: dict[Candidate, None] = {}
    set_aside: list[SetAside] = []
    num_repeated = 0
    for number, (image, label, split) in enumerate(rows, start=1):
        lacking = next(
            (what for what, text in (("image path", image), ("label", label), ("split", split)) if text == ""), ""
        )
        if lacking:
            set_aside.append(SetAside(path.parent / image if image else path, f"no {lacking} in row {number}"))
            continue
        item = Candidate(Path(os.path.normpath(path.parent / image)), normalize_class_name(label), split)
        num_repeated += item in items
        items[item] = None
    rows_say = "row says" if num_repeated == 1 else "rows say"
    notice = f"{path.name}: {num_repeated:,} {rows_say} the same as an earlier one and count once."
    return Candidates(path.parent, tuple(items), tuple(set_aside), (notice,) if num_repeated else ())


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


def _require_column(path: Path, header: Sequence[str], asked: str, usual: Sequence[str], what: str) -> str:
    column = _find_column(path, header, asked, usual, what)
    if column is None:
        raise DataError(
            f"{path}: there is no {what} column among {', '.join(header)}.",
            expected=f"a column named {', '.join(usual[:-1])} or {usual[-1]}",
            fix=f"name the column with --{what}-column.",
        )
    return column


def _find_column(path: Path, header: Sequence[str], asked: str, usual: Sequence[str], what: str) -> str | None:
    """Return the column that was asked for, or the first of the usual names that the table has."""
    if asked:
        if asked not in header:
            raise SettingError(
                f"{path}: there is no column {asked!r} (--{what}-column).",
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

    return Table(header, read_column)


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

    return Table(header, read_column)


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
