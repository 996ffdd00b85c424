"""Numbers as people read them."""

from __future__ import annotations

import pytest

from tlkit.outputs import format_value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (0.001, "0.00100"),
        (0.00123456, "0.00123"),
        (0.5, "0.500"),
        (2.0, "2"),
        (9.996, "10.00"),
        (12.34, "12.3"),
        (123.4, "123"),
        (-1234.5, "-1,234"),
        (324_987.3, "324,987"),
        (1e9, "1,000,000,000"),
        (1e13, "1.00e+13"),
        (4e-7, "4.00e-07"),
        (float("nan"), "nan"),
    ],
)
def test_values_have_three_digits_or_more_and_thousands_apart(value: float, text: str) -> None:
    assert format_value(value) == text


def test_a_sign_stands_before_what_is_not_nothing() -> None:
    assert [format_value(value, signed=True) for value in (1200, 0.5, 0, -3.25)] == ["+1,200", "+0.500", "0", "-3.25"]
