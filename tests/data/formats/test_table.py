"""Tables of paths, classes and splits."""

from __future__ import annotations

from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from tlkit.data.formats.candidates import Candidate
from tlkit.data.formats.table import TableColumns, list_other_columns, read_table
from tlkit.data.manifest import SetAside
from tlkit.errors import DataError, SettingError
from tlkit.outputs import MULTILABEL, REGRESSION


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "photos.csv"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_csv_with_any_separator_is_read(table: Path, delimiter: str, encoding: str) -> None:
    rows = [["Image", "notes", "Label", "Split"], ["a/1.jpg", "x", "chat é", "TRAIN"], ["/far/2.jpg", "", "dog", "val"]]
    table.write_text("\r\n".join(delimiter.join(row) for row in rows) + "\r\n\r\n", encoding=encoding)
    candidates = read_table(table)
    assert candidates.root == table.parent
    assert candidates.items == (
        Candidate(table.parent / "a/1.jpg", "chat é", "train"),
        Candidate(Path("/far/2.jpg"), "dog", "validation"),
    )
    assert candidates.set_aside == ()
    assert candidates.notices == ()


def test_quoted_fields_may_hold_the_separator(table: Path) -> None:
    table.write_text('path,label\n"one, two.jpg","cat ""Tom"""\n')
    assert read_table(table).items == (Candidate(table.parent / "one, two.jpg", 'cat "Tom"', None),)


def test_columns_may_be_named(table: Path) -> None:
    table.write_text("path,label,thumbnail,species,part\n1.jpg,x,2.jpg,cat,test\n")
    candidates = read_table(table, TableColumns("thumbnail", "species", "part"))
    assert candidates.items == (Candidate(table.parent / "2.jpg", "cat", "test"),)


def test_parquet_is_read_and_missing_values_are_empty(tmp_path: Path) -> None:
    path = tmp_path / "photos.parquet"
    columns = {
        "file_name": ["1.jpg", "2.jpg", "3.jpg"],
        "label": pyarrow.array([7.0, None, float("nan")]),
        "bytes": [{"data": b"\x00"}] * 3,
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    candidates = read_table(path)
    assert candidates.items == (Candidate(tmp_path / "1.jpg", "7.0", None),)
    assert [item.reason for item in candidates.set_aside] == ["no label in row 2", "no label in row 3"]


def test_parquet_labels_may_be_numbers_or_categories(tmp_path: Path) -> None:
    path = tmp_path / "photos.parquet"
    columns = {"path": ["1.jpg", "2.jpg"], "label": pyarrow.array(["b", "a"]).dictionary_encode(), "target": [0, 1]}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    assert [item.answer for item in read_table(path).items] == ["b", "a"]
    assert [item.answer for item in read_table(path, TableColumns(answer="target")).items] == ["0", "1"]


def test_rows_that_lack_something_are_set_aside(table: Path) -> None:
    table.write_text("path,label,split\n,cat,train\n1.jpg, ,train\n2.jpg,cat,\n3.jpg,cat,test\n")
    candidates = read_table(table)
    assert [item.path.name for item in candidates.items] == ["3.jpg"]
    assert candidates.set_aside == (
        SetAside(table, "no image path in row 1"),
        SetAside(table.parent / "1.jpg", "no label in row 2"),
        SetAside(table.parent / "2.jpg", "no split in row 3"),
    )


def test_rows_that_say_the_same_count_once(table: Path) -> None:
    table.write_text("path,label,box\n1.jpg,cat,a\n./1.jpg,cat,b\n1.jpg,dog,c\n1.jpg,cat,d\n")
    candidates = read_table(table)
    assert [item.answer for item in candidates.items] == ["cat", "dog"]
    assert candidates.notices == ("photos.csv: 2 rows say the same as an earlier one and count once.",)


def test_labels_are_sorted_and_an_image_may_have_none(table: Path) -> None:
    table.write_text("path,label\n1.jpg,wood | iron|wood\n2.jpg,\n,iron\n")
    candidates = read_table(table, TableColumns(task=MULTILABEL))
    assert [item.answer for item in candidates.items] == ["iron|wood", ""]
    assert candidates.set_aside == (SetAside(table, "no image path in row 3"),)


def test_rows_that_name_the_same_labels_count_once(table: Path) -> None:
    table.write_text("path,label\n1.jpg,a|b\n1.jpg,b|a\n")
    candidates = read_table(table, TableColumns(task=MULTILABEL))
    assert [item.answer for item in candidates.items] == ["a|b"]
    assert candidates.notices == ("photos.csv: 1 row says the same as an earlier one and counts once.",)


def test_values_are_numbers_and_other_rows_are_set_aside(table: Path) -> None:
    table.write_text("path,label,price\n1.jpg,cat,12.50\n2.jpg,cat,\n3.jpg,,dear\n4.jpg,,-1e3\n")
    candidates = read_table(table, TableColumns(answer="price", task=REGRESSION))
    assert [item.answer for item in candidates.items] == ["12.50", "-1e3"]
    assert candidates.set_aside == (
        SetAside(table.parent / "2.jpg", "no value in row 2"),
        SetAside(table.parent / "3.jpg", "the value 'dear' is no number in row 3"),
    )


def test_metadata_come_in_the_order_asked_for_and_may_be_missing(table: Path) -> None:
    table.write_text("path,hour,label,boat\n1.jpg, 3 ,cat,Heron\n2.jpg,,cat,\n")
    candidates = read_table(table, TableColumns(metadata=("boat", "hour")))
    assert [item.metadata for item in candidates.items] == [("Heron", "3"), ("", "")]
    assert [item.metadata for item in read_table(table).items] == [(), ()]


def test_rows_that_differ_in_metadata_are_not_the_same(table: Path) -> None:
    table.write_text("path,label,hour,x\n1.jpg,cat,3,a\n1.jpg,cat,4,b\n1.jpg,cat,3,c\n")
    candidates = read_table(table, TableColumns(metadata=("hour",)))
    assert [item.metadata for item in candidates.items] == [("3",), ("4",)]
    assert candidates.notices == ("photos.csv: 1 row says the same as an earlier one and counts once.",)


def test_metadata_of_a_parquet_table_are_texts(tmp_path: Path) -> None:
    path = tmp_path / "photos.parquet"
    columns = {"path": ["1.jpg", "2.jpg"], "label": ["a", "b"], "depth": [1.5, None], "night": [True, False]}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    candidates = read_table(path, TableColumns(metadata=("night", "depth")))
    assert [item.metadata for item in candidates.items] == [("True", "1.5"), ("False", "")]


@pytest.mark.parametrize(
    ("columns", "others"),
    [
        (TableColumns(), ("price", "hour", "Species")),
        (TableColumns(answer="Species"), ("LABEL", "price", "hour")),
        (TableColumns(answer="price", task=REGRESSION), ("LABEL", "hour", "Species")),
        (TableColumns(split="hour", image="Species"), ("path", "price", "split")),
    ],
)
def test_the_other_columns_are_those_that_have_no_part_yet(
    table: Path, columns: TableColumns, others: tuple[str, ...]
) -> None:
    table.write_text("path,LABEL,price,hour,Species,split\n")
    assert list_other_columns(table, columns) == others


def error_of(table: Path, content: str | bytes, **columns: object) -> str:
    table.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises((DataError, SettingError)) as caught:
        read_table(table, TableColumns(**columns))  # type: ignore[arg-type]
    return str(caught.value)


def test_a_missing_column_is_an_error(table: Path) -> None:
    assert error_of(table, "path,kind\n1.jpg,cat\n") == (
        f"{table}: there is no label column among path, kind.\n"
        "  Expected: a column named label, class_name, class, category, category_name or target\n"
        "  Fix: name the column with --label-column."
    )
    assert error_of(table, "url,label\n1.jpg,cat\n") == (
        f"{table}: there is no image column among url, label.\n"
        "  Expected: a column named path, image_path, image, filepath, file_path, filename, file_name or file\n"
        "  Fix: name the column with --image-column."
    )


def test_the_column_of_values_must_be_named(table: Path) -> None:
    assert error_of(table, "path,label,price\n1.jpg,cat,3\n", task=REGRESSION) == (
        f"{table}: there is no target column among path, label, price.\n"
        "  Expected: a column that is named\n"
        "  Fix: name the column with --target."
    )
    assert error_of(table, "path,label,price\n1.jpg,cat,3\n", task=REGRESSION, answer="prize") == (
        f"{table}: there is no column 'prize' (--target).\n"
        "  Expected: one of path, label, price\n"
        "  Fix: did you mean 'price'?"
    )


def test_metadata_that_are_asked_for_must_be_there(table: Path) -> None:
    assert error_of(table, "path,label,boat\n1.jpg,cat,x\n", metadata=("boat", "hour")) == (
        f"{table}: there is no column 'hour' (--metadata).\n"
        "  Expected: one of path, label, boat\n"
        "  Fix: choose one of these."
    )


@pytest.mark.parametrize(("what", "option"), [("image", "image"), ("answer", "label"), ("split", "split")])
def test_a_column_that_was_asked_for_must_be_there(table: Path, what: str, option: str) -> None:
    assert error_of(table, "path,label\n1.jpg,cat\n", **{what: "lable"}) == (
        f"{table}: there is no column 'lable' (--{option}-column).\n"
        "  Expected: one of path, label\n"
        "  Fix: did you mean 'label'?"
    )


def test_an_unknown_split_is_an_error(table: Path) -> None:
    assert error_of(table, "path,label,split\n1.jpg,cat,holdout\n") == (
        f"{table}: the split column holds 'holdout'.\n"
        "  Expected: train or training, validation, valid, val or dev, test or testing\n"
        "  Fix: mend the cell, or name another column with --split-column."
    )


def test_a_row_with_other_fields_than_the_header_is_an_error(table: Path) -> None:
    assert error_of(table, "path,label\n1.jpg,cat\n2.jpg,cat,dog\n") == (
        f"{table}: row 2 has 3 fields.\n"
        "  Expected: 2, as many as the first line names\n"
        "  Fix: mend the row; a field that holds the separator itself stands in double quotes."
    )


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("", "the table is empty"), ("path\n1.jpg\n", "the columns are path"), ("a,b,a\n", "the columns are a, b, a")],
)
def test_a_table_without_a_usable_header_is_an_error(table: Path, content: str, complaint: str) -> None:
    assert error_of(table, content) == (
        f"{table}: {complaint}.\n"
        "  Expected: a first line that names at least two columns, each once\n"
        "  Fix: name the columns in the first line."
    )


def test_a_csv_that_is_not_utf_8_is_an_error(table: Path) -> None:
    assert error_of(table, "path,label\n1.jpg,café\n".encode("latin-1")) == (
        f"{table}: the table cannot be read ('utf-8' codec can't decode byte 0xe9 in position 20: invalid continuation byte).\n"
        "  Expected: a CSV file in UTF-8, with the columns' names in its first line\n"
        "  Fix: save it again as CSV in UTF-8."
    )


def test_a_damaged_parquet_file_is_an_error(tmp_path: Path) -> None:
    message = error_of(tmp_path / "photos.parquet", b"PAR1 this is none PAR1")
    assert message.startswith(f"{tmp_path}/photos.parquet: the table cannot be read (")
    assert message.endswith(").\n  Expected: a Parquet file\n  Fix: write it again, or save it as CSV.")
