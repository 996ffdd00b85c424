"""Values that say less than they seem to are counted."""

from __future__ import annotations

import pytest

from tlkit.metadata.columns import ColumnRequest
from tlkit.metadata.encoding import CategoryColumn, MetadataEncoding, NumberColumn, fit_encoding
from tlkit.metadata.oddities import OddValues, describe_odd_training_values, describe_useless_column


def test_odd_values_are_counted_by_column_and_kind() -> None:
    encoding = MetadataEncoding((CategoryColumn("boat", ("Heron",)), NumberColumn("depth", 5.0, 1.0, 0.0, 9.0)))
    odd = OddValues(encoding)
    rows = [
        ("heron", "5"),
        ("Otter", "1612"),
        ("", "deep"),
        ("Stork", "-9999"),
        ("?", ""),
        ("Heron", "9.5"),
        ("Heron", "inf"),
    ]
    for row in rows:
        odd.add(row)
    assert odd.describe() == [
        "boat: 2 of 7 values were never seen in training and count as unknown (such as 'Otter').",
        "depth: 1 of 7 values are far outside the usual range, 0 to 9, and are clipped (such as 1612).",
        "depth: 2 of 7 values mean no data and count as missing (such as -9999).",
        "depth: 1 of 7 values are not numbers and count as missing (such as 'deep').",
    ]


def test_values_as_in_training_are_not_odd() -> None:
    rows = [("Heron", "1"), ("Heron", "2"), ("Otter", "3")]
    encoding = fit_encoding([ColumnRequest("boat"), ColumnRequest("depth")], rows)
    assert describe_odd_training_values(encoding, rows) == []


def test_outliers_of_the_training_images_are_told() -> None:
    rows = [(str(number),) for number in range(50)] + [("1e6",)]
    encoding = fit_encoding([ColumnRequest("depth")], rows)
    assert describe_odd_training_values(encoding, rows) == [
        "depth: 1 of 51 values are far outside the usual range, 0 to 49, and are clipped (such as 1e6)."
    ]


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (["1", "2", ""], ""),
        (["a", "b", "a", "b"], ""),
        (["", "n/a"], "x has no value in any training image, so it carries no information."),
        (["1e308", "-1e308"], "x has no value in any training image, so it carries no information."),
        (["4", "4.0"], "x is 4 in all training images that have it, so it carries no information."),
        (
            ["a", "A", "a", ""],
            "x is 'a' in all training images that have it, so only its absence carries information.",
        ),
        (
            ["a", "b", "c"],
            "Hardly any two training images have the same x, so it carries no information; if the values are "
            "numbers, write them as 1234.5.",
        ),
        (
            ["2024-01-10", "2024-01-10", "2024-01-11 12:00"],
            "x contains dates. Each date is a category, and new dates are unknown; put the year, the month or the hour "
            "into separate columns.",
        ),
    ],
)
def test_a_column_that_can_tell_nothing_is_named_with_the_reason(texts: list[str], sentence: str) -> None:
    (column,) = fit_encoding([ColumnRequest("x")], [(text,) for text in texts]).columns
    assert describe_useless_column(column, texts) == sentence
