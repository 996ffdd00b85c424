"""Spellings of a value that are one value."""

from __future__ import annotations

import pytest

from tlkit.metadata.categories import fold_category, is_boolean, read_flags


@pytest.mark.parametrize(
    "spellings",
    [
        ("1", "1.0", " 1 ", "1.00", "1."),
        ("True", "TRUE", "true", "yes", "Yes"),
        ("Red car", "red  car", " RED\tCAR", "red\u00a0car"),
        ("Möwe", "Mo\u0308we", "MÖWE"),
        ("-2.50", "-2.5"),
    ],
)
def test_spellings_of_a_value_are_folded_into_one(spellings: tuple[str, ...]) -> None:
    assert len(set(map(fold_category, spellings))) == 1


@pytest.mark.parametrize(
    ("one", "other"), [("007", "7"), ("1e3", "1000"), ("1.5", "15"), ("v1.0", "v1"), ("10", "1"), ("1.10.0", "1.10")]
)
def test_other_values_stay_apart(one: str, other: str) -> None:
    assert fold_category(one) != fold_category(other)


def test_values_are_boolean_if_they_say_true_or_false() -> None:
    assert all(map(is_boolean, (["true"], ["true", "false"], ["true", "0", "1"])))
    assert not any(map(is_boolean, ([], ["0", "1"], ["true", "maybe"])))


@pytest.mark.parametrize(
    ("cells", "flags"),
    [
        (["1", "0", "1.0"], [True, False, True]),
        (["yes", "FALSE"], [True, False]),
        (["1", "2"], None),
        (["1", ""], None),
        ([], None),
    ],
)
def test_flags_are_columns_of_nothing_but_true_and_false(cells: list[str], flags: list[bool] | None) -> None:
    assert read_flags(cells) == flags
