"""The map: its data, and in a browser."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.browser import NARROW_PX, WIDE_PX, OpenPage, find_barriers, find_overflow
from tlkit.reports.map import TILE_PX, Coloring, ImageMap, render_map
from tlkit.reports.page import Page, Section, write_page

EVIL = "<img src=x onerror=alert(1)>.jpg"


def make_section(num_pictures: int = 3, **more: Any) -> Section:
    points = np.array([[0, 0], [4, 0], [0, 2], [4, 2]], np.float32)
    image_map = ImageMap(
        points,
        ["cat/1.jpg", "cat/2.jpg", "dog/3.jpg", EVIL],
        [
            Coloring("class", ["cat", "cat", "dog", "dog"]),
            Coloring("age", ["1 to 2", "9 to 10", "9 to 10", "1 to 2"], ("1 to 2", "9 to 10")),
        ],
        np.array([[1, 2], [0, 3], [3, 0], [2, 1]]),
        {place: np.full((TILE_PX, TILE_PX, 3), 60 * place, np.uint8) for place in range(num_pictures)},
    )
    section = render_map(image_map, **more)
    assert section is not None
    return section


def read_data(section: Section) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="map-data">(.*?)</script>', section.body)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_a_map_keeps_the_proportions_of_its_points_and_the_order_of_ranges() -> None:
    data = read_data(make_section())
    assert data["x"] == [0, 9999, 0, 9999]
    assert data["y"] == [2500, 2500, 7499, 7499]
    assert data["colorings"][1] == {
        "title": "age",
        "values": ["1 to 2", "9 to 10"],
        "of": [0, 1, 1, 0],
        "ordered": True,
    }
    assert data["neighbours"] == [1, 2, 0, 3, 3, 0, 2, 1]
    assert len(data["sheets"]) == 1


def test_names_are_data_and_never_html() -> None:
    assert "<img src=x" not in make_section().body


def test_a_map_without_images_is_left_out() -> None:
    assert render_map(ImageMap(np.zeros((0, 2)), [], [], np.zeros((0, 3), int))) is None


def test_pictures_give_way_until_the_page_has_room_for_them() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, TILE_PX, TILE_PX, 3)).astype(np.uint8)
    image_map = ImageMap(np.zeros((40, 2)), ["x"] * 40, [], np.zeros((40, 0), int), dict(enumerate(noise)))
    roomy, tight = render_map(image_map, max_bytes=10**7), render_map(image_map, max_bytes=10**4)
    assert roomy is not None
    assert tight is not None
    assert len(tight.body) < 0.6 * len(roomy.body)


@pytest.fixture
def page_path(tmp_path: Path) -> Path:
    return write_page(tmp_path / "page.html", Page("Photos", "A map.", [make_section(note="A sample.")]))


def test_search_legend_and_list_show_the_same_images(page_path: Path, open_page: OpenPage) -> None:
    page = open_page(page_path)
    shown = page.locator(".map .shown")
    assert shown.inner_text() == "All 4 images on the map."
    page.get_by_label("File").fill("cat 2")
    assert shown.inner_text() == "1 of the 4 images on the map."
    page.get_by_label("File").fill("")
    page.get_by_role("button", name="dog").click()
    assert shown.inner_text() == "2 of the 4 images on the map."
    page.get_by_text("The same as a list").click()
    assert page.locator(".found td:first-child").all_inner_texts() == ["dog/3.jpg", EVIL]


def test_a_click_on_a_point_shows_the_image_and_those_most_like_it(page_path: Path, open_page: OpenPage) -> None:
    page = open_page(page_path)
    canvas = page.locator(".plane canvas").bounding_box()
    side = 0.94 * min(canvas["width"], canvas["height"])
    left, top = canvas["x"] + (canvas["width"] - side) / 2, canvas["y"] + canvas["height"] / 2 - side / 4
    page.mouse.move(left, top)
    assert "cat/1.jpg" in page.locator(".tip").inner_text()
    page.mouse.down()
    page.mouse.up()
    assert "class: cat" in page.locator(".card").inner_text()
    assert page.locator(".near button").all_inner_texts() == ["2.jpg", "3.jpg"]
    page.locator(".near button").first.click()
    assert "cat/2.jpg" in page.locator(".card").inner_text()


@pytest.mark.parametrize(("width", "dark"), [(WIDE_PX, False), (NARROW_PX, True)])
def test_the_map_fits_the_screen_and_has_no_barriers(
    page_path: Path, open_page: OpenPage, width: int, dark: bool
) -> None:
    page = open_page(page_path, width=width, dark=dark)
    assert find_overflow(page) == 0
    assert find_barriers(page) == []
