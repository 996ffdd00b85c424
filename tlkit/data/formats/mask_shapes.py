"""Outlines and run lengths as masks: polygons, COCO's RLE in both forms, and LabelMe's shapes.

A pixel belongs to a polygon if its centre lies inside by the even-odd rule, to the exact number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.data.boxes import parse_numbers

MAX_PIXELS = 2**28


def fill_polygon(points: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels whose centres lie in a polygon, bool (height, width).

    Args:
        points: Float (n, 2): x and y in pixels, continuous, so that the first pixel's centre is at 0.5.
        size: (height, width) of the result.
    """
    height, width = size
    inside = np.zeros(size, bool)
    first, last = points[:, 1].min(), points[:, 1].max()
    rows = np.arange(max(0, int(np.floor(first))), min(height, int(np.ceil(last))))
    if not rows.size:
        return inside
    crossings = np.zeros((len(rows), width + 1), np.int32)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        crossed = np.flatnonzero((np.minimum(y0, y1) <= rows + 0.5) & (rows + 0.5 < np.maximum(y0, y1)))
        if crossed.size:
            x = x0 + (rows[crossed] + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
            crossings[crossed, np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)] += 1
    inside[rows] = crossings[:, :width].cumsum(axis=1) % 2 == 1
    return inside


def draw_segmentation(segmentation: object, size: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Return the pixels of a COCO segmentation, bool (height, width); None if it is damaged.

    Args:
        segmentation: A list of polygons x, y, x, y …, or an object with `counts`, a list or COCO's compressed text.
        size: (height, width) of the image as the COCO file states it.
    """
    if isinstance(segmentation, dict):
        return _draw_run_lengths(segmentation, size)
    if not isinstance(segmentation, list) or not segmentation:
        return None
    inside = np.zeros(size, bool)
    for outline in segmentation:
        numbers = parse_numbers(outline) if isinstance(outline, list) else None
        if numbers is None or len(numbers) < 6 or len(numbers) % 2:
            return None
        inside |= fill_polygon(np.array(numbers).reshape(-1, 2), size)
    return inside


def draw_shape(kind: object, points: object, size: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Return the pixels of a LabelMe shape, bool (height, width); None if it is damaged or has no area.

    Args:
        kind: `polygon`, `rectangle` (two corners) or `circle` (its centre and a point on it).
        points: A list of [x, y].
        size: (height, width) of the image as the file states it.
    """
    if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
        return None
    numbers = parse_numbers([value for point in points for value in point])
    if numbers is None:
        return None
    corners = np.array(numbers).reshape(-1, 2)
    if kind in ("polygon", None) and len(corners) >= 3:
        return fill_polygon(corners, size)
    if kind == "rectangle" and len(corners) == 2:
        (left, top), (right, bottom) = corners
        return fill_polygon(np.array([[left, top], [right, top], [right, bottom], [left, bottom]]), size)
    if kind == "circle" and len(corners) == 2:
        (x, y), radius = corners[0], np.hypot(*(corners[1] - corners[0]))
        across, down = np.arange(size[1]) + 0.5 - x, np.arange(size[0])[:, None] + 0.5 - y
        inside: NDArray[np.bool_] = across**2 + down**2 <= radius**2
        return inside
    return None


def _draw_run_lengths(entry: dict[str, Any], size: tuple[int, int]) -> NDArray[np.bool_] | None:
    counts, stated = entry.get("counts"), entry.get("size")
    if stated != list(size):
        return None
    if isinstance(counts, str):
        counts = _unpack_counts(counts)
    if not isinstance(counts, list) or not all(type(count) is int and count >= 0 for count in counts):
        return None
    if sum(counts) != size[0] * size[1]:
        return None
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(size[::-1]).T  # down the columns


def _unpack_counts(text: str) -> list[int] | None:
    """Return the run lengths of COCO's compressed text: five bits a character, from the third on as differences."""
    counts: list[int] = []
    value, shift = 0, 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64:
            return None
        value |= (code & 31) << shift
        shift += 5
        if shift > 60:
            return None
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value, shift = 0, 0
    return counts if shift == 0 else None


def check_area(size: Sequence[int]) -> bool:
    """Return whether a stated (height, width) is one that a mask can be drawn at."""
    return min(size) > 0 and size[0] * size[1] <= MAX_PIXELS
