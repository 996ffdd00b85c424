"""Which columns are splits."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlkit.data.formats.table_file import Table, open_table
from tlkit.data.formats.table_splits import TableSplits, find_splits
from tlkit.errors import DataError


def write(folder: Path, header: str, *rows: str) -> Table:
    path = folder / "photos.csv"
    path.write_text("\n".join((f"path,label,{header}", *(f"{number}.png,a,{row}" for number, row in enumerate(rows)))))
    return open_table(path)


def find(table: Table, asked: str = "") -> TableSplits:
    return find_splits(table, asked, {"path", "label"})


@pytest.mark.parametrize(
    ("name", "cells", "splits"),
    [
        ("split", ["train", "val", ""], ["train", "validation", ""]),
        ("Subset", ["TRAIN", "Testing", "train"], ["train", "test", "train"]),
        ("split", ["train", "train", "train"], ["train"] * 3),
    ],
)
def test_a_column_of_a_usual_name_needs_no_notice(
    tmp_path: Path, name: str, cells: list[str], splits: list[str]
) -> None:
    assert find(write(tmp_path, name, *cells)) == TableSplits((name,), tuple(splits))


@pytest.mark.parametrize(
    ("name", "cells", "counts"),
    [
        ("Usage", ["Training", "PublicTest", "PrivateTest"], "1 train, 1 validation, 1 test"),
        ("set", ["train", "validation", "train"], "2 train, 1 validation"),
        ("ml use", ["TRAIN", "VALIDATE", "TEST"], "1 train, 1 validation, 1 test"),
        ("is_valid", ["False", "True", "False"], "2 train, 1 validation"),
        ("Is Valid", ["0", "1.0", "0"], "2 train, 1 validation"),
        ("is_test", ["no", "yes", "no"], "2 train, 1 test"),
        ("is_training_image", ["1", "1", "0"], "2 train, 1 test"),
    ],
)
def test_a_column_of_split_words_or_a_flag_is_found_and_told(
    tmp_path: Path, name: str, cells: list[str], counts: str
) -> None:
    found = find(write(tmp_path, f"note,{name}", *(f"x,{cell}" for cell in cells)))
    assert (found.columns, found.notice) == ((name,), f"photos.csv: the splits come from {name!r}: {counts}.")


def test_several_flags_are_read_together(tmp_path: Path) -> None:
    found = find(write(tmp_path, "is_valid,is_test", "0,0", "1,0", "0,1"))
    assert found.splits == ("train", "validation", "test")
    assert found.notice == ("photos.csv: the splits come from 'is_valid' and 'is_test': 1 train, 1 validation, 1 test.")
    assert find(write(tmp_path, "is_train,is_valid,is_test", "1,0,0", "0,0,0")).splits == ("train", "")


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("fold", ["0", "1", "2"]),
        ("set", ["train", "train", "train"]),
        ("set", ["train", "other", "test"]),
        ("is_valid", ["true", "false", "maybe"]),
        ("indoor", ["true", "false", "true"]),
    ],
)
def test_other_columns_are_no_splits(tmp_path: Path, name: str, cells: list[str]) -> None:
    assert find(write(tmp_path, name, *cells)) == TableSplits()


def test_none_takes_no_column_and_a_name_takes_that_one(tmp_path: Path) -> None:
    table = write(tmp_path, "split,phase,is_valid", "train,test,1", "train,train,1", "test,train,0")
    assert find(table, "none") == TableSplits()
    assert find(table, "phase").splits == ("test", "train", "train")
    assert find(table, "is_valid").splits == ("validation", "validation", "train")
    assert find(table).columns == ("split",)


def error_of(table: Table, asked: str = "") -> str:
    with pytest.raises(DataError) as caught:
        find(table, asked)
    return str(caught.value)


def test_an_unknown_word_is_an_error(tmp_path: Path) -> None:
    table = write(tmp_path, "split", "train", "holdout")
    assert error_of(table) == (
        f"{table.path}: the split column 'split' contains 'holdout'.\n"
        "  Expected: train or training, validation, valid, val or dev, test or testing\n"
        "  Fix: fix the cell, or use another column with --split-column (none for none)."
    )


def test_two_columns_that_differ_are_an_error_and_equal_ones_are_not(tmp_path: Path) -> None:
    table = write(tmp_path, "set,phase", "train,test", "test,train")
    assert error_of(table) == (
        f"{table.path}: both 'set' and 'phase' could be the split column, and they differ.\n"
        "  Expected: one split column\n"
        "  Fix: use --split-column set or --split-column phase, or --split-column none."
    )
    assert find(write(tmp_path, "set,is_valid", "train,0", "val,1", "train,0")).columns == ("set",)


def test_a_flag_that_most_rows_have_may_tell_usable_images(tmp_path: Path) -> None:
    table = write(tmp_path, "is_valid", "1", "1", "0")
    assert error_of(table) == (
        f"{table.path}: 'is_valid' is true in 2 of 3 rows.\n"
        "  Expected: a validation flag on the minority of rows, or another column name\n"
        "  Fix: use --split-column is_valid if they are validation images, else --split-column none."
    )
