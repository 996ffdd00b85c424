"""The frame of every page: one file, no request, no effect of hostile text."""

from __future__ import annotations

import base64
import hashlib
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tlkit.reports.markup import Html, Link, escape_text, make_anchor, render_cell, render_data, render_table
from tlkit.reports.page import Page, Section, read_asset, write_page

EVIL = "<script>alert('1')</script>\"&"


class Parsed(HTMLParser):
    """Collects tags, attributes and text, and holds that tags are closed in order."""

    VOID = ("meta", "img", "link", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text += data


def write(folder: Path, page: Page) -> Parsed:
    return Parsed(write_page(folder / "page.html", page).read_text("utf-8"))


def test_a_page_names_its_origin_before_its_sections(tmp_path: Path) -> None:
    page = Page(
        title="first",
        subtitle="Report of a tlkit run.",
        facts={"test accuracy": "0.861"},
        origin={"data": "photos/", "command": "tlkit finetune photos/"},
        caution="Slightly optimistic.",
        sections=[Section("Stages", Html("<p>one</p>"), "How they went."), Section("Images", Html("<p>two</p>"))],
    )
    text = write(tmp_path, page).text
    places = [
        text.index(each) for each in ("0.861", "Slightly optimistic.", "tlkit finetune photos/", "How they went.")
    ]
    assert places == sorted(places)


def test_the_navigation_leads_to_every_section(tmp_path: Path) -> None:
    sections = [Section("Most confused pairs", Html("")), Section("Files skipped: 3", Html(""), anchor="files")]
    attributes = write(tmp_path, Page("first", "", sections)).attributes
    for anchor in ("most-confused-pairs", "files"):
        assert {("href", f"#{anchor}"), ("id", anchor)} <= set(attributes)


def test_sections_of_one_title_have_anchors_of_their_own(tmp_path: Path) -> None:
    attributes = write(tmp_path, Page("first", "", [Section("Scores", Html(""))] * 2)).attributes
    assert [value for name, value in attributes if name == "id"] == [
        "scores",
        "scores-title",
        "scores-2",
        "scores-2-title",
    ]


def test_text_that_looks_like_html_stays_text(tmp_path: Path) -> None:
    table = render_table(((EVIL,), [(EVIL,), (Link(EVIL, "mistakes", {"true": EVIL}, EVIL),)]), label=EVIL)
    page = Page(EVIL, EVIL, [Section(EVIL, table, EVIL), Section("b", Html(""))], {EVIL: EVIL}, {EVIL: EVIL}, EVIL)
    parsed = write(tmp_path, page)
    assert "script" not in parsed.tags
    assert parsed.text.count(EVIL) == 14


def test_only_the_pages_own_style_and_scripts_are_allowed(tmp_path: Path) -> None:
    section = Section("a", Html(""), styles=("sheet.css",), scripts=("sheet.js",))
    parsed = write(tmp_path, Page("first", "", [section, section]))
    style, script = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (read_asset("page.css") + read_asset("sheet.css"), read_asset("sheet.js"))
    )
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert ("content", policy) in parsed.attributes
    assert parsed.tags.count("script") == 1


def test_a_page_without_sheets_has_no_script(tmp_path: Path) -> None:
    parsed = write(tmp_path, Page("first", "", [Section("a", Html(""))]))
    assert "script" not in parsed.tags
    assert any(value and "script-src 'none'" in value for _, value in parsed.attributes)


def test_a_link_carries_what_the_sheet_then_shows() -> None:
    link = Link("3", "mistakes", {"true": "a&b", "predicted": "c d"}, "3 images of a&b predicted as c d")
    meaning = "3 images of a&amp;b predicted as c d"
    assert render_cell(link) == (
        f'<a href="#mistakes" data-show="true=a%26b&amp;predicted=c+d" aria-label="{meaning}" title="{meaning}">3</a>'
    )


def test_data_for_scripts_cannot_end_its_element() -> None:
    assert render_data("points", {"name": "</script>&"}) == (
        '<script type="application/json" id="points">{"name":"\\u003c/script\\u003e\\u0026"}</script>'
    )


def test_a_name_that_is_no_utf8_is_shown() -> None:
    assert escape_text("caf\udce9.jpg") == "caf\N{REPLACEMENT CHARACTER}.jpg"
    assert "%3F" in render_cell(Link("1", "mistakes", {"true": "caf\udce9"}))


@pytest.mark.parametrize(("title", "anchor"), [("Scores by class", "scores-by-class"), ("<&>", "section")])
def test_a_title_gives_an_anchor(title: str, anchor: str) -> None:
    assert make_anchor(title) == anchor


def test_columns_of_numbers_are_aligned_to_the_right() -> None:
    table = render_table((("class", "train"), [("cat", "1,024"), ("dog", Link("-", "mistakes"))]), label="Images")
    assert '<td>cat</td><td class="number">1,024</td>' in table
    assert '<td>dog</td><td class="number"><a href="#mistakes">-</a></td>' in table
