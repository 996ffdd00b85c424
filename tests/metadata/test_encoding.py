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
    assert encoding.columns == (NumberColumn("area", 20.0, float(np.std([10, 20, 30])), 10.0, 30.0),)
    step = 1 / float(np.std([1, 2, 3]))
    np.testing.assert_allclose(
        encoding.encode([("10",), ("20",), ("n/a",), ("1e9",)]).tolist(),
        np.array([[-step, 0], [0, 0], [0, 1], [5, 0]]),
        rtol=1e-6,
    )


def test_values_far_from_all_others_do_not_flatten_the_rest() -> None:
    usual = [str(value) for value in range(100)]
    (column,) = fit_encoding([ColumnRequest("area")], [(text,) for text in [*usual, "1e7", "-1e9"]]).columns
    assert column == NumberColumn("area", 49.5, float(np.std(range(100))), 0.0, 99.0)
    np.testing.assert_array_equal(column.encode(["1e7", "-1e9"]), [[5, 0], [-5, 0]])


def test_values_far_from_many_equal_ones_do_not_count_either() -> None:
    (column,) = fit_encoding([ColumnRequest("area")], [(text,) for text in [*["0"] * 60, *"123", "1e6"]]).columns
    assert isinstance(column, NumberColumn)
    assert (column.low, column.high) == (0.0, 3.0)


@pytest.mark.parametrize("no_data", ["-9999", "-999.0", "-3.4028235e+38", "-1.7976931348623157e+308", "9999", "inf"])
def test_numbers_that_stand_for_no_data_are_missing(no_data: str) -> None:
    rows = [(f"{1 + number / 40:.3f}",) for number in range(40)]
    (column,) = fit_encoding([ColumnRequest("height")], [*rows, (no_data,), (no_data,)]).columns
    assert (column,) == fit_encoding([ColumnRequest("height")], rows).columns
    np.testing.assert_array_equal(column.encode([no_data]), [[0, 1]])


@pytest.mark.parametrize(
    ("others", "value", "is_no_data"),
    [
        ((-20.0, 40.0), -999, True),
        ((-5000.0, 4000.0), -999, False),
        ((0.0, 3000.0), -999, True),
        ((0.0, 3000.0), 9999, True),
        ((5000.0, 15000.0), 9999, False),
        ((5000.0, 60000.0), 99999, False),
        ((0.0, 3000.0), -998, False),
    ],
)
def test_nines_stand_for_no_data_where_the_other_values_show_it(
    others: tuple[float, float], value: float, is_no_data: bool
) -> None:
    rows = [(str(number),) for number in np.linspace(*others, 20)]
    (column,) = fit_encoding([ColumnRequest("height")], [*rows, (str(value),)]).columns
    assert isinstance(column, NumberColumn)
    assert column.is_no_data(value) is is_no_data


def test_a_column_of_nothing_but_nines_keeps_them() -> None:
    (column,) = fit_encoding([ColumnRequest("a", NUMBER)], [("99",), ("99",)]).columns
    assert column == NumberColumn("a", 99.0, 1.0, 99.0, 99.0)


def test_categories_are_known_in_any_spelling_and_shown_in_the_most_frequent_one() -> None:
    rows = [("Red",), ("red ",), ("Red",), ("1.0",), ("1",), ("1",), ("blue",)]
    (column,) = fit_encoding([ColumnRequest("colour", CATEGORY)], rows).columns
    assert column == CategoryColumn("colour", ("1", "Red"))
    np.testing.assert_array_equal(column.encode([" RED", "1.00", "blue", "NA"]), np.eye(4)[[1, 0, 2, 3]])


@pytest.mark.parametrize(
    ("later", "place"), [("TRUE", 1), ("yes", 1), ("1", 1), ("1.0", 1), ("0", 0), ("No", 0), ("2", 2)]
)
def test_true_and_false_are_known_as_words_and_digits(later: str, place: int) -> None:
    (column,) = fit_encoding([ColumnRequest("indoor")], [("True",), ("False",)] * 2).columns
    assert column == CategoryColumn("indoor", ("False", "True"))
    np.testing.assert_array_equal(column.encode([later]), np.eye(4)[[place]])


def test_words_for_true_and_false_are_numbers_in_a_column_of_1_and_0() -> None:
    (column,) = fit_encoding([ColumnRequest("indoor")], [("1",), ("0",)] * 2).columns
    assert column == NumberColumn("indoor", 0.5, 0.5, 0.0, 1.0)
    np.testing.assert_array_equal(column.encode(["TRUE", "no", "1.0"]), [[1, 0], [-1, 0], [1, 0]])


def test_digits_among_words_for_true_and_false_are_the_same_values() -> None:
    (column,) = fit_encoding([ColumnRequest("indoor")], [("true",), ("1",), ("true",), ("0",), ("false",)]).columns
    assert column == CategoryColumn("indoor", ("true", "false"))
    np.testing.assert_array_equal(column.encode(["1", "false", "0", "no"]), np.eye(4)[[0, 1, 1, 1]])


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
    encoding = MetadataEncoding((CategoryColumn("boat", ("Heron",)), NumberColumn("hour", 12.0, 6.0, 0.0, 23.0)))
    assert (encoding.names, encoding.width) == (("boat", "hour"), 5)
    np.testing.assert_array_equal(encoding.encode([("Heron", "18")]), [[1, 0, 0, 1, 0]])
    assert encoding.encode([]).shape == (0, 5)
    assert MetadataEncoding(()).encode([(), ()]).shape == (2, 0)


def test_the_vocabulary_holds_the_hundred_most_frequent_values_that_can_be_printed() -> None:
    rows = [(f"v{number:03d}",) for number in range(150) for _ in range(2 + number % 3)] + [("a\x07b",)] * 9
    (column,) = fit_encoding([ColumnRequest("many")], rows).columns
    assert isinstance(column, CategoryColumn)
    assert len(column.values) == 99
    assert set(column.values[:50]) == {f"v{number:03d}" for number in range(150) if number % 3 == 2}


def test_columns_are_described_in_words() -> None:
    rows = [("Heron", "12"), ("Heron", ""), ("Otter", "16"), ("Otter", "20")]
    encoding = fit_encoding([ColumnRequest("boat"), ColumnRequest("hour")], rows)
    assert describe_columns(encoding, rows) == [
        ("boat", "category, 2 values: Heron, Otter", "none"),
        ("hour", "number, mean 16, standard deviation 3.27", "1 of 4"),
    ]
