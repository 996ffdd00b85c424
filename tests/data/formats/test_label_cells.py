"""Several labels in a cell, or in columns of 0 and 1."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlkit.data.formats.label_cells import find_combined_classes, join_labels
from tlkit.errors import DataError

TABLE = Path("/data/photos.csv")


@pytest.mark.parametrize(
    ("cells", "labels", "notice"),
    [
        (["a|b", "", "b c"], ["a|b", "", "b c"], ""),
        (["a; b", "c"], ["a|b", "c"], "photos.csv: labels in a cell are split at ';'."),
        (["a, b", "b", "a,c", "c"], ["a|b", "b", "a|c", "c"], "photos.csv: labels in a cell are split at ','."),
        (["a b", "b", "a"], ["a|b", "b", "a"], "photos.csv: labels in a cell are split at spaces."),
        (['["a", "b c"]', "[]"], ["a|b c", ""], "photos.csv: labels in a cell are read as a list."),
        (["['a', 'b']", "['c']"], ["a|b", "c"], "photos.csv: labels in a cell are read as a list."),
        (["['a' 'b']"], ["a|b"], "photos.csv: labels in a cell are read as a list."),
        (["[1, 2]"], ["1|2"], "photos.csv: labels in a cell are read as a list."),
        (["golden retriever", "tabby cat", "pug"], ["golden retriever", "tabby cat", "pug"], ""),
        (["a", "b"], ["a", "b"], ""),
        (["[x", "y]"], ["[x", "y]"], ""),
    ],
)
def test_what_stands_between_labels_is_found(cells: list[str], labels: list[str], notice: str) -> None:
    assert join_labels(TABLE, cells, "") == (labels, notice)


@pytest.mark.parametrize(
    ("separator", "labels"),
    [(",", "a b|c;d"), ("space", "a|b,c;d"), (";", "a b,c|d"), ("none", "a b,c;d"), (" ", "a|b,c;d")],
)
def test_a_separator_that_is_named_is_used(separator: str, labels: str) -> None:
    assert join_labels(TABLE, ["a b,c;d"], separator) == ([labels], "")


@pytest.mark.parametrize(
    ("cells", "example", "separator"),
    [
        (["Doe, Jane", "Roe, Jim"], "Doe, Jane", ","),
        (["golden eagle", "golden retriever", "bald eagle", "tabby cat", "old dog", "red fox"], "bald eagle", "space"),
    ],
)
def test_labels_that_may_be_one_or_several_are_refused(cells: list[str], example: str, separator: str) -> None:
    with pytest.raises(DataError) as caught:
        join_labels(TABLE, cells, "")
    assert str(caught.value) == (
        f"{TABLE}: {example!r} may be one label or several.\n"
        "  Expected: labels separated by |, or an explicit separator\n"
        f'  Fix: use --label-separator "{separator}" if it is several, else --label-separator none.'
    )


def test_a_label_with_a_bar_in_it_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        join_labels(TABLE, ["a|b;c"], ";")
    assert str(caught.value) == (
        f"{TABLE}: the label 'a|b' contains a |.\n"
        "  Expected: labels without |, which is the separator\n"
        '  Fix: rename the label, or use --label-separator "|".'
    )


@pytest.mark.parametrize("sign", ["|", ";", ",", " "])
def test_classes_that_look_like_several_labels_are_told(sign: str) -> None:
    assert find_combined_classes(TABLE, {"a", "b", f"a{sign}b"}) == (
        f"photos.csv: classes such as 'a{sign}b' look like several labels; --task multilabel learns each separately."
    )
    assert find_combined_classes(TABLE, {"a", "b", f"c{sign}d", "a c"}) == ""


def test_a_space_that_is_given_as_it_is_divides_labels() -> None:
    assert join_labels(TABLE, ["cat red", "cat  blue", "dog"], " ") == (["cat|red", "cat|blue", "dog"], "")
