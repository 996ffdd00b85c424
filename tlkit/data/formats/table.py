"""Read a table with one row per image: columns for its path, its class and optionally its split."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tlkit.data.formats.candidates import Candidate, Candidates
from tlkit.data.formats.column_names import LABEL_COLUMNS
from tlkit.data.formats.label_cells import find_combined_classes, find_one_hot, join_labels
from tlkit.data.formats.table_columns import (
    find_column,
    find_image_column,
    lack_column,
    read_metadata_columns,
    read_numbers,
    require_column,
)
from tlkit.data.formats.table_file import TABLE_SUFFIXES, Table, open_table
from tlkit.data.formats.table_paths import PathFinder
from tlkit.data.formats.table_splits import NO_SPLIT_COLUMN, TableSplits, find_splits
from tlkit.data.manifest import SkippedFile
from tlkit.metadata.columns import ColumnRequest
from tlkit.metadata.encoding import fit_number
from tlkit.metadata.numbers import is_missing, parse_number
from tlkit.outputs import CLASSIFICATION, LABEL_SEPARATOR
from tlkit.tasks import Task, find_task

__all__ = ["TABLE_SUFFIXES", "TableColumns", "list_other_columns", "read_table"]


@dataclass(frozen=True)
class TableColumns:
    """The columns to read; None: detected by a usual name, whatever its case.

    Attributes:
        image: Column of image paths.
        answer: Column of targets; values have no usual name.
        split: Column of splits; `none` to use none.
        metadata: Columns of metadata, by name and kind, all of which the table must have.
        task: What is learned of an image.
        label_separator: Separator between labels in a cell; None: detected.
    """

    image: str | None = None
    answer: str | None = None
    split: str | None = None
    metadata: tuple[ColumnRequest, ...] = ()
    task: str = CLASSIFICATION
    label_separator: str | None = None


@dataclass(frozen=True)
class _Answers:
    """The target columns, their texts by row, and notices about them."""

    columns: tuple[str, ...]
    texts: Sequence[str]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of a table; an empty string means no value."""

    place: str
    image: str
    answer: str
    split: str | None
    metadata: tuple[str, ...]


def read_table(path: Path, columns: TableColumns = TableColumns()) -> Candidates:
    """Read a data set from a `.csv`, `.tsv` or `.parquet` file.

    Paths are relative to the table's folder. Rows without a path, target or split are skipped, and so are repeated
    rows. Labels in several rows of an image are merged.

    Args:
        path: The table.
        columns: Which of its columns to read.

    Raises:
        DataError: The table cannot be read, a column is missing, or its content is ambiguous.
        SettingError: A requested column is missing.
    """
    table = open_table(path)
    image = find_image_column(table, columns.image)
    splits, answers = _find_splits_and_answers(table, image, columns)
    metadata, metadata_notices = read_metadata_columns(table, columns.metadata)
    finder = PathFinder(table.path)
    rows = [
        _Row(table.locate(number), cell, answer, split, texts)
        for number, (cell, answer, split, texts) in enumerate(
            zip(
                table.read_column(image),
                answers.texts,
                splits.splits or [None] * table.num_rows,
                metadata,
                strict=True,
            )
        )
    ]
    copied = finder.copy_from_buckets(row.image for row in rows)
    found = _build_candidates(table, rows, find_task(columns.task), finder)
    taken = {image, *answers.columns, *splits.columns, *(request.name for request in columns.metadata)}
    return replace(
        found,
        notices=(
            *table.notices,
            *copied,
            *filter(None, [splits.notice]),
            *answers.notices,
            *metadata_notices,
            *finder.describe(),
            *found.notices,
        ),
        unused_columns=tuple(name for name in table.header if name not in taken),
    )


def list_other_columns(path: Path, columns: TableColumns) -> tuple[str, ...]:
    """Return the columns of a table, in order, that are not path, target or split.

    Raises:
        DataError: The table cannot be read, or has no path or target column.
        SettingError: A requested column is missing.
    """
    table = open_table(path)
    image = find_image_column(table, columns.image)
    splits, answers = _find_splits_and_answers(table, image, columns)
    return tuple(name for name in table.header if name not in {image, *answers.columns, *splits.columns})


def _find_splits_and_answers(table: Table, image: str, columns: TableColumns) -> tuple[TableSplits, _Answers]:
    """Return the splits and the targets; each is searched among the columns that have no other use."""
    metadata = {request.name for request in columns.metadata}
    answer = _find_answer_column(table, columns)
    if columns.split != NO_SPLIT_COLUMN:
        find_column(table, columns.split, (), option="split-column")
    splits = find_splits(table, columns.split, {image, *filter(None, [answer]), *metadata})
    return splits, _read_answers(table, answer, columns, {image, *splits.columns, *metadata})


def _find_answer_column(table: Table, columns: TableColumns) -> str | None:
    """Return the target column; None if no column has a usual name."""
    if not find_task(columns.task).has_names:
        return require_column(table, columns.answer, (), "target", option="target")
    return find_column(table, columns.answer, LABEL_COLUMNS, option="label-column")


def _read_answers(table: Table, column: str | None, columns: TableColumns, taken: Collection[str]) -> _Answers:
    task = find_task(columns.task)
    if column is None:
        return _read_one_hot(table, task, taken)
    if not task.has_names:
        return _read_values(table, column)
    cells = table.read_column(column)
    if task.has_labels:
        joined, notice = join_labels(table.path, cells, columns.label_separator)
        return _Answers((column,), joined, tuple(filter(None, [notice])))
    missing = sorted({cell for cell in cells if cell and is_missing(cell)})
    notice = (
        f"{table.path.name}: {', '.join(map(repr, missing))} is read as a class; leave the cell empty if there is none."
    )
    notices = (notice,) if missing else ()
    return _Answers((column,), cells, (*notices, *filter(None, [find_combined_classes(table.path, {*cells})])))


def _read_one_hot(table: Table, task: Task, taken: Collection[str]) -> _Answers:
    """Return the targets from columns of 0 and 1: a class if each row has a single 1, else labels.

    Raises:
        DataError: There are no such columns, or they give several labels but the task needs a class.
    """
    names, rows = find_one_hot(table, [name for name in table.header if name not in taken])
    is_single = all(len(labels) == 1 for labels in rows)
    if not names or (task.is_exclusive and not is_single):
        hint = f" The columns {', '.join(names)} contain 0 and 1: --task multilabel reads them." if names else ""
        raise lack_column(table, LABEL_COLUMNS, "label", option="label-column", hint=hint)
    what = "class" if task.is_exclusive else "labels"
    notice = f"{table.path.name}: the {what} of an image is read from the 0/1 columns {', '.join(names)}."
    if task.has_labels:
        notice = notice.replace(" is read", " are read")
    return _Answers(names, [LABEL_SEPARATOR.join(labels) for labels in rows], (notice,))


def _read_values(table: Table, column: str) -> _Answers:
    """Return the values of a column without no-data markers such as -9999."""
    cells, notices = read_numbers(table, ColumnRequest(column), table.read_column(column))
    numbers = fit_number(column, cells)
    values = [parse_number(cell) for cell in cells]
    no_data = [cell for cell, value in zip(cells, values, strict=True) if numbers.is_no_data(value)]
    stand_for_none = set(no_data)
    far = [
        cell
        for cell, value in zip(cells, values, strict=True)
        if not (numbers.low <= value <= numbers.high or math.isnan(value) or cell in stand_for_none)
    ]
    name = f"{table.path.name}: {column}"
    if no_data:
        notices += (f"{name}: {no_data[0]} is read as missing; {len(no_data):,} of {len(cells):,} values.",)
    if far:
        notices += (
            f"{name}: {len(far):,} of {len(cells):,} values are far outside the others' range, {numbers.low:.4g} to "
            f"{numbers.high:.4g} (such as {far[0]}); they are used unchanged.",
        )
    return _Answers((column,), ["" if cell in stand_for_none else cell for cell in cells], notices)


def _build_candidates(table: Table, rows: Iterable[_Row], task: Task, finder: PathFinder) -> Candidates:
    items: dict[tuple[Path, str | None, tuple[str, ...]], dict[str, None]] = {}
    skipped: list[SkippedFile] = []
    num_repeated = 0
    for row in rows:
        try:
            answer = _parse_row(task, row)
        except ValueError as reason:
            file = table.path.parent / row.image if row.image else table.path
            skipped.append(SkippedFile(file, f"{reason} in {row.place}"))
            continue
        answers = items.setdefault((finder.find(row.image), row.split, row.metadata), {})
        num_repeated += answer in answers
        answers[answer] = None
    candidates = [
        Candidate(path, answer, split, metadata)
        for (path, split, metadata), answers in items.items()
        for answer in (_unite(answers) if task.has_labels else answers)
    ]
    notices = _describe_rows(table.path.name, items, task, num_repeated)
    return Candidates(table.path.parent, tuple(candidates), tuple(skipped), tuple(notices))


def _unite(answers: Iterable[str]) -> tuple[str]:
    """Merge the labels of an image's rows."""
    labels = {label for answer in answers for label in answer.split(LABEL_SEPARATOR)}
    return (LABEL_SEPARATOR.join(sorted(labels - {""})),)


def _parse_row(task: Task, row: _Row) -> str:
    """Return a row's target; raise ValueError with what is missing."""
    if not row.image:
        raise ValueError("no image path")
    answer = task.parse_answer(row.answer)
    if row.split == "":
        raise ValueError("no split")
    return answer


def _describe_rows(
    name: str, items: Mapping[tuple[Path, str | None, tuple[str, ...]], Collection[str]], task: Task, num_repeated: int
) -> Iterator[str]:
    """Yield notices about images with several rows."""
    if num_repeated:
        rows = "row repeats an earlier one and is" if num_repeated == 1 else "rows repeat earlier ones and are"
        yield f"{name}: {num_repeated:,} {rows} skipped."
    num_torn = sum(len(answers) > 1 for answers in items.values())
    images = f"{num_torn:,} image has" if num_torn == 1 else f"{num_torn:,} images have"
    if num_torn and task.has_labels:
        yield f"{name}: {images} labels in several rows, which are merged."
    elif num_torn and task.is_exclusive:
        yield f"{name}: {images} rows of different classes; --task multilabel learns all of them."
    elif num_torn:
        yield f"{name}: {images} rows of different values; each is used."
    rows_of_path = Counter((path, split) for path, split, _ in items)
    num_varied = sum(number > 1 for number in rows_of_path.values())
    if num_varied:
        images = f"{num_varied:,} image has" if num_varied == 1 else f"{num_varied:,} images have"
        yield f"{name}: {images} rows that differ in their metadata; each row counts as an image."
