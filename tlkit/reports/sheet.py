"""A sheet: groups of captioned pictures that readers can search, filter, enlarge and decide on.

Without scripts, it shows all pictures and captions. With scripts, it has a search box, a filter for each facet, and
enlarged pictures on a click; there, arrow keys move to the next one and Escape closes. A `Link` anywhere on the page
can filter the tiles: its query names facets and values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tlkit.reports.markup import Html, Link, escape_text, join_html, make_data_url, render_cell, render_picture
from tlkit.reports.page import Section

SHEET_STYLE, SHEET_SCRIPT = "sheet.css", "sheet.js"
Facets = Mapping[str, str | Sequence[str]]
"""The values that a tile is filtered by, by the names of the sheet's facets."""
TONES = ("plain", "right", "wrong", "unsure")


@dataclass(frozen=True)
class Choice:
    """An action that a reader can choose for a tile.

    Attributes:
        label: A few words, such as "move to dog".
        row: The row that it adds to the exported table; None for none.
    """

    label: str
    row: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Tile:
    """A picture with its caption.

    Attributes:
        picture: A JPEG or PNG file: see `make_thumbnail`.
        title: Usually the file's name.
        lines: Lines of the caption.
        badge: A word or number on the picture: "0.97".
        tone: The badge's and frame's colour, one of `TONES`.
        facets: Values by the names of the sheet's facets; a tile may have several values of one.
        search: More words to search in, such as the path, besides title, lines and facets.
        detail: A larger picture for the enlarged view, if there is one.
        layers: Other renderings of the picture, by name: {"heat map": ...}. The sheet can show them in place of the
            photos; the enlarged view shows them beside the photo.
        choices: The possible actions, the proposed one first.
    """

    picture: bytes
    title: str
    lines: Sequence[str] = ()
    badge: str = ""
    tone: str = "plain"
    facets: Facets = field(default_factory=dict)
    search: str = ""
    detail: bytes | None = None
    layers: Mapping[str, bytes] = field(default_factory=dict)
    choices: Sequence[Choice] = ()


@dataclass(frozen=True)
class Group:
    """Tiles under a common heading.

    Attributes:
        title: The heading; empty for none.
        tiles: The tiles, the most important first.
        note: A sentence below the heading: what is omitted, and where to find it.
        link: Leads to more of them.
    """

    title: str
    tiles: Sequence[Tile]
    note: str = ""
    link: Link | None = None


@dataclass(frozen=True)
class Export:
    """A table that the page makes from the actions chosen for its tiles.

    Attributes:
        file_name: Name of the saved file, such as "moves.csv".
        columns: Its header.
        label: The button's text.
    """

    file_name: str
    columns: tuple[str, ...]
    label: str


@dataclass(frozen=True)
class Sheet:
    """Groups of tiles as a section of a page.

    Attributes:
        anchor: Its address in the page: lower-case letters, digits and hyphens.
        title: Its heading.
        groups: The tiles. Groups without any are left out.
        note: How to read it.
        facets: Titles of the facets by which it can be filtered, by their names, which are lower-case letters:
            {"true": "True class"}.
        is_strip: Whether each group is a single row that scrolls sideways.
        export: The table that can be saved.
        has_search: Whether it has a search box.
    """

    anchor: str
    title: str
    groups: Sequence[Group]
    note: str = ""
    facets: Mapping[str, str] = field(default_factory=dict)
    is_strip: bool = False
    export: Export | None = None
    has_search: bool = True


def render_sheet(sheet: Sheet) -> Section | None:
    """Return a sheet as a section of a page; None without a tile."""
    groups = [group for group in sheet.groups if group.tiles]
    if not groups:
        return None
    tiles = [tile for group in groups for tile in group.tiles]
    body = join_html(
        [
            Html(f'<div class="sheet{" strips" if sheet.is_strip else ""}" data-sheet="{sheet.anchor}">'),
            _render_controls(sheet, tiles),
            *(_render_group(group, sheet) for group in groups),
            Html("</div>"),
        ]
    )
    return Section(sheet.title, body, sheet.note, sheet.anchor, (SHEET_STYLE,), (SHEET_SCRIPT,))


def _render_controls(sheet: Sheet, tiles: Sequence[Tile]) -> Html:
    """Return the search box and filters, hidden until the script shows them."""
    parts: list[str] = []
    if sheet.has_search:
        parts.append('<label>Search<input type="search" name="search" autocomplete="off"></label>')
    for name, title in sheet.facets.items():
        values = sorted({value for tile in tiles for value in values_of(tile.facets, name)})
        if len(values) > 1:
            options = "".join(f'<option value="{escape_text(value)}">{escape_text(value)}</option>' for value in values)
            parts.append(
                f'<label>{escape_text(title)}<select name="{name}" data-facet="{name}"><option value="">all</option>'
                f"{options}</select></label>"
            )
    layers = list(dict.fromkeys(name for tile in tiles for name in tile.layers))
    if layers:
        options = "".join(f'<option value="{escape_text(name)}">{escape_text(name)}</option>' for name in layers)
        parts.append(f'<label>Pictures<select name="layer"><option value="">photo</option>{options}</select></label>')
    if sheet.export:
        attributes = (
            f'data-file="{escape_text(sheet.export.file_name)}" '
            f'data-columns="{escape_text(json.dumps(sheet.export.columns))}"'
        )
        parts.append(f'<button type="button" class="export" {attributes}>{escape_text(sheet.export.label)}</button>')
    if not parts:
        return Html("")
    if not sheet.is_strip:
        parts += ['<button type="reset">Show all</button>', '<p class="shown" role="status"></p>']
    controls = "\n".join(parts)
    return Html(
        f'<form class="controls" role="search" aria-label="{escape_text(sheet.title)}" hidden>\n{controls}\n</form>'
    )


def _render_group(group: Group, sheet: Sheet) -> Html:
    link = f' <span class="more">{render_cell(group.link)}</span>' if group.link else ""
    heading = f"<h3>{escape_text(group.title)}{link}</h3>\n" if group.title else ""
    note = f'<p class="note">{escape_text(group.note)}</p>\n' if group.note else ""
    tiles = "\n".join(_render_tile(tile, sheet) for tile in group.tiles)
    return Html(f'<div class="group">\n{heading}{note}<ul class="tiles">\n{tiles}\n</ul>\n</div>')


def _render_tile(tile: Tile, sheet: Sheet) -> Html:
    assert tile.tone in TONES
    facets = "".join(
        f' data-{name}="{escape_text(chr(10).join(values))}"'
        for name in sheet.facets
        if (values := values_of(tile.facets, name))
    )
    search = f' data-search="{escape_text(tile.search)}"' if tile.search else ""
    detail = f' data-detail="{make_data_url(tile.detail)}"' if tile.detail else ""
    layers = "".join(
        f'<img alt="" data-layer="{escape_text(name)}" loading="lazy" hidden src="{make_data_url(content)}">'
        for name, content in tile.layers.items()
    )
    badge = f'<span class="badge">{escape_text(tile.badge)}</span>' if tile.badge else ""
    lines = "".join(f"<span>{escape_text(line)}</span>" for line in tile.lines)
    return Html(
        f'<li class="tile {tile.tone}"{facets}{search}>'
        f'<button type="button" class="open"{detail}>{render_picture(tile.picture, tile.title, css_class="photo")}'
        f'{layers}{badge}</button><p class="caption"><strong>{escape_text(tile.title)}</strong>{lines}</p>'
        f"{_render_choices(tile)}</li>"
    )


def _render_choices(tile: Tile) -> Html:
    if not tile.choices:
        return Html("")
    options = "".join(
        f'<option value="{escape_text(json.dumps(choice.row)) if choice.row else ""}">{escape_text(choice.label)}</option>'
        for choice in tile.choices
    )
    return Html(
        f'<select class="choice" aria-label="{escape_text(f"What to do with {tile.title}")}">{options}</select>'
    )


def values_of(facets: Facets, name: str) -> Sequence[str]:
    """Return the values of one facet."""
    values = facets.get(name, ())
    return (values,) if isinstance(values, str) else values
