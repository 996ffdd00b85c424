"""Draw predictions onto copies of images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from tlkit.files import written_aside
from tlkit.reports.captions import Caption, CaptionLine
from tlkit.reports.frames import COLOURS, DARK, LIGHT, Mark, draw_box, draw_marks
from tlkit.reports.lettering import fit_text, load_font
from tlkit.reports.sorting import fold_name, number_name

LONGEST_EDGE_PX = 1280
TARGET_PX = (LONGEST_EDGE_PX // 2, LONGEST_EDGE_PX // 2)
"""(height, width) for decoding the pictures; a JPEG is decoded at twice that or more."""
SHORTEST_WIDTH_PX = 320
PANEL = DARK
BAR = COLOURS[0]
BAR_GROUND = (48, 58, 70)
LETTERS = LIGHT
FAINT_LETTERS = (166, 177, 190)
JPEG_QUALITY = 90


class OverlayFolder:
    """A folder of overlays, one JPEG per image, never overwriting another.

    Images with the same name from different folders become `cat.jpg` and `cat-2.jpg`. The same images in the same order
    always get the same names.

    Args:
        folder: An existing folder.
        longest_edge_px: Larger pictures are reduced to it.
    """

    def __init__(self, folder: Path, longest_edge_px: int = LONGEST_EDGE_PX) -> None:
        self._folder = folder
        self._longest_edge_px = longest_edge_px
        self._taken: set[str] = set()

    def write(self, source: Path, picture: Image.Image, caption: Caption, marks: Sequence[Mark] = ()) -> Path:
        """Write the overlay of one image and return its path.

        Args:
            source: The image file; only its name is used.
            picture: RGB, upright.
            caption: The caption below it; at least one line.
            marks: The objects in it; see `draw_overlay`.
        """
        name = number_name(f"{source.stem}.jpg", self._taken)
        self._taken.add(fold_name(name))
        path = self._folder / name
        with written_aside(path, is_flushed=False) as file:
            overlay = draw_overlay(picture, caption, marks, longest_edge_px=self._longest_edge_px)
            overlay.save(file, format="JPEG", quality=JPEG_QUALITY)
        return path


def draw_overlay(
    picture: Image.Image, caption: Caption, marks: Sequence[Mark] = (), *, longest_edge_px: int = LONGEST_EDGE_PX
) -> Image.Image:
    """Return a copy of the picture with the frames of objects in it and a caption panel below.

    Large pictures are reduced, by default to at most 1280 px. Tiny ones are enlarged by an integer factor or get a wider panel, so
    that the text is readable.

    Args:
        picture: RGB, upright.
        caption: The caption; at least one line.
        marks: The objects, the most important first. A single one without a label has a broad frame.
        longest_edge_px: Longest edge of the picture in it.

    Returns:
        A new RGB picture.
    """
    picture = resize_for_reading(picture, longest_edge_px)
    if len(marks) == 1 and not marks[0].name:
        picture = draw_box(picture, marks[0].box, marks[0].colour)
    elif marks:
        picture = draw_marks(picture, marks)
    width = max(picture.width, SHORTEST_WIDTH_PX)
    letters_px = max(16, min(36, round(width / 26)))
    pad = round(letters_px * 0.7)
    sizes = [letters_px if line.is_bright else round(letters_px * 0.8) for line in caption]
    heights = [round(size * (2.0 if line.is_bright else 1.9)) for line, size in zip(caption, sizes, strict=True)]
    overlay = Image.new("RGB", (width, picture.height + sum(heights) + pad), PANEL)
    overlay.paste(picture, ((width - picture.width) // 2, 0))
    pen = ImageDraw.Draw(overlay)

    indent = letters_px if any(line.has_dot for line in caption) else 0
    top = picture.height + pad // 2
    for line, size, height in zip(caption, sizes, heights, strict=True):
        baseline = top + round(size * 1.1)
        _write_line(pen, line, (pad, baseline, width - pad), size, indent)
        if line.share is not None:
            _draw_bar(pen, (pad, baseline + round(size * 0.34), width - pad), line.share, max(3, size // 6))
        top += height
    return overlay


def resize_for_reading(picture: Image.Image, longest_edge_px: int = LONGEST_EDGE_PX) -> Image.Image:
    """Return a large picture at 1280 px, a tiny one enlarged by a whole factor, and others, these among them, as they are."""
    longest = max(picture.size)
    if longest > longest_edge_px:
        scale = longest_edge_px / longest
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    if longest * 2 <= SHORTEST_WIDTH_PX:
        factor = SHORTEST_WIDTH_PX // longest
        return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    return picture


def _write_line(
    pen: ImageDraw.ImageDraw, line: CaptionLine, place: tuple[int, int, int], size: int, indent: int
) -> None:
    """Write a caption line on a baseline; place is (left, baseline, right)."""
    left, baseline, right = place
    colour = LETTERS if line.is_bright else FAINT_LETTERS
    if line.has_dot:
        radius = size * 0.22
        pen.circle((left + radius, baseline - size * 0.36), radius, fill=line.colour or BAR)
    figure_font = load_font(line.figure, size)
    text_font = load_font(line.text, size, bold=line.is_bright)
    room = right - left - indent - figure_font.getlength(line.figure) - left
    text = fit_text(line.text, text_font, room)
    pen.text((left + indent, baseline), text, font=text_font, fill=colour, anchor="ls")
    pen.text((right, baseline), line.figure, font=figure_font, fill=colour, anchor="rs")


def _draw_bar(pen: ImageDraw.ImageDraw, place: tuple[int, int, int], share: float, height: int) -> None:
    left, top, right = place
    pen.rectangle((left, top, right, top + height), fill=BAR_GROUND)
    filled = round((right - left) * share)
    if filled:
        pen.rectangle((left, top, left + filled, top + height), fill=BAR)
