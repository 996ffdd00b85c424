"""A map as a section of a page: one point for each image, drawn on a canvas by a script of the page's own.

The points can be moved and zoomed, coloured by class, split and the like, and searched by name; a point shows its picture
and values, and a click the images most like it. The same stands below as a list, for the keyboard and for those who
hear the page. Small pictures are packed into a few large ones, since each JPEG file costs half a kilobyte by itself.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.reports.markup import Html, escape_text, join_html, make_data_url, render_data
from tlkit.reports.page import Section

MAX_POINTS = 50_000
TILE_PX = 64
_COLUMNS, _ROWS = 16, 16
_LAST = 9999
"""Coordinates are whole numbers from 0 to it."""
_QUALITIES = (75, 60, 45, 30)


@dataclass(frozen=True)
class Coloring:
    """Something that points are coloured by.

    Attributes:
        title: What it is: "class".
        values: The value of each image.
        order: The values in their order, where they have one, such as ranges of numbers; empty otherwise.
    """

    title: str
    values: Sequence[str]
    order: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ImageMap:
    """The images of a map.

    Attributes:
        points: Float (n, 2), n <= MAX_POINTS: the place of each.
        names: The name of each, by which it is found: its path below the data folder.
        colorings: What they can be coloured by; the first one at the start.
        neighbours: Int (n, k): the images most like each, nearest first; k may be 0.
        pictures: Some of the pictures by the image's number: uint8 (TILE_PX, TILE_PX, 3), RGB.
    """

    points: NDArray[np.floating[Any]]
    names: Sequence[str]
    colorings: Sequence[Coloring]
    neighbours: NDArray[np.integer[Any]]
    pictures: Mapping[int, NDArray[np.uint8]] = field(default_factory=dict)


def render_map(
    image_map: ImageMap, *, anchor: str = "map", note: str = "", max_bytes: int = 2_000_000
) -> Section | None:
    """Return a map as a section of a page; None without an image.

    Args:
        image_map: The images.
        anchor: Its address in the page: lower-case letters, digits and hyphens.
        note: What the map cannot say by itself, such as that it shows a sample.
        max_bytes: What the pictures may take in the page; their quality gives way.
    """
    if not len(image_map.names):
        return None
    sheets = _pack_pictures(list(image_map.pictures.values()), max_bytes)
    low, high = image_map.points.min(axis=0), image_map.points.max(axis=0)
    span = max(float((high - low).max()), 1e-9)
    places = np.rint(((image_map.points - (low + high) / 2) / span + 0.5) * _LAST).astype(int)
    data = {
        "x": places[:, 0].tolist(),
        "y": places[:, 1].tolist(),
        "names": [_clean(name) for name in image_map.names],
        "colorings": [_number_values(coloring) for coloring in image_map.colorings],
        "neighbours": image_map.neighbours.ravel().tolist(),
        "neighboursEach": image_map.neighbours.shape[1],
        "pictured": [int(number) for number in image_map.pictures],
        "sheets": [make_data_url(sheet) for sheet in sheets],
        "tile": TILE_PX,
        "columns": _COLUMNS,
        "tilesOfSheet": _COLUMNS * _ROWS,
    }
    how = (
        "Images that look alike to the network lie side by side; distances between far groups mean little. Drag to move; "
        "zoom with the buttons, or with the wheel after a click on the map."
    )
    body = join_html([_render_frame(image_map, anchor), render_data(f"{anchor}-data", data)])
    return Section("Map", body, f"{how} {note}".strip(), anchor, ("sheet.css", "map.css"), ("map.js",))


def _render_frame(image_map: ImageMap, anchor: str) -> Html:
    options = "".join(
        f'<option value="{number}">{escape_text(coloring.title)}</option>'
        for number, coloring in enumerate(image_map.colorings)
    )
    columns = "".join(f'<th scope="col">{escape_text(coloring.title)}</th>' for coloring in image_map.colorings)
    return Html(
        f'<noscript><p class="note">The map is drawn by a script, which is switched off here.</p></noscript>'
        f'<div class="map" data-map="{anchor}-data">\n'
        '<form class="controls" hidden><label>Color by<select name="coloring">'
        f"{options}</select></label>"
        '<label>File<input type="search" name="search" autocomplete="off"></label>'
        '<button type="button" data-zoom="1.5">Zoom in</button><button type="button" data-zoom="0.667">Zoom out</button>'
        '<button type="button" data-zoom="0">Whole map</button><p class="shown" role="status"></p></form>\n'
        '<div class="plane"><canvas tabindex="0" role="img" aria-label="Map of the images. Arrow keys move it, plus and '
        'minus zoom. The list below holds the same images."></canvas><div class="tip" hidden></div></div>\n'
        '<div class="side"><ul class="legend" aria-label="Legend"></ul><div class="card" aria-live="polite"></div></div>\n'
        '<details class="found"><summary>The same as a list</summary>'
        '<div class="scroll" role="group" tabindex="0" aria-label="Images on the map"><table><thead><tr>'
        f'<th scope="col">file</th>{columns}</tr></thead><tbody></tbody></table></div></details>\n</div>'
    )


def _clean(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _number_values(coloring: Coloring) -> dict[str, Any]:
    values = list(coloring.order) or sorted(set(coloring.values))
    numbers = {value: number for number, value in enumerate(values)}
    return {
        "title": coloring.title,
        "values": [_clean(value) for value in values],
        "of": [numbers[value] for value in coloring.values],
        "ordered": bool(coloring.order),
    }


def _pack_pictures(pictures: Sequence[NDArray[np.uint8]], max_bytes: int) -> list[bytes]:
    """Return JPEG files of 16 × 16 pictures each, in order, row by row."""
    sheets = []
    for start in range(0, len(pictures), _COLUMNS * _ROWS):
        part = pictures[start : start + _COLUMNS * _ROWS]
        sheet = np.zeros((_ROWS * TILE_PX, _COLUMNS * TILE_PX, 3), np.uint8)
        for place, picture in enumerate(part):
            top, left = place // _COLUMNS * TILE_PX, place % _COLUMNS * TILE_PX
            sheet[top : top + TILE_PX, left : left + TILE_PX] = picture
        sheets.append(Image.fromarray(sheet[: -(-len(part) // _COLUMNS) * TILE_PX]))
    packed: list[bytes] = []
    for quality in _QUALITIES:
        packed = [_encode(sheet, quality) for sheet in sheets]
        if sum(map(len, packed)) * 4 / 3 <= max_bytes:
            break
    return packed


def _encode(sheet: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    sheet.save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()
