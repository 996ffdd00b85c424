"""Numbers in text: which are some, and how a column writes them."""

from __future__ import annotations

import math

import pytest

from tlkit.metadata.numbers import AmbiguousNumbers, Notation, find_notation, is_missing, is_numeric, parse_number


def test_missing_values_have_many_spellings() -> None:
    missing = ["", "  ", "NA", "n/a", "NaN", "null", "None", "?", "-", "--", "#N/A", "<NA>", "NaT", "#DIV/0!"]
    assert all(map(is_missing, missing))
    assert not any(map(is_missing, ["0", "no", "-1", "Nan tribe", "unknown"]))


def test_a_number_is_plain_and_finite() -> None:
    assert [parse_number(text) for text in ("3", " -1.5e3 ", "+.5", "5.")] == [3.0, -1500.0, 0.5, 5.0]
    others = ("", "inf", "nan", "four", "1,5", "1_000", "١٢", "0x10", "1e308", "-3.4028235e+38", "1" * 100)
    assert all(math.isnan(parse_number(text)) for text in others)
    assert [is_numeric(text) for text in ("inf", "-Infinity", "1e308", "1_000")] == [True, True, True, False]


@pytest.mark.parametrize(
    ("cells", "plain"),
    [
        (["1,5", "2,75", ""], ["1.5", "2.75", ""]),
        (["1.234,5", "2"], ["1234.5", "2"]),
        (["1,234.5", "200"], ["1234.5", "200"]),
        (["1,234,567", "3"], ["1234567", "3"]),
        (["1 234,5", "1\u00a0000,25"], ["1234.5", "1000.25"]),
        (["1'234.5", "7"], ["1234.5", "7"]),
        (["0,123", "0,5"], ["0.123", "0.5"]),
        (["12%", "3.5 %", "n/a"], ["0.12", "0.035", "n/a"]),
        (["12,5 %", "3 %"], ["0.125", "0.03"]),
        (["$1,200.50", "$ 950"], ["1200.50", "950"]),
        (["1.200,50 €", "950 €"], ["1200.50", "950"]),
        (["\u22125", "3"], ["-5", "3"]),
        (["1,5e3", "2,5"], ["1.5e3", "2.5"]),
    ],
)
def test_a_column_decides_how_its_numbers_are_written(cells: list[str], plain: list[str]) -> None:
    notation = find_notation(cells)
    assert notation is not None
    assert [notation.rewrite(cell) for cell in cells] == plain
    assert all(is_missing(text) or is_numeric(text) for text in plain)


@pytest.mark.parametrize(
    "cells",
    [
        ["1", "2.5", "1e5", ""],
        ["1.234", "2.345"],
        ["cat", "dog"],
        ["1,5", "cat", "dog"],
        ["10.01.2024"],
        ["2024-01-10"],
        ["1 and 2"],
        ["12%", "13", "14"],
        ["1,2,3"],
        [],
        ["1e999999999%"],
    ],
)
def test_plain_numbers_and_other_texts_have_no_notation(cells: list[str]) -> None:
    assert find_notation(cells) is None


@pytest.mark.parametrize(
    ("separator", "others", "decimal"),
    [
        (";", [], ","),
        (",", [], "."),
        ("\t", [["100,5"]], ","),
        (";", [["100.5"]], "."),
        (",", [["cat"], ["1", "0,5", ""]], ","),
    ],
)
def test_one_comma_before_three_digits_is_read_as_the_table_says(
    separator: str, others: list[list[str]], decimal: str
) -> None:
    notation = find_notation(["1,234", "2,345"], separator=separator, others=lambda: others)
    assert notation == Notation(decimal)
    assert notation.rewrite("1,234") == ("1.234" if decimal == "," else "1234")


def test_one_comma_before_three_digits_is_ambiguous_where_nothing_decides() -> None:
    with pytest.raises(AmbiguousNumbers) as caught:
        find_notation(["1,234", "17"], separator="\t", others=lambda: [["1,234", "17"], ["cat"]])
    assert caught.value.text == "1,234"


def test_dots_stand_between_thousands_only_if_other_columns_have_decimal_commas() -> None:
    assert find_notation(["1.234", "2.000"], separator=";", others=lambda: [["100,5"]]) == Notation(",")
    assert find_notation(["1.234", "2.5"], separator=";", others=lambda: [["100,5"]]) is None


def test_a_text_that_is_no_number_of_the_notation_stays_as_it_is() -> None:
    assert [Notation(",").rewrite(text) for text in ("1.5", "cat", "2 %", "1,5")] == ["1.5", "cat", "2 %", "1.5"]
