"""Draw a contact sheet of small images, such as the views that the network is trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tlkit.files import written_aside
from tlkit.reports.figures.canvas import INK
from tlkit.reports.lettering import fit_text, load_font

SMALLEST_EDGE_PX = 128
LARGEST_EDGE_PX = 256
GAP_PX = 12
CAPTION_PX = 22
LEGEND_PX = 30


def draw_contact_sheet(
    path: Path,
    images: Sequence[NDArray[np.uint8]],
    captions: Sequence[str],
    *,
    num_columns: int = 0,
    legend: Sequence[tuple[str, tuple[int, int, int]]] = (),
) -> None:
    """Draw images in rows, each with its caption below, pixel for pixel if their size allows.

    Images below 128 px are enlarged by an integer factor without smoothing; images above 256 px are reduced.

    Args:
        path: The PNG to write.
        images: uint8 (h, w, 3) each, RGB 0..255; at least one; sizes may differ.
        captions: One line for each image; shortened in the middle if too wide.
        num_columns: Images per row; 0 makes the sheet about square.
        legend: Meaning of each colour, RGB 0..255; written above the images.
    """
    thumbnails = [_make_thumbnail(image) for image in images]
    width = max(SMALLEST_EDGE_PX, *(picture.width for picture in thumbnails))
    height = max(picture.height for picture in thumbnails)
    columns = num_columns or math.ceil(math.sqrt(len(thumbnails)))
    rows = math.ceil(len(thumbnails) / columns)
    pitch_x, pitch_y = width + GAP_PX, height + CAPTION_PX + GAP_PX
    above = LEGEND_PX if legend else 0
    sheet = Image.new("RGB", (GAP_PX + columns * pitch_x, above + GAP_PX + rows * pitch_y), "white")
    pen = ImageDraw.Draw(sheet)
    _write_legend(pen, legend)
    for index, (picture, caption) in enumerate(zip(thumbnails, captions, strict=True)):
        left = GAP_PX + (index % columns) * pitch_x
        top = above + GAP_PX + (index // columns) * pitch_y
        sheet.paste(picture, (left + (width - picture.width) // 2, top + height - picture.height))
        font = load_font(caption, 13)
        pen.text((left + width / 2, top + height + 4), fit_text(caption, font, width), fill=INK, font=font, anchor="ma")
    with written_aside(path) as file:
        sheet.save(file, format="PNG")


def _write_legend(pen: ImageDraw.ImageDraw, legend: Sequence[tuple[str, tuple[int, int, int]]]) -> None:
    left = float(GAP_PX)
    for text, colour in legend:
        pen.rectangle((left, GAP_PX + 3, left + 14, GAP_PX + 17), outline=colour, width=3)
        font = load_font(text, 14)
        pen.text((left + 21, GAP_PX + 10), text, fill=INK, font=font, anchor="lm")
        left += 21 + font.getlength(text) + 2 * GAP_PX


def _make_thumbnail(image: NDArray[np.uint8]) -> Image.Image:
    picture = Image.fromarray(image)
    longest = max(picture.size)
    if longest > LARGEST_EDGE_PX:
        picture.thumbnail((LARGEST_EDGE_PX, LARGEST_EDGE_PX), Image.Resampling.LANCZOS)
    elif longest < SMALLEST_EDGE_PX:
        factor = math.ceil(SMALLEST_EDGE_PX / longest)
        picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    return picture
