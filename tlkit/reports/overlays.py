"""Draw the model's answer on a copy of the picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from tlkit.outputs import Box
from tlkit.reports.aside import written_aside
from tlkit.reports.lettering import fit_text, load_font
from tlkit.reports.sorting import number_name

LONGEST_EDGE_PX = 1280
SHORTEST_WIDTH_PX = 320
PANEL = (17, 24, 32)
BAR = (74, 158, 224)
BAR_GROUND = (48, 58, 70)
LETTERS = (245, 247, 250)
FAINT_LETTERS = (166, 177, 190)
JPEG_QUALITY = 90


class OverlayFolder:
    """A folder of overlays, one JPEG for each picture, none in place of another.

    Two pictures of the same name, from different folders, become `cat.jpg` and `cat-2.jpg`. Writing the same pictures
    in the same order again gives the same names.

    Args:
        folder: Where the overlays go; it exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken: set[str] = set()

    def write(
        self, source: Path, picture: Image.Image, ranked: Sequence[tuple[str, float]], box: Box | None = None
    ) -> Path:
        """Write the overlay of one picture and return its path.

        Args:
            source: The picture's file; only its name is used.
            picture: RGB, upright.
            ranked: (class name, probability 0..1), the most probable first; at least one.
            box: left, top, right, bottom in fractions of the picture, 0..1; None if there is none.
        """
        name = number_name(f"{source.stem}.jpg", self._taken)
        self._taken.add(name.casefold())
        path = self._folder / name
        with written_aside(path) as file:
            draw_overlay(picture, ranked, box).save(file, format="JPEG", quality=JPEG_QUALITY)
        return path


def draw_overlay(picture: Image.Image, ranked: Sequence[tuple[str, float]], box: Box | None = None) -> Image.Image:
    """Return a copy of the picture over a panel with the classes, their probabilities and a bar for each.

    The panel lies beneath the picture, so it hides nothing. Large pictures are made smaller (1280 px at most), tiny ones
    enlarged by a whole factor or set on a wider panel, so that the letters can be read.

    Args:
        picture: RGB, upright.
        ranked: (class name, probability 0..1), the most probable first; at least one.
        box: left, top, right, bottom in fractions of the picture, 0..1; drawn as a frame.

    Returns:
        A new RGB picture.
    """
    picture = _resize_for_reading(picture)
    if box is not None:
        picture = draw_box(picture, box, BAR)
    width = max(picture.width, SHORTEST_WIDTH_PX)
    letters_px = max(16, min(36, round(width / 26)))
    pad, small_px = round(letters_px * 0.7), round(letters_px * 0.8)
    line_heights = [round(letters_px * 2.0)] + [round(small_px * 1.9)] * (len(ranked) - 1)
    overlay = Image.new("RGB", (width, picture.height + sum(line_heights) + pad), PANEL)
    overlay.paste(picture, ((width - picture.width) // 2, 0))
    pen = ImageDraw.Draw(overlay)

    top = picture.height + pad // 2
    for rank, ((class_name, probability), height) in enumerate(zip(ranked, line_heights, strict=True)):
        size, colour = (letters_px, LETTERS) if rank == 0 else (small_px, FAINT_LETTERS)
        percent = format_percent(probability)
        percent_font = load_font(percent, size)
        name_font = load_font(class_name, size, bold=rank == 0)
        room = width - 3 * pad - percent_font.getlength(percent)
        baseline = top + round(size * 1.1)
        pen.text((pad, baseline), fit_text(class_name, name_font, room), font=name_font, fill=colour, anchor="ls")
        pen.text((width - pad, baseline), percent, font=percent_font, fill=colour, anchor="rs")
        _draw_bar(pen, (pad, baseline + round(size * 0.34), width - pad), probability, max(3, size // 6))
        top += height
    return overlay


def draw_box(picture: Image.Image, box: Box, colour: tuple[int, int, int]) -> Image.Image:
    """Return a copy of a picture with a frame in a colour between dark lines, to be seen on any ground.

    Args:
        picture: RGB.
        box: left, top, right, bottom in fractions of the picture, 0..1.
        colour: RGB, 0..255.
    """
    framed = picture.copy()
    pen = ImageDraw.Draw(framed)
    line = max(2, round(max(picture.size) / 200))
    left, top, right, bottom = (edge * size for edge, size in zip(box, picture.size * 2, strict=True))
    for inset, width, ink in ((0, 3 * line, PANEL), (line, line, colour)):
        corners = (left + inset, top + inset, max(left + inset, right - inset), max(top + inset, bottom - inset))
        pen.rectangle(corners, outline=ink, width=width)
    return framed


def format_percent(probability: float) -> str:
    """Return a probability in per cent, never rounded up to a certainty that the model does not claim.

    Example:
        >>> format_percent(0.9999), format_percent(0.83149), format_percent(0.0002)
        ('99.9%', '83.1%', '< 0.1%')
    """
    if probability < 0.001:
        return "< 0.1%" if probability > 0 else "0%"
    if 0.999 < probability < 1:
        return "99.9%"
    return f"{probability:.1%}" if probability < 1 else "100%"


def _resize_for_reading(picture: Image.Image) -> Image.Image:
    longest = max(picture.size)
    if longest > LONGEST_EDGE_PX:
        scale = LONGEST_EDGE_PX / longest
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    if longest * 2 <= SHORTEST_WIDTH_PX:
        factor = SHORTEST_WIDTH_PX // longest
        return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    return picture


def _draw_bar(pen: ImageDraw.ImageDraw, place: tuple[int, int, int], probability: float, height: int) -> None:
    left, top, right = place
    pen.rectangle((left, top, right, top + height), fill=BAR_GROUND)
    filled = round((right - left) * probability)
    if filled:
        pen.rectangle((left, top, left + filled, top + height), fill=BAR)
