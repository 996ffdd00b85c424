"""Tables as files: columns by name, texts of every type, and what is refused before it is read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from tlkit.data.formats import table_file
from tlkit.data.formats.table_file import open_table
from tlkit.errors import DataError


def write_parquet(folder: Path, **columns: Any) -> Path:
    path = folder / "photos.parquet"
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path


def write_csv(folder: Path, text: str) -> Path:
    path = folder / "photos.csv"
    path.write_text(text)
    return path


def error_of(path: Path, column: str = "") -> str:
    with pytest.raises(DataError) as caught:
        open_table(path).read_column(column)
    return str(caught.value)


def test_rows_are_located_by_line_or_number(tmp_path: Path) -> None:
    csv = open_table(write_csv(tmp_path, 'path,note\n1.png,"a\nb"\n\n2.png,c\n'))
    parquet = open_table(write_parquet(tmp_path, path=["1.png", "2.png"], note=["a", "b"]))
    assert [table.locate(row) for table in (csv, parquet) for row in (0, 1)] == ["line 2", "line 5", "row 1", "row 2"]


def test_names_of_columns_have_single_spaces_and_one_unicode_form_and_nameless_ones_are_left_out(
    tmp_path: Path,
) -> None:
    table = open_table(write_csv(tmp_path, ',"Fla\u0308che\nm²",  path\n0,1, 1.png\n'))
    assert table.header == ("Fl\u00e4che m²", "path")
    assert [table.read_column(name) for name in table.header] == [["1"], ["1.png"]]
    assert table.notices == ("photos.csv: 1 column has no name; not used.",)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pyarrow.array([7.0, None, float("nan"), 1.5]), ["7", "", "", "1.5"]),
        (pyarrow.array([7, None, -1]), ["7", "", "-1"]),
        (pyarrow.array([True, False, None]), ["true", "false", ""]),
        (pyarrow.array([" a", None, "a", "b"]).dictionary_encode(), ["a", "", "a", "b"]),
        (pyarrow.array([b"x", None]), ["x", ""]),
        (pyarrow.array([["a", "b"], [], None]), ['["a", "b"]', "[]", ""]),
        (pyarrow.array([0, None], pyarrow.date32()), ["1970-01-01", ""]),
        (pyarrow.array([None, None]), ["", ""]),
        (pyarrow.array([150], pyarrow.decimal128(5, 2)), ["150.00"]),
    ],
)
def test_every_type_of_a_parquet_file_becomes_text(tmp_path: Path, values: Any, texts: list[str]) -> None:
    path = write_parquet(tmp_path, **{"path": ["1.png"] * len(values), "a.b": values})
    assert open_table(path).read_column("a.b") == texts


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([{"bytes": b"1"}], "struct<bytes: dictionary<values=binary, indices=int32, ordered=0>>"),
        (pyarrow.array([2**30], pyarrow.date32()), "a date out of range"),
        (pyarrow.array([2**45], pyarrow.timestamp("s")), "a date out of range"),
        (["x" * 10_001], "a text of 10,001 characters"),
    ],
)
def test_a_column_that_gives_no_short_texts_is_an_error(tmp_path: Path, values: Any, found: str) -> None:
    path = write_parquet(tmp_path, path=["1.png"], other=values)
    assert open_table(path).read_column("path") == ["1.png"]
    assert error_of(path, "other").startswith(f"{path}: the column 'other' contains {found}.\n  Expected: ")


def test_text_of_a_parquet_file_that_is_not_utf_8_is_an_error(tmp_path: Path) -> None:
    offsets = pyarrow.array([0, 2], pyarrow.int32()).buffers()[1]
    bad = pyarrow.Array.from_buffers(pyarrow.string(), 1, [None, offsets, pyarrow.py_buffer(b"\xff\xfe")])
    path = write_parquet(tmp_path, path=bad, label=["a"])
    assert error_of(path, "path") == (
        f"{path}: the table cannot be read (In column 0: Invalid: Dictionary array invalid: Invalid: Invalid UTF8 "
        "sequence at string index 0).\n"
        "  Expected: a Parquet file with UTF-8 text\n"
        "  Fix: write it again, or save it as CSV."
    )


def test_a_damaged_parquet_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "photos.parquet"
    path.write_bytes(b"PAR1 this is none PAR1")
    message = error_of(path)
    assert message.startswith(f"{path}: the table cannot be read (")
    assert message.endswith(").\n  Expected: a Parquet file with UTF-8 text\n  Fix: write it again, or save it as CSV.")


def test_two_million_rows_in_a_few_kilobytes_are_refused(tmp_path: Path) -> None:
    zeros = pyarrow.nulls(2_000_000, pyarrow.int8()).fill_null(0)
    column = pyarrow.DictionaryArray.from_arrays(zeros, pyarrow.array(["1.png"]))
    path = write_parquet(tmp_path, path=column, label=column)
    assert path.stat().st_size < 2**18
    assert error_of(path) == (
        f"{path}: the table has 2,000,000 rows.\n  Expected: at most 1,000,000 rows\n  Fix: split the table."
    )


def test_a_column_that_unpacks_into_far_more_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_file, "MAX_COLUMN_BYTES", 2**20)
    path = write_parquet(tmp_path, path=["1.png", "2.png"], note=["x" * 2**21, "y"])
    assert path.stat().st_size < 2**18
    assert error_of(path, "note") == (
        f"{path}: the column 'note' decompresses to 2 MiB.\n"
        "  Expected: at most 1 MiB of paths, labels or other short texts and numbers\n"
        "  Fix: use another column."
    )


def test_lists_in_several_groups_of_rows_are_read(tmp_path: Path) -> None:
    path = tmp_path / "photos.parquet"
    table = pyarrow.table({"path": ["1.png", "2.png", "3.png"], "labels": [["a"], [], ["a", "b"]]})
    pyarrow.parquet.write_table(table, path, row_group_size=1)
    assert open_table(path).read_column("labels") == ['["a"]', "[]", '["a", "b"]']


def test_a_parquet_file_with_any_byte_changed_is_read_whole_or_an_error(tmp_path: Path) -> None:
    path = write_parquet(tmp_path, path=["1.png", "2.png", "3.png"], label=["a", "b", "a"])
    content = path.read_bytes()
    num_refused = 0
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        try:
            table = open_table(path)
            assert {len(table.read_column(name)) for name in table.header} == {table.num_rows}
        except DataError:
            num_refused += 1
    assert num_refused > len(content) / 4


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_pipe_or_device_is_no_table(tmp_path: Path, suffix: str) -> None:
    pipe, device = tmp_path / f"pipe{suffix}", tmp_path / f"zero{suffix}"
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    for path in (pipe, device):
        assert f"{path}: the table cannot be read (not a regular file)." in error_of(path)


def test_a_csv_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_file, "MAX_CSV_BYTES", 10)
    path = write_csv(tmp_path, "path,label\n")
    assert error_of(path) == (
        f"{path}: the table cannot be read (larger than 10 bytes).\n"
        "  Expected: a CSV file of at most 0 MiB, with the column names in its first line\n"
        "  Fix: check the path; for a large table, keep only the columns you need, or save it as Parquet."
    )


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "the table is empty"),
        ("path\n1.jpg\n", "the columns are path"),
        ("a,b,a\n", "the columns are a, b, a; a appears twice"),
        ("a,b, a  \n", "the columns are a, b, a; a appears twice"),
    ],
)
def test_a_table_without_a_usable_header_is_an_error(tmp_path: Path, content: str, complaint: str) -> None:
    path = write_csv(tmp_path, content)
    assert error_of(path) == (
        f"{path}: {complaint}.\n"
        "  Expected: a first line with 2 to 10,000 unique column names\n"
        "  Fix: put the column names in the first line, separated by commas, semicolons, tabs or |."
    )


def test_a_table_without_a_header_is_an_error(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "a/1.PNG,cat\na/2.PNG,dog\n")
    assert error_of(path) == (
        f"{path}: the first line is data, not a header: it contains 'a/1.PNG'.\n"
        "  Expected: a first line with the column names\n"
        "  Fix: add a first line such as path,label."
    )
