from __future__ import annotations

import math

import pytest

from tlkit.errors import SettingError
from tlkit.metadata.columns import IMAGE_FACTS, ColumnRequest, is_missing, parse_metadata, parse_number


def test_names_stand_with_commas_between_and_kinds_behind() -> None:
    assert parse_metadata(" bedrooms, zip:category ,area:number") == (
        ColumnRequest("bedrooms"),
        ColumnRequest("zip", "category"),
        ColumnRequest("area", "number"),
    )
    assert parse_metadata(None) == ()


def test_image_size_stands_for_all_facts_of_the_file() -> None:
    requests = parse_metadata("boat,image-size")
    assert [request.name for request in requests] == ["boat", *IMAGE_FACTS]
    assert {request.name: request.kind for request in requests[1:]} == IMAGE_FACTS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "boat:colour",
            "metadata: 'boat:colour' ends in 'colour'.\n"
            "  Expected: NAME, NAME:number or NAME:category\n"
            "  Fix: correct the kind, or leave it out to have it inferred.",
        ),
        (
            "boat,,hour",
            "metadata is 'boat,,hour': a name is empty.\n"
            "  Expected: names of columns with commas between them\n"
            "  Fix: remove the comma too many.",
        ),
        (
            "image-size,image-width",
            "metadata is 'image-size,image-width': image-width stands twice.\n"
            "  Expected: each column once\n"
            "  Fix: leave one of them out.",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        parse_metadata(text)
    assert str(caught.value) == message


def test_missing_values_have_many_spellings() -> None:
    assert all(map(is_missing, ["", "  ", "NA", "n/a", "NaN", "null", "None", "?", "-"]))
    assert not any(map(is_missing, ["0", "no", "-1", "Nan tribe"]))


def test_numbers_are_finite_or_not_there() -> None:
    assert [parse_number(text) for text in ("3", " -1.5e3 ")] == [3.0, -1500.0]
    assert all(math.isnan(parse_number(text)) for text in ("", "inf", "nan", "four", "1,5"))
