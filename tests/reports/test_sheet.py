"""Sheets: as HTML, and in a browser with and without scripts."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageStat

from tests.browser import NARROW_PX, WIDE_PX, OpenPage, find_barriers, find_overflow, wait_until
from tests.reports.test_page import EVIL, Parsed
from tlkit.reports.markup import Link, make_data_url, render_table
from tlkit.reports.page import Page, Section, write_page
from tlkit.reports.sheet import Choice, Export, Group, Sheet, Tile, render_sheet
from tlkit.reports.thumbnails import make_thumbnail

ATTACK = '"><img src=x onerror="document.title=1"><script>document.title=2</script>'


def make_tile(name: str, true: str, predicted: str, **more: Any) -> Tile:
    picture = make_thumbnail(Image.new("RGB", (60, 40), "teal"))
    return Tile(
        picture,
        name,
        (f"{true} as {predicted}",),
        badge="0.97",
        tone="wrong",
        facets={"true": true, "predicted": predicted},
        search=f"photos/{name}",
        **more,
    )


def make_sheet(*tiles: Tile, **more: Any) -> Section:
    facets = {"true": "True class", "predicted": "Predicted class"}
    section = render_sheet(Sheet("mistakes", "Mistakes", [Group("Highest loss", tiles)], "3 of 12.", facets, **more))
    assert section is not None
    return section


TILES = (make_tile("1.jpg", "cat", "dog"), make_tile("2.jpg", "cat", "cow"), make_tile("3.jpg", ATTACK, "dog"))


@pytest.fixture
def page_path(tmp_path: Path) -> Path:
    layers = {"heat map": make_thumbnail(Image.new("RGB", (60, 40), "maroon"))}
    choices = (Choice("move to cow", ("4.jpg", "move", 'c"ow')), Choice("keep"))
    table = render_table((("true", "cat as dog"), [("cat", Link("1", "mistakes", {"true": "cat", "predicted": "dog"}))]), label="Confusions")  # fmt: skip
    sheet = make_sheet(
        *TILES,
        make_tile("4.jpg", "cat", "cow", layers=layers, choices=choices),
        export=Export("moves.csv", ("file", "action", "class"), "Save moves.csv"),
    )
    page = Page(
        ATTACK, "Report of a tlkit run.", [Section("Confusions", table), sheet], {"accuracy": "0.9"}, {"data": ATTACK}
    )
    return write_page(tmp_path / "page.html", page)


def names_shown(page: Any) -> list[str]:
    names: list[str] = page.locator(".tile:visible strong").all_inner_texts()
    return names


def test_a_sheet_without_tiles_is_left_out() -> None:
    assert render_sheet(Sheet("mistakes", "Mistakes", [Group("Highest loss", ())])) is None


def test_hostile_names_are_text_in_every_place(tmp_path: Path) -> None:
    tile = Tile(b"", EVIL, (EVIL,), EVIL, facets={"true": (EVIL, "b")}, search=EVIL, layers={EVIL: b""}, choices=[Choice(EVIL, (EVIL,))])  # fmt: skip
    group = Group(EVIL, [tile], EVIL, Link(EVIL, "mistakes", {"true": EVIL}))
    section = render_sheet(Sheet("mistakes", EVIL, [group], EVIL, {"true": EVIL}, export=Export(EVIL, (EVIL,), EVIL)))
    assert section is not None
    parsed = Parsed(section.body)
    assert "script" not in parsed.tags
    assert {"data-true", "data-search", "data-layer"} <= {name for name, _ in parsed.attributes}


def test_without_scripts_every_picture_is_there(page_path: Path, open_page: OpenPage) -> None:
    page = open_page(page_path, scripts=False)
    assert names_shown(page) == ["1.jpg", "2.jpg", "3.jpg", "4.jpg"]
    assert page.locator(".controls").is_hidden()


@pytest.mark.parametrize("scripts", [False, True])
def test_a_picture_that_is_shown_twice_is_stored_once(tmp_path: Path, open_page: OpenPage, scripts: bool) -> None:
    picture = make_thumbnail(Image.effect_noise((60, 40), 50).convert("RGB"))
    tiles = [Tile(picture, "1.jpg"), Tile(make_thumbnail(Image.new("RGB", (40, 60), "teal")), "2.jpg")]
    groups = [Group("Highest loss", tiles), Group("Least sure", [Tile(picture, "1.jpg, again")])]
    section = render_sheet(Sheet("mistakes", "Mistakes", groups))
    assert section is not None
    path = write_page(tmp_path / "page.html", Page("run", "Report.", [section]))
    assert path.read_text().count(make_data_url(picture)) == 1
    page = open_page(path, scripts=scripts)
    shown = [Image.open(io.BytesIO(photo.screenshot())).convert("L") for photo in page.locator(".photo").all()]
    once, other, again = (ImageStat.Stat(photo.crop((50, 50, 100, 100))).stddev[0] for photo in shown)
    assert (once > 20, other, again > 20) == (True, 0, True)
    if scripts:
        page.get_by_role("button", name="1.jpg, again").press("Enter")
        enlarged = page.get_by_role("dialog").locator("img")
        assert enlarged.evaluate("image => getComputedStyle(image).content").startswith('url("data:image/jpeg')


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [NARROW_PX, WIDE_PX])
def test_a_page_fits_its_window_and_keeps_nobody_out(
    page_path: Path, open_page: OpenPage, width: int, dark: bool
) -> None:
    page = open_page(page_path, width=width, dark=dark)
    assert find_overflow(page) == 0
    assert find_barriers(page) == []


def test_search_filters_and_links_choose_what_is_shown(page_path: Path, open_page: OpenPage) -> None:
    page = open_page(page_path)
    status = page.locator(".shown")
    assert status.inner_text() == "All 4 pictures of this sheet."
    page.get_by_label("Search").fill("photos/2 cow")
    assert names_shown(page) == ["2.jpg"]
    page.get_by_role("button", name="Show all").click()
    page.get_by_label("True class").select_option(ATTACK)
    assert names_shown(page) == ["3.jpg"]
    page.get_by_role("link", name="1", exact=True).click()
    wait_until(page, "document.querySelector('.shown').textContent.includes('True class: cat')")
    assert names_shown(page) == ["1.jpg"]
    assert status.inner_text() == "1 of the 4 pictures of this sheet (True class: cat, Predicted class: dog)."
    assert page.title() == ATTACK


def test_an_address_opens_the_page_at_the_pictures_behind_a_number(page_path: Path, open_page: OpenPage) -> None:
    page = open_page(page_path, fragment="#mistakes?true=cat&predicted=cow")
    wait_until(page, "document.querySelector('.shown').textContent.startsWith('2 of')")
    assert names_shown(page) == ["2.jpg", "4.jpg"]


def test_pictures_are_enlarged_by_keyboard_and_show_their_layers(page_path: Path, open_page: OpenPage) -> None:
    page = open_page(page_path)
    page.get_by_role("button", name="3.jpg").press("Enter")
    dialog = page.get_by_role("dialog")
    assert ATTACK in dialog.inner_text()
    page.keyboard.press("ArrowRight")
    assert dialog.locator("img").count() == 2
    assert "heat map" in dialog.inner_text()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.textContent + document.activeElement.className") == "0.97open"
    page.get_by_label("Pictures").select_option("heat map")
    assert page.locator("[data-layer]:visible").count() == 1


def test_what_was_chosen_is_saved_as_a_table(page_path: Path, open_page: OpenPage) -> None:
    page = open_page(page_path)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save moves.csv").click()
    assert saved.value.suggested_filename == "moves.csv"
    assert saved.value.path().read_text("utf-8") == 'file,action,class\n4.jpg,move,"c""ow"\n'
    page.get_by_label("What to do with 4.jpg").select_option("keep")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save moves.csv").click()
    assert saved.value.path().read_text("utf-8") == "file,action,class\n"
