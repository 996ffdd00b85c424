"""Write a page: one self-contained HTML file with a head, a navigation and sections, without a request to anywhere.

Pictures are inlined, each once however often it is shown. A content security policy allows the page's own style and scripts by their hashes and nothing else,
so that HTML in a class or file name has no effect even where it would get past the escaping. A page is readable without
scripts.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from tlkit.files import written_aside
from tlkit.reports.markup import Html, escape_text, join_html, make_anchor

ASSETS = Path(__file__).with_name("assets")
PAGE_STYLE = "page.css"
_INLINED = re.compile(r' src="(data:image/[^"]{500,})"')
_PLACEHOLDER = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
"""A transparent pixel: the source of a picture that the style sheet fills in."""


@dataclass(frozen=True)
class Section:
    """A part of a page, with an entry in its navigation.

    Attributes:
        title: Its heading.
        body: Its content.
        note: One or two sentences below the heading: how to read it.
        anchor: Its address in the page; made from the title by default.
        styles: Names of style sheets in `assets` that it needs beyond the page's own.
        scripts: Names of scripts in `assets` that it needs. Each runs once, after the page is there.
    """

    title: str
    body: Html
    note: str = ""
    anchor: str = ""
    styles: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """The anchor."""
        return self.anchor or make_anchor(self.title)


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        title: Its heading: a run, a data set.
        subtitle: What kind of page it is: "Report of a tlkit run."
        sections: Its parts, in order.
        facts: The key figures by name: "test accuracy": "0.861 (0.82 to 0.89)". Put a test score first.
        origin: Where the figures come from, by name: data, backbone, boundary, command, date, versions.
        caution: A caveat about the figures.
    """

    title: str
    subtitle: str
    sections: Sequence[Section]
    facts: Mapping[str, str] = field(default_factory=dict)
    origin: Mapping[str, str] = field(default_factory=dict)
    caution: str = ""


def write_page(path: Path, page: Page) -> Path:
    """Write a page as one HTML file and return its path.

    Raises:
        OSError: The disk does not take the file.
    """
    sections = _give_anchors(page.sections)
    style = "".join(read_asset(name) for name in _list_once([PAGE_STYLE], *(each.styles for each in page.sections)))
    scripts = [read_asset(name) for name in _list_once(*(each.scripts for each in page.sections))]
    body, repeated = _store_once(join_html([_render_section(section) for section in sections]))
    style += repeated
    html = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_make_policy(style, scripts)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{escape_text(page.title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f"{_render_head(page)}\n{_render_navigation(sections)}\n<main>\n"
        + body
        + "\n</main>\n<footer>Made by tlkit. This page is one file, without links to others, and can be passed on as it "
        "is.</footer>\n" + "\n".join(f"<script>{script}</script>" for script in scripts) + "\n</body>\n</html>\n"
    )
    with written_aside(path) as file:
        file.write(html.encode("utf-8"))
    return path


@cache
def read_asset(name: str) -> str:
    """Return a style sheet or script of tlkit."""
    return (ASSETS / name).read_text("utf-8")


def _store_once(body: Html) -> tuple[Html, str]:
    """Return a body without the pictures that it shows more than once, and the rules of style that fill them in.

    A style sheet does so without scripts, too. `sheet.js` knows the attribute.
    """
    counts = Counter(_INLINED.findall(body))
    numbers = {source: number for number, source in enumerate(each for each, count in counts.items() if count > 1)}

    def refer(found: re.Match[str]) -> str:
        number = numbers.get(found[1])
        return found[0] if number is None else f' src="{_PLACEHOLDER}" data-same="{number}"'

    rules = [f'img[data-same="{number}"]{{content:url("{source}")}}' for source, number in numbers.items()]
    return Html(_INLINED.sub(refer, body)), "\n".join(rules)


def _give_anchors(sections: Sequence[Section]) -> list[Section]:
    """Return the sections, each with an anchor of its own: a second one of the same title is numbered."""
    counts: Counter[str] = Counter()
    given = []
    for section in sections:
        counts[section.address] += 1
        number = counts[section.address]
        given.append(replace(section, anchor=section.address if number == 1 else f"{section.address}-{number}"))
    return given


def _list_once(*groups: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(name for group in groups for name in group))


def _make_policy(style: str, scripts: Sequence[str]) -> str:
    allowed = " ".join(map(hash_source, scripts)) or "'none'"
    return (
        f"default-src 'none'; img-src data:; style-src {hash_source(style)}; script-src {allowed}; base-uri 'none'; "
        "form-action 'none'"
    )


def hash_source(source: str) -> str:
    """Return a style sheet or script as a content security policy allows it."""
    digest = hashlib.sha256(source.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _render_head(page: Page) -> Html:
    parts = [f"<h1>{escape_text(page.title)}</h1>", f'<p class="subtitle">{escape_text(page.subtitle)}</p>']
    if page.facts:
        parts.append(f'<dl class="facts">\n{_render_pairs(page.facts)}\n</dl>')
    if page.caution:
        parts.append(f'<p class="caution">{escape_text(page.caution)}</p>')
    if page.origin:
        parts.append(f'<dl class="origin">\n{_render_pairs(page.origin)}\n</dl>')
    return Html("<header>\n" + "\n".join(parts) + "\n</header>")


def _render_pairs(pairs: Mapping[str, str]) -> str:
    return "\n".join(
        f"<div><dt>{escape_text(name)}</dt><dd>{escape_text(value)}</dd></div>" for name, value in pairs.items()
    )


def _render_navigation(sections: Sequence[Section]) -> Html:
    if len(sections) < 2:
        return Html("")
    links = "".join(f'<li><a href="#{each.address}">{escape_text(each.title)}</a></li>' for each in sections)
    return Html(f'<nav aria-label="Sections"><ul>{links}</ul></nav>')


def _render_section(section: Section) -> Html:
    heading = f"{section.address}-title"
    note = f'<p class="note">{escape_text(section.note)}</p>\n' if section.note else ""
    return Html(
        f'<section id="{section.address}" aria-labelledby="{heading}">\n<h2 id="{heading}">{escape_text(section.title)}'
        f"</h2>\n{note}{section.body}\n</section>"
    )
