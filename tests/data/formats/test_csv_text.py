"""CSV as other programs save it: encodings, separators, quotes, comments."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tlkit.data.formats.csv_text import CsvText, parse_csv
from tlkit.errors import DataError

TABLE = Path("/data/photos.csv")


def parse(content: str | bytes) -> CsvText:
    return parse_csv(TABLE, content if isinstance(content, bytes) else content.encode())


def error_of(content: str | bytes) -> str:
    with pytest.raises(DataError) as caught:
        parse(content)
    return str(caught.value)


def fold(table: CsvText) -> list[list[str]]:
    return [table.header, *table.rows]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line_ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_table_is_read_whatever_its_encoding_separator_and_line_ending(
    separator: str, line_ending: str, encoding: str
) -> None:
    rows = [["path", "label", "Größe"], ["1.png", "chat é", "2"], ["2.png", "狗", "3"]]
    text = line_ending.join(separator.join(row) for row in rows) + line_ending
    table = parse(text.encode(encoding))
    assert fold(table) == rows
    assert (table.lines, table.separator, table.notices) == ([2, 3], separator, ())


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('sep=;\npath;label\n1.png;a,b\n', [["path", "label"], ["1.png", "a,b"]]),
        ('"sep=|"\r\npath|label\r\n1.png|a\r\n', [["path", "label"], ["1.png", "a"]]),
        ('"path";"label";"size, weight, and age"\n1.png;cat;x\n2.png;dog;y\n', [
            ["path", "label", "size, weight, and age"], ["1.png", "cat", "x"], ["2.png", "dog", "y"],
        ]),
        ("path,label\n1.png,a;b;c\n2.png,a;b\n", [["path", "label"], ["1.png", "a;b;c"], ["2.png", "a;b"]]),
        ("path;h\n1.png;1,5\n2.png;2,5\n", [["path", "h"], ["1.png", "1,5"], ["2.png", "2,5"]]),
        ('path, label\n1.png, "a, b"\n', [["path", "label"], ["1.png", "a, b"]]),
    ],
)  # fmt: skip
def test_the_separator_is_stated_or_the_one_that_makes_even_rows(text: str, rows: list[list[str]]) -> None:
    assert fold(parse(text)) == rows


def test_windows_1252_is_read_if_it_looks_western_and_said() -> None:
    table = parse("path,label\n1.png,café 40°C\n2.png,Fläche\n".encode("cp1252"))
    assert [row[1] for row in table.rows] == ["café 40°C", "Fläche"]
    assert table.notices == (
        "photos.csv is not UTF-8; it is read as Windows-1252, with words such as 'café'. If that is wrong, save the "
        "table as UTF-8.",
    )


@pytest.mark.parametrize(
    ("text", "encoding", "byte"),
    [
        ("кошка", "cp1251", "ea"),
        ("Wrocław", "cp1250", "b3"),
        ("Łódź", "latin2", "a3"),
        ("猫咪", "gbk", "df"),
        ("γάτα", "cp1253", "e3"),
        ("Käse", "cp437", "84"),
        ("Küche", "cp850", "81"),
    ],
)
def test_other_encodings_are_refused_with_their_line(text: str, encoding: str, byte: str) -> None:
    assert error_of(f"path,label\n1.png,{text}\n".encode(encoding)) == (
        f"{TABLE}: line 2 is not UTF-8 text (byte 0x{byte}).\n"
        "  Expected: a CSV file in UTF-8, UTF-16 or, for Western European text, Windows-1252\n"
        "  Fix: save the table again as CSV in UTF-8."
    )


def test_a_nul_character_is_an_error() -> None:
    assert error_of(b"path,label\n1.png,a\x00b\n") == (
        f"{TABLE}: line 2 contains a NUL character.\n"
        "  Expected: a text file with the column names in its first line\n"
        "  Fix: save the table again as CSV in UTF-8."
    )


def test_a_byte_order_mark_within_the_file_is_dropped() -> None:
    assert fold(parse("\ufeffpath,label\n1.png,a\n\ufeff2.png,b\n")) == [
        ["path", "label"],
        ["1.png", "a"],
        ["2.png", "b"],
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('path,label,note\n1.png,a,ok\n2.png,b,"5 inch\n3.png,a,ok\n', "line 3: a quote is not closed"),
        (
            f'path,label,note\n1.png,a,"{"x" * 200_000}\n',
            "line 2: a cell has more than 131,072 characters, so a quote may be open",
        ),
        ('path,label\n1.png,"a" b\n', 'line 2: a closing quote (") is followed by more text'),
    ],
)
def test_a_stray_quote_is_an_error_with_its_line(text: str, found: str) -> None:
    line = int(found[5])
    assert error_of(text) == (
        f"{TABLE}: {found}.\n"
        "  Expected: double quotes only around a whole cell, and doubled inside one\n"
        f'  Fix: fix line {line}: write "" for a quote inside a quoted cell, or remove the quote.'
    )


@pytest.mark.parametrize(
    "text",
    [
        'path,label,note\n1.png,a,x\n2.png,b,"5 inch\n3.png,a,ok\n4.png,b,again"\n5.png,a,x\n',
        'path,label,note\n1.png,a,x\n2.png,b,"5 inch\n3.png,a,again"\n',
        'path,note,label\n1.png,x,a\n2.png,"5 inch,b\n3.png,6 inch",a\n',
        'label,note,path\na,x,1.png\nb,"5 inch,2.png\na,again",3.png\n',
        'path,label\n"1.png,a\n2.png,b\n3.png",a\n',
        "path,label\n1,a\n2,\"b\n3,a\n4,b\"\n",
    ],
)  # fmt: skip
def test_two_stray_quotes_that_swallow_rows_are_an_error(text: str) -> None:
    line = 1 + next(number for number, line in enumerate(text.split("\n")) if '"' in line)
    assert error_of(text) == (
        f"{TABLE}: line {line}: a quoted cell seems to contain further rows of the table.\n"
        "  Expected: double quotes only around a whole cell, and doubled inside one\n"
        f'  Fix: close or remove the quote in line {line}; write "" for a quote inside a quoted cell.'
    )


def test_a_quoted_cell_may_hold_line_breaks_separators_and_quotes() -> None:
    table = parse('path,label,note\n1.png,a,"two\nlines, and a ""quote"", yes"\n\n2.png,b,see\n')
    assert table.rows == [["1.png", "a", 'two\nlines, and a "quote", yes'], ["2.png", "b", "see"]]
    assert table.lines == [2, 5]


def test_a_quote_within_an_unquoted_cell_is_text() -> None:
    assert parse('path,label,note\n1.png,a,5" long\n').rows == [["1.png", "a", '5" long']]


def test_comments_repeated_headers_and_blank_rows_are_skipped_and_told() -> None:
    table = parse("# made by hand\n\npath,label\n1.png,a\n,\n \n#2.png\n#3.png,b\npath,label\n4.png,a\n")
    assert fold(table) == [["path", "label"], ["1.png", "a"], ["#3.png", "b"], ["4.png", "a"]]
    assert table.lines == [4, 8, 10]
    assert table.notices == (
        "photos.csv: 2 lines that start with # are skipped.",
        "photos.csv: 1 line that repeats the header is skipped.",
    )


@pytest.mark.parametrize(
    ("first", "header"),
    [("# path,label", ["path", "label"]), ("#path,label", ["path", "label"]), ("#,path", ["#", "path"])],
)
def test_a_header_may_start_with_a_number_sign(first: str, header: list[str]) -> None:
    assert parse(f"{first}\nx,y\n").header == header


def test_empty_cells_behind_the_last_column_are_dropped() -> None:
    assert fold(parse("path,label,\n1.png,a,\n2.png,b,\n")) == [["path", "label"], ["1.png", "a"], ["2.png", "b"]]
    assert fold(parse("path,label\n1.png,a,,\n2.png,b\n")) == [["path", "label"], ["1.png", "a"], ["2.png", "b"]]


@pytest.mark.parametrize(("row", "cells"), [("2.png", "1 cell"), ("2.png,a,b", "3 cells")])
def test_a_row_of_another_width_is_an_error_with_its_line(row: str, cells: str) -> None:
    assert error_of(f"path,label\n1.png,a\n{row}\n") == (
        f"{TABLE}: line 3 has {cells}.\n"
        "  Expected: 2, as in the first line\n"
        "  Fix: fix the line; put a cell that contains the separator in double quotes."
    )


def test_a_flood_of_blank_lines_is_refused_before_it_is_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlkit.data.formats.csv_text.MAX_LINES", 5)
    parse(b"path,label\r\n1.png,a\r\n\n\n\n")
    with pytest.raises(DataError, match=r"photos\.csv: the table has 6 lines\."):
        parse(b"path,label\r\n1.png,a\r\n\n\n\n\r")


def test_a_table_of_too_many_rows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlkit.data.formats.csv_text.MAX_ROWS", 3)
    assert len(parse("a,b\n" + "1,2\n" * 3).rows) == 3
    assert error_of("a,b\n" + "1,2\n" * 4) == (
        f"{TABLE}: the table has more than 3 rows.\n  Expected: at most 3 rows\n  Fix: split the table."
    )


@pytest.mark.parametrize("content", ["", "\n\n", "# nothing\n"])
def test_a_file_without_rows_has_no_header(content: str) -> None:
    assert parse(content) == CsvText([], [], [], ",", ())


def test_the_limit_of_a_cell_is_that_of_tables_whatever_was_read_before() -> None:
    earlier = csv.field_size_limit(10**8)
    try:
        assert "a cell has more than 131,072 characters" in error_of('path,label\n1.png,"' + "x" * 200_000)
    finally:
        csv.field_size_limit(earlier)
