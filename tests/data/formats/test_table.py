"""Tables of paths, classes and splits."""

from __future__ import annotations

from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from tlkit.data.formats.candidates import Candidate
from tlkit.data.formats.table import TableColumns, list_other_columns, read_table
from tlkit.data.manifest import SkippedFile
from tlkit.errors import DataError, SettingError
from tlkit.metadata.columns import CATEGORY, ColumnRequest
from tlkit.outputs import CLASSIFICATION, MULTILABEL, REGRESSION


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "photos.csv"


def requests(*names: str) -> tuple[ColumnRequest, ...]:
    return tuple(map(ColumnRequest, names))


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
    assert candidates.skipped == ()
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
    assert candidates.items == (Candidate(tmp_path / "1.jpg", "7", None),)
    assert [item.reason for item in candidates.skipped] == ["no label in row 2", "no label in row 3"]
    assert candidates.unused_columns == ("bytes",)


def test_parquet_labels_may_be_numbers_or_categories(tmp_path: Path) -> None:
    path = tmp_path / "photos.parquet"
    columns = {"path": ["1.jpg", "2.jpg"], "label": pyarrow.array(["b", "a"]).dictionary_encode(), "target": [0, 1]}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    assert [item.answer for item in read_table(path).items] == ["b", "a"]
    assert [item.answer for item in read_table(path, TableColumns(answer="target")).items] == ["0", "1"]


def test_rows_that_lack_something_are_skipped(table: Path) -> None:
    table.write_text("path,label,split\n,cat,train\n1.jpg, ,train\n2.jpg,cat,\n3.jpg,cat,test\n")
    candidates = read_table(table)
    assert [item.path.name for item in candidates.items] == ["3.jpg"]
    assert candidates.skipped == (
        SkippedFile(table, "no image path in line 2"),
        SkippedFile(table.parent / "1.jpg", "no label in line 3"),
        SkippedFile(table.parent / "2.jpg", "no split in line 4"),
    )


def test_rows_that_say_the_same_count_once(table: Path) -> None:
    table.write_text("path,label,box\n1.jpg,cat,a\n./1.jpg,cat,b\n1.jpg,dog,c\n1.jpg,cat,d\n")
    candidates = read_table(table)
    assert [item.answer for item in candidates.items] == ["cat", "dog"]
    assert candidates.notices == (
        "photos.csv: 2 rows repeat earlier ones and are skipped.",
        "photos.csv: 1 image has rows of different classes; --task multilabel learns all of them.",
    )


def test_labels_are_sorted_and_an_image_may_have_none(table: Path) -> None:
    table.write_text("path,label\n1.jpg,wood | iron|wood\n2.jpg,\n,iron\n")
    candidates = read_table(table, TableColumns(task=MULTILABEL))
    assert [item.answer for item in candidates.items] == ["iron|wood", ""]
    assert candidates.skipped == (SkippedFile(table, "no image path in line 4"),)


def test_rows_that_name_the_same_labels_count_once(table: Path) -> None:
    table.write_text("path,label\n1.jpg,a|b\n1.jpg,b|a\n")
    candidates = read_table(table, TableColumns(task=MULTILABEL))
    assert [item.answer for item in candidates.items] == ["a|b"]
    assert candidates.notices == ("photos.csv: 1 row repeats an earlier one and is skipped.",)


def test_values_are_numbers_and_other_rows_are_skipped(table: Path) -> None:
    table.write_text("path,label,price\n1.jpg,cat,12.50\n2.jpg,cat,\n3.jpg,,dear\n4.jpg,,-1e3\n")
    candidates = read_table(table, TableColumns(answer="price", task=REGRESSION))
    assert [item.answer for item in candidates.items] == ["12.50", "-1e3"]
    assert candidates.skipped == (
        SkippedFile(table.parent / "2.jpg", "no value in line 3"),
        SkippedFile(table.parent / "3.jpg", "the value 'dear' is not a number in line 4"),
    )


def test_metadata_come_in_the_order_asked_for_and_may_be_missing(table: Path) -> None:
    table.write_text("path,hour,label,boat\n1.jpg, 3 ,cat,Heron\n2.jpg,,cat,\n")
    candidates = read_table(table, TableColumns(metadata=requests("boat", "hour")))
    assert [item.metadata for item in candidates.items] == [("Heron", "3"), ("", "")]
    assert [item.metadata for item in read_table(table).items] == [(), ()]


def test_rows_that_differ_in_metadata_are_not_the_same(table: Path) -> None:
    table.write_text("path,label,hour,x\n1.jpg,cat,3,a\n1.jpg,cat,4,b\n1.jpg,cat,3,c\n")
    candidates = read_table(table, TableColumns(metadata=requests("hour")))
    assert [item.metadata for item in candidates.items] == [("3",), ("4",)]
    assert candidates.notices == (
        "photos.csv: 1 row repeats an earlier one and is skipped.",
        "photos.csv: 1 image has rows that differ in their metadata; each row counts as an image.",
    )


def test_metadata_of_a_parquet_table_are_texts(tmp_path: Path) -> None:
    path = tmp_path / "photos.parquet"
    columns = {"path": ["1.jpg", "2.jpg"], "label": ["a", "b"], "depth": [1.5, None], "night": [True, False]}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    candidates = read_table(path, TableColumns(metadata=requests("night", "depth")))
    assert [item.metadata for item in candidates.items] == [("true", "1.5"), ("false", "")]


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
        f"{table}: no label column among path, kind.\n"
        "  Expected: a column named label, class_name, label_name, class, category, category_name, target, labels or "
        "tags\n"
        "  Fix: name the column with --label-column."
    )
    assert error_of(table, "url,label\n1.jpg,cat\n") == (
        f"{table}: no image column among url, label.\n"
        "  Expected: a column named path, image_path, image, filepath, file_path, filename, file_name, file or "
        "image_name\n"
        "  Fix: name the column with --image-column."
    )


def test_the_column_of_values_must_be_named(table: Path) -> None:
    assert error_of(table, "path,label,price\n1.jpg,cat,3\n", task=REGRESSION) == (
        f"{table}: no target column among path, label, price.\n"
        "  Expected: a column given by name\n"
        "  Fix: name the column with --target."
    )
    assert error_of(table, "path,label,price\n1.jpg,cat,3\n", task=REGRESSION, answer="prize") == (
        f"{table}: no column 'prize' (--target).\n  Expected: one of path, label, price\n  Fix: did you mean 'price'?"
    )


def test_metadata_that_are_asked_for_must_be_there(table: Path) -> None:
    assert error_of(table, "path,label,boat\n1.jpg,cat,x\n", metadata=requests("boat", "hour")) == (
        f"{table}: no column 'hour' (--metadata).\n  Expected: one of path, label, boat\n  Fix: choose one of these."
    )


@pytest.mark.parametrize(("what", "option"), [("image", "image"), ("answer", "label"), ("split", "split")])
def test_a_column_that_was_asked_for_must_be_there(table: Path, what: str, option: str) -> None:
    assert error_of(table, "path,label\n1.jpg,cat\n", **{what: "lable"}) == (
        f"{table}: no column 'lable' (--{option}-column).\n  Expected: one of path, label\n  Fix: did you mean 'label'?"
    )


def test_columns_that_have_no_part_are_named(table: Path) -> None:
    table.write_text("id,path,label,price,boat,split\n1,1.jpg,cat,3,x,train\n")
    assert read_table(table).unused_columns == ("id", "price", "boat")
    assert read_table(table, TableColumns(metadata=requests("boat"))).unused_columns == ("id", "price")


def test_names_that_differ_by_case_only_must_be_chosen(table: Path) -> None:
    assert error_of(table, "path,Label,label\n1.jpg,cat,dog\n") == (
        f"{table}: the columns Label and label differ only in case.\n"
        "  Expected: one column named label\n"
        "  Fix: choose one with --label-column."
    )
    assert [item.answer for item in read_table(table, TableColumns(answer="Label")).items] == ["cat"]


def test_of_several_columns_for_paths_the_one_that_names_files_counts(table: Path) -> None:
    table.write_text("image,filename,label\n17,1.jpg,cat\n")
    (table.parent / "1.jpg").write_bytes(b"")
    candidates = read_table(table)
    assert [item.path.name for item in candidates.items] == ["1.jpg"]
    assert candidates.unused_columns == ("image",)


def test_rows_of_an_image_are_united_into_its_labels(table: Path) -> None:
    table.write_text("path,label\n1.jpg,b\n2.jpg,b\n1.jpg,a|c\n./1.jpg,\n")
    candidates = read_table(table, TableColumns(task=MULTILABEL))
    assert [item.answer for item in candidates.items] == ["a|b|c", "b"]
    assert candidates.notices == ("photos.csv: 1 image has labels in several rows, which are merged.",)


@pytest.mark.parametrize(
    ("task", "rows", "answers", "what"),
    [
        (MULTILABEL, ["1,0", "1.0,TRUE", "0,0"], ["cat", "cat|red", ""], "labels of an image are"),
        (CLASSIFICATION, ["1,0", "0,1", "1.0,0.0"], ["cat", "red", "cat"], "class of an image is"),
    ],
)
def test_columns_of_0_and_1_are_labels_or_classes(
    table: Path, task: str, rows: list[str], answers: list[str], what: str
) -> None:
    text = "".join(f"{number}.jpg,{number % 2},{row}\n" for number, row in enumerate(rows))
    table.write_text(f"path,is_valid,cat,red\n{text}")
    candidates = read_table(table, TableColumns(task=task))
    assert [item.answer for item in candidates.items] == answers
    assert candidates.notices[-1] == f"photos.csv: the {what} read from the 0/1 columns cat, red."
    assert [item.split for item in candidates.items] == ["train", "validation", "train"]


def test_columns_of_0_and_1_that_give_several_labels_want_another_task(table: Path) -> None:
    assert error_of(table, "path,cat,red\n1.jpg,1,1\n") == (
        f"{table}: no label column among path, cat, red.\n"
        "  Expected: a column named label, class_name, label_name, class, category, category_name, target, labels or "
        "tags\n"
        "  Fix: name the column with --label-column. The columns cat, red contain 0 and 1: --task multilabel reads "
        "them."
    )


def test_a_class_that_looks_like_no_value_is_told(table: Path) -> None:
    table.write_text("path,label\n1.jpg,nan\n2.jpg,cat\n")
    candidates = read_table(table)
    assert [item.answer for item in candidates.items] == ["nan", "cat"]
    assert candidates.notices == ("photos.csv: 'nan' is read as a class; leave the cell empty if there is none.",)


def test_values_are_read_as_the_column_writes_them(table: Path) -> None:
    rows = [f"{number}.jpg;{number},5 €" for number in range(1, 4)]
    table.write_text("\n".join(["path;price", *rows, "4.jpg;n/a"]))
    candidates = read_table(table, TableColumns(answer="price", task=REGRESSION))
    assert [item.answer for item in candidates.items] == ["1.5", "2.5", "3.5"]
    assert candidates.notices == ("photos.csv: price: 1,5 € is read as 1.5.",)
    assert [item.reason for item in candidates.skipped] == ["no value in line 5"]


def test_values_that_stand_for_no_data_are_none_and_outliers_are_told(table: Path) -> None:
    rows = [f"{number}.jpg,{number}" for number in range(1, 41)]
    table.write_text("\n".join(["path,price", *rows, "41.jpg,-9999", "42.jpg,-3.4e38", "43.jpg,1e6"]))
    candidates = read_table(table, TableColumns(answer="price", task=REGRESSION))
    assert [item.answer for item in candidates.items] == [*map(str, range(1, 41)), "1e6"]
    assert candidates.notices == (
        "photos.csv: price: -9999 is read as missing; 1 of 43 values.",
        "photos.csv: price: 1 of 43 values are far outside the others' range, 1 to 40 (such as 1e6); they are used "
        "unchanged.",
    )
    assert [item.reason for item in candidates.skipped] == [
        "no value in line 42",
        "the value '-3.4e38' means no data in line 43",
    ]


def test_metadata_are_read_as_their_column_writes_numbers_but_categories_and_codes_stay(table: Path) -> None:
    table.write_text("path;label;h;lens;zip_code\n1.jpg;cat;1,5;1,8;1.234\n2.jpg;cat;;2,8;\n")
    columns = (ColumnRequest("h"), ColumnRequest("lens", CATEGORY), ColumnRequest("zip_code"))
    candidates = read_table(table, TableColumns(metadata=columns))
    assert [item.metadata for item in candidates.items] == [("1.5", "1,8", "1.234"), ("", "2,8", "")]
    assert candidates.notices == ("photos.csv: h: 1,5 is read as 1.5.",)


def test_numbers_that_can_be_read_in_two_ways_are_refused(table: Path) -> None:
    assert error_of(table, "path\tlabel\th\n1.jpg\tcat\t1,234\n", metadata=requests("h")) == (
        f"{table}: '1,234' in the column 'h' can be read as 1234 or 1.234.\n"
        "  Expected: numbers with a decimal point and no thousands separator\n"
        "  Fix: save the table with plain numbers, or with semicolons between cells if the comma is the decimal mark."
    )


def test_a_column_that_needs_quotes_is_suggested_in_them(table: Path) -> None:
    assert error_of(table, 'path,label,"area, m2"\n1.jpg,cat,3\n', metadata=requests("area", "m2")) == (
        f"{table}: no column 'area' (--metadata).\n"
        "  Expected: one of path, label, area, m2\n"
        '  Fix: did you mean "area, m2", in double quotes?'
    )


def test_a_column_whose_name_no_model_can_hold_is_refused(table: Path) -> None:
    name = "x" * 201
    assert error_of(table, f"path,label,{name}\n1.jpg,cat,3\n", metadata=requests(name)) == (
        f"{table}: the column {name[:80]!r} cannot be metadata.\n"
        "  Expected: a name of at most 200 printable characters\n"
        "  Fix: rename the column."
    )
