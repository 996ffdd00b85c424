"""Frames around objects in pictures, with a colour for each class and labels that keep clear of each other."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tlkit.outputs import Box
from tlkit.reports.lettering import fit_text, load_font

Colour = tuple[int, int, int]
DARK = (17, 24, 32)
LIGHT = (245, 247, 250)
COLOURS: tuple[Colour, ...] = (
    (74, 158, 224),
    (247, 148, 50),
    (92, 204, 108),
    (238, 84, 98),
    (180, 126, 242),
    (246, 214, 72),
    (72, 212, 208),
    (244, 132, 196),
    (176, 196, 64),
    (206, 150, 106),
)
MAX_NAMED = 24
"""Objects in a picture that get their names; of more, only the colour says what they are."""

_GOLDEN_RATIO = 0.618034
_MAX_COVERED = 1e-9
_INSIDE_COST = 0.3
_PLACE_COST = 0.01


@dataclass(frozen=True)
class Mark:
    """An object in a picture.

    Attributes:
        box: left, top, right, bottom in fractions of the picture, 0..1.
        colour: RGB, 0..255, of its frame.
        name: What it is; left out where there is no room.
        figure: How sure this is; left out where there is no room for that either.
        is_dashed: Whether its frame is dashed, as true boxes are beside predicted ones.
    """

    box: Box
    colour: Colour
    name: str = ""
    figure: str = ""
    is_dashed: bool = False


def choose_colour(index: int) -> Colour:
    """Return the colour of a class by its index, >= 0: bright, and unlike those of its neighbours."""
    if index < len(COLOURS):
        return COLOURS[index]
    hue = index * _GOLDEN_RATIO % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, (0.75, 0.5)[index % 2], (0.95, 0.8)[index // 2 % 2])
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_box(picture: Image.Image, box: Box, colour: Colour, *, line_px: int | None = None) -> Image.Image:
    """Return a copy of a picture with a coloured frame between dark lines, visible on any background.

    Args:
        picture: RGB.
        box: left, top, right, bottom in fractions of the picture, 0..1.
        colour: RGB, 0..255.
        line_px: Width of the coloured line; by default it follows the picture's size.
    """
    framed = picture.copy()
    line = line_px or max(2, round(max(picture.size) / 200))
    _draw_frame(ImageDraw.Draw(framed), _scale(box, picture.size), colour, line=line, rim=line)
    return framed


def draw_marks(picture: Image.Image, marks: Sequence[Mark]) -> Image.Image:
    """Return a copy of a picture with the frames of objects and, where there is room, their labels.

    A line is thinner around a small object. A label stands where it covers neither another label nor, if possible,
    another object. Where there is no such place, it is reduced to its figure, and then left out. More than 24 objects
    get figures only.

    Args:
        picture: RGB.
        marks: The objects, the most important first: its frame lies on top, and its label is placed first.
    """
    marked = picture.copy()
    pen = ImageDraw.Draw(marked)
    boxes = np.array([_scale(mark.box, picture.size) for mark in marks]).reshape(-1, 4)
    for mark, box in reversed(list(zip(marks, boxes.tolist(), strict=True))):
        line = max(1, min(round(max(picture.size) / 260), round(min(box[2] - box[0], box[3] - box[1]) / 14)))
        draw = _draw_dashed_frame if mark.is_dashed else _draw_frame
        draw(pen, box, mark.colour, line=line, rim=max(1, line // 2))
    _Labels(pen, picture.size, boxes).draw(marks)
    return marked


def _scale(box: Box, size: tuple[int, int]) -> list[float]:
    return [edge * length for edge, length in zip(box, size * 2, strict=True)]


def _draw_frame(pen: ImageDraw.ImageDraw, box: Sequence[float], colour: Colour, *, line: int, rim: int) -> None:
    """Draw a coloured line between dark rims, all of them inside the box."""
    left, top, right, bottom = box
    for inset, width, ink in ((0, line + 2 * rim, DARK), (rim, line, colour)):
        corners = (left + inset, top + inset, max(left + inset, right - inset), max(top + inset, bottom - inset))
        pen.rectangle(corners, outline=ink, width=width)


def _draw_dashed_frame(pen: ImageDraw.ImageDraw, box: Sequence[float], colour: Colour, *, line: int, rim: int) -> None:
    """Draw the same line in dashes, each between dark rims."""
    left, top, right, bottom = (round(edge) for edge in box)
    dash = max(4 * line + 2 * rim, 8)
    thick = line + 2 * rim
    sides = [(left, top, right - left, True), (left, bottom - thick, right - left, True)]
    sides += [(left, top, bottom - top, False), (right - thick, top, bottom - top, False)]
    for x, y, length, is_level in sides:
        for start in range(0, max(1, length), 2 * dash):
            stop = min(start + dash, max(1, length))
            for inset, ink in ((0, DARK), (rim, colour)):
                along, across = (start + inset, max(start + inset, stop - 1 - inset)), (inset, thick - 1 - inset)
                (x0, x1), (y0, y1) = (along, across) if is_level else (across, along)
                pen.rectangle((x + x0, y + y0, x + x1, y + y1), fill=ink)


class _Labels:
    """Places labels in a picture of (width, height) `size`, one after the other; boxes are float (n, 4) in pixels."""

    def __init__(self, pen: ImageDraw.ImageDraw, size: tuple[int, int], boxes: NDArray[np.float64]) -> None:
        self._pen = pen
        self._size = size
        self._boxes = boxes
        self._letters_px = max(10, min(26, round(max(size) / (45 if len(boxes) <= 12 else 58))))
        self._placed = np.empty((0, 4))

    def draw(self, marks: Sequence[Mark]) -> None:
        for index, mark in enumerate(marks):
            full = f"{mark.name} {mark.figure}".strip() if len(marks) <= MAX_NAMED else ""
            for text in filter(None, dict.fromkeys((full, mark.figure))):
                if self._draw_text(index, text, mark.colour):
                    break

    def _draw_text(self, index: int, text: str, colour: Colour) -> bool:
        """Write a label in the best free place; return whether there is one."""
        font = load_font(text, self._letters_px, bold=True)
        pad = max(2, self._letters_px // 5)
        text = fit_text(text, font, max(self._size[0] / 2, 3 * self._letters_px))
        width, height = font.getlength(text) + 2 * pad, round(self._letters_px * 1.15) + pad
        plate = self._find_place(index, width, height)
        if plate is None:
            return False
        self._placed = np.vstack((self._placed, plate))
        left, top, right, bottom = plate.tolist()
        self._pen.rectangle((left, top, right - 1, bottom - 1), fill=colour, outline=DARK)
        baseline = top + (height + self._letters_px * 0.73) / 2
        ink = DARK if _compute_brightness(colour) > 0.3 else LIGHT
        self._pen.text((left + pad, baseline), text, font=font, fill=ink, anchor="ls")
        return True

    def _find_place(self, index: int, width: float, height: float) -> NDArray[np.float64] | None:
        """Return the plate, float (4,), that covers least of other objects and nothing of other labels, if any."""
        left, top, right, bottom = self._boxes[index].tolist()
        starts = [
            (x, y)
            for y in (top - height, top, bottom, bottom - height)
            for x in (left, right - width, (left + right - width) / 2)
        ]
        corners = np.array(starts)
        corners[:, 0] = np.clip(corners[:, 0], 0, max(0, self._size[0] - width))
        corners = corners[(corners[:, 1] >= 0) & (corners[:, 1] + height <= self._size[1])]
        plates = np.hstack((corners, corners + np.array((width, height))))
        free = plates[_compute_covered(plates, self._placed).max(axis=1, initial=0) <= _MAX_COVERED]
        if not len(free):
            return None
        covered = _compute_covered(free, self._boxes)
        covered[:, index] *= _INSIDE_COST
        costs = covered.sum(axis=1) + _PLACE_COST * np.arange(len(free))
        best: NDArray[np.float64] = free[int(np.argmin(costs))]
        return best


def _compute_covered(plates: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return which part of each plate lies over each box, float (plates, boxes), 0..1."""
    starts = np.maximum(plates[:, None, :2], boxes[None, :, :2])
    ends = np.minimum(plates[:, None, 2:], boxes[None, :, 2:])
    areas = (plates[:, 2] - plates[:, 0]) * (plates[:, 3] - plates[:, 1])
    covered: NDArray[np.float64] = np.clip(ends - starts, 0, None).prod(axis=2) / areas[:, None]
    return covered


def _compute_brightness(colour: Colour) -> float:
    """Return the relative luminance of sRGB, 0..1, near enough for black or white letters."""
    red, green, blue = (math.pow(part / 255, 2.2) for part in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
