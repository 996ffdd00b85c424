from __future__ import annotations

import numpy as np
import pytest

from tlkit.metadata.columns import CATEGORY, NUMBER, ColumnRequest
from tlkit.metadata.encoding import (
    CategoryColumn,
    MetadataEncoding,
    NumberColumn,
    describe_columns,
    fit_encoding,
    infer_kind,
)


@pytest.mark.parametrize(
    ("name", "texts", "kind"),
    [
        ("area", ["1.5", "20", "", "-3"], NUMBER),
        ("area", ["1.5"] * 9 + ["unknown"], NUMBER),
        ("area", ["1.5"] * 8 + ["unknown", "none given"], CATEGORY),
        ("boat", ["Heron", "Otter"], CATEGORY),
        ("zipcode", ["85255", "36372"], CATEGORY),
        ("camera_id", ["1", "2"], CATEGORY),
        ("lot", ["007", "12"], CATEGORY),
        ("empty", ["", "n/a"], CATEGORY),
        ("image-width", ["640"], NUMBER),
        ("image-mode", ["L"], CATEGORY),
    ],
)
def test_the_kind_of_a_column_is_inferred(name: str, texts: list[str], kind: str) -> None:
    assert infer_kind(name, texts) == kind


@pytest.mark.parametrize("text", ["0.1", "7", ""])
def test_a_number_that_never_changes_is_0_and_another_one_stands_out(text: str) -> None:
    (column,) = fit_encoding([ColumnRequest("area", "number")], [(text,)] * 10).columns
    assert isinstance(column, NumberColumn)
    assert column.scale == 1.0
    np.testing.assert_allclose(column.encode([text])[:, 0], [0], atol=1e-6)


def test_a_number_is_standardised_and_a_missing_one_has_a_sign_of_its_own() -> None:
    encoding = fit_encoding([ColumnRequest("area")], [("10",), ("20",), ("",), ("30",)])
    assert encoding.columns == (NumberColumn("area", 20.0, float(np.std([10, 20, 30]))),)
    step = 1 / float(np.std([1, 2, 3]))
    np.testing.assert_allclose(
        encoding.encode([("10",), ("20",), ("n/a",), ("1e9",)]).tolist(),
        np.array([[-step, 0], [0, 0], [0, 1], [5, 0]]),
        rtol=1e-6,
    )


def test_a_category_knows_what_two_images_have_and_tells_unknown_from_missing() -> None:
    rows = [("Otter",), ("Heron",), ("Heron",), ("Otter",), ("Heron",), ("Newt",), ("",)]
    encoding = fit_encoding([ColumnRequest("boat")], rows)
    assert encoding.columns == (CategoryColumn("boat", ("Heron", "Otter")),)
    encoded = encoding.encode([("Otter",), (" Heron",), ("Newt",), ("Grebe",), ("",)])
    assert encoded.dtype == np.float32
    np.testing.assert_array_equal(encoded, np.eye(4)[[1, 0, 2, 2, 3]])


def test_a_kind_that_is_asked_for_is_not_inferred() -> None:
    encoding = fit_encoding([ColumnRequest("area", CATEGORY)], [("1",), ("1",), ("2",)])
    assert encoding.columns == (CategoryColumn("area", ("1",)),)


def test_a_column_of_one_value_or_none_does_no_harm() -> None:
    encoding = fit_encoding([ColumnRequest("a", NUMBER), ColumnRequest("b", NUMBER)], [("4", ""), ("4", "")])
    np.testing.assert_array_equal(encoding.encode([("4", ""), ("", "1")]), [[0, 0, 0, 1], [0, 1, 1, 0]])


def test_columns_stand_side_by_side_in_their_order() -> None:
    encoding = MetadataEncoding((CategoryColumn("boat", ("Heron",)), NumberColumn("hour", 12.0, 6.0)))
    assert (encoding.names, encoding.width) == (("boat", "hour"), 5)
    np.testing.assert_array_equal(encoding.encode([("Heron", "18")]), [[1, 0, 0, 1, 0]])
    assert encoding.encode([]).shape == (0, 5)
    assert MetadataEncoding(()).encode([(), ()]).shape == (2, 0)


def test_the_vocabulary_holds_the_hundred_most_frequent_values_that_can_be_printed() -> None:
    rows = [(f"v{number:03d}",) for number in range(150) for _ in range(2 + number % 3)] + [("a\tb",)] * 9
    (column,) = fit_encoding([ColumnRequest("many")], rows).columns
    assert isinstance(column, CategoryColumn)
    assert len(column.values) == 99
    assert set(column.values[:50]) == {f"v{number:03d}" for number in range(150) if number % 3 == 2}


def test_columns_are_described_in_words() -> None:
    rows = [("Heron", "12"), ("Heron", ""), ("Otter", "16"), ("Otter", "20")]
    encoding = fit_encoding([ColumnRequest("boat"), ColumnRequest("hour")], rows)
    assert describe_columns(encoding, rows) == [
        ("boat", "category, 2 values: Heron, Otter", "none"),
        ("hour", "number, 16 on average, give or take 3.27", "1 of 4"),
    ]
