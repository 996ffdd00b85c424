"""Texts are cut to the room there is, and drawn in a font that has their letters."""

from __future__ import annotations

import pytest

from tlkit.reports.lettering import fit_text, load_font, one_line, shorten_middle


@pytest.mark.parametrize(
    ("text", "room", "short"),
    [("abc", 3, "abc"), ("abcdef", 6, "abcdef"), ("abcdefg", 6, "abc…fg"), ("abcdefgh", 3, "a…h")],
)
def test_long_names_keep_both_their_ends(text: str, room: int, short: str) -> None:
    assert shorten_middle(text, room) == short


def test_fitted_text_is_as_long_as_the_width_allows() -> None:
    text = "American chameleon, anole, Anolis carolinensis"
    font = load_font(text, 16)
    fitted = fit_text(text, font, 200)
    longer = shorten_middle(text, len(fitted) + 1)
    assert font.getlength(fitted) <= 200 < font.getlength(longer)
    assert fit_text(text, font, 2000) == text


def test_control_characters_and_undecodable_bytes_become_one_visible_character_each() -> None:
    assert one_line("a\nb\udcff\tü") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}ü"


@pytest.mark.parametrize("letter", ["é", "ß", "Ж", "λ", "…"])
def test_letters_beyond_ascii_are_drawn_and_not_replaced_by_a_box(letter: str) -> None:
    font = load_font(letter, 20)
    assert bytes(font.getmask(letter)) != bytes(font.getmask("\uffff"))


def test_a_script_that_no_font_has_still_gives_a_font() -> None:
    assert load_font("\U000132fa", 20).getlength("\U000132fa") > 0
