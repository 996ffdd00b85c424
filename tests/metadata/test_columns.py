from __future__ import annotations

import pytest

from tlkit.errors import SettingError
from tlkit.metadata.columns import IMAGE_FACTS, ColumnRequest, format_metadata, parse_metadata


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
            '  Fix: correct or remove the kind; a name with a colon needs double quotes: "boat:colour"',
        ),
        (
            "boat,,hour",
            "metadata is 'boat,,hour': a name is empty.\n"
            "  Expected: column names separated by commas\n"
            "  Fix: remove the extra comma.",
        ),
        (
            'area,"boat',
            "metadata is 'area,\"boat': a double quote is not closed, or is followed by more text.\n"
            '  Expected: column names separated by commas; a name with a comma or colon as "area, m2"\n'
            "  Fix: close the quote, and double a quote inside a name.",
        ),
        (
            "image-size,image-width",
            "metadata is 'image-size,image-width': image-width appears twice.\n"
            "  Expected: each column once\n"
            "  Fix: remove one of them.",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        parse_metadata(text)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["area, m2", "ratio w:h", 'the "big" one', "Fläche", "a b"])
def test_any_name_can_stand_in_the_setting(name: str) -> None:
    requests = (ColumnRequest(name, "number"), ColumnRequest("price"), ColumnRequest(name.upper()))
    assert parse_metadata(format_metadata(requests)) == requests


def test_names_are_read_in_one_unicode_form_and_with_single_spaces() -> None:
    assert parse_metadata("Fla\u0308che  m") == (ColumnRequest("Fl\u00e4che m"),)
