"""HTML for pages: text is escaped here, and nowhere else does text become HTML.

Whatever is typed `Html` is safe to put into a page; whatever is a `str` is data and must pass through `escape_text`.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, NewType
from urllib.parse import urlencode

Html = NewType("Html", str)


@dataclass(frozen=True)
class Link:
    """A text, mostly a number, that leads to the pictures behind it.

    Attributes:
        text: The text.
        anchor: The anchor of a section of the page, mostly of a sheet.
        query: The tiles that the sheet then shows, by facet: {"true": "cat", "predicted": "dog"}. Without scripts the
            whole sheet is shown.
        meaning: What is behind it, for those who hear the page: "3 images of cat predicted as dog".
    """

    text: str
    anchor: str
    query: Mapping[str, str] = field(default_factory=dict)
    meaning: str = ""


Cell = str | Link
Table = tuple[Sequence[str], Sequence[Sequence[Cell]]]
"""Column titles, and rows of cells."""


def escape_text(text: str) -> Html:
    """Escape data as HTML text or as a quoted attribute; invalid UTF-8 in file names becomes a replacement character."""
    return Html(escape(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")))


def make_anchor(title: str) -> str:
    """Return an anchor for a title: lower-case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"


def join_html(parts: Sequence[Html]) -> Html:
    """Join pieces of HTML, one a line; empty ones are left out."""
    return Html("\n".join(part for part in parts if part))


def render_cell(cell: Cell) -> Html:
    """Return a text as HTML, or a link."""
    if isinstance(cell, str):
        return escape_text(cell)
    query = urlencode(cell.query, errors="replace")
    label = f' aria-label="{escape_text(cell.meaning)}" title="{escape_text(cell.meaning)}"' if cell.meaning else ""
    # sheet.js makes "#mistakes?true=cat" of the two; without it the link leads to the section.
    shown = f' data-show="{escape_text(query)}"' if query else ""
    return Html(f'<a href="#{escape_text(cell.anchor)}"{shown}{label}>{escape_text(cell.text)}</a>')


def render_table(table: Table, *, label: str) -> Html:
    """Return a table that scrolls sideways on a narrow screen; columns of numbers are aligned to the right.

    Args:
        table: Column titles and rows.
        label: The name of the table, for those who hear the page.
    """
    columns, rows = table
    places = range(len(columns))
    classes = [' class="number"' if _is_numeric([_text_of(row[place]) for row in rows]) else "" for place in places]
    head = "".join(
        f'<th scope="col"{kind}>{escape_text(name)}</th>' for name, kind in zip(columns, classes, strict=True)
    )
    body = "\n".join(
        "<tr>"
        + "".join(f"<td{kind}>{render_cell(cell)}</td>" for cell, kind in zip(row, classes, strict=True))
        + "</tr>"
        for row in rows
    )
    return render_scrolled(
        Html(f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"), label=label
    )


def render_scrolled(content: Html, *, label: str) -> Html:
    """Wrap what may be wider than the screen; the keyboard can scroll it."""
    return Html(f'<div class="scroll" role="group" tabindex="0" aria-label="{escape_text(label)}">{content}</div>')


def render_list(items: Sequence[str]) -> Html:
    """Return a list of texts."""
    return Html("<ul>\n" + "\n".join(f"<li>{escape_text(item)}</li>" for item in items) + "\n</ul>")


def render_details(summary: str, content: Html) -> Html:
    """Return content that is shown on a click."""
    return Html(f"<details><summary>{escape_text(summary)}</summary>\n{content}</details>")


def render_picture(content: Path | bytes, alternative: str, *, css_class: str = "figure") -> Html:
    """Return a picture that is part of the page, PNG or JPEG.

    Args:
        content: The file or its bytes.
        alternative: What it shows, in words.
        css_class: Its class.
    """
    data = content.read_bytes() if isinstance(content, Path) else content
    return Html(
        f'<img class="{css_class}" alt="{escape_text(alternative)}" loading="lazy" decoding="async" '
        f'src="{make_data_url(data)}">'
    )


def make_data_url(picture: bytes) -> str:
    """Return the address of a picture that carries its content, PNG or JPEG."""
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"


def render_data(name: str, data: Any) -> Html:
    """Return JSON for a script, which finds it by its id: `JSON.parse(document.getElementById(name).textContent)`.

    Strings in it are data: a script puts them on the page as `textContent`, never as HTML.
    """
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Html(f'<script type="application/json" id="{escape_text(name)}">{text}</script>')


def _text_of(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell.text


def _is_numeric(cells: Sequence[str]) -> bool:
    """Return whether a column has only numbers, dashes and empty cells, and at least one number."""
    written = [cell.strip("+-%s ").replace(",", "").replace(".", "") for cell in cells]
    return any(written) and all(not cell or cell[0].isdigit() for cell in written)
