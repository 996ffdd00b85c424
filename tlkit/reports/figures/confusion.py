"""Draw a confusion matrix.

It is drawn with Pillow in half a second; at 200 classes, matplotlib needs half a minute to lay out the 400 labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tlkit.files import written_aside
from tlkit.reports.figures.canvas import FAINT_INK, GRID, INK, RIGHT, WRONG
from tlkit.reports.lettering import load_font, one_line, shorten_middle

MAX_CLASSES_DRAWN = 200
MAX_CLASSES_WITH_COUNTS = 60
LONGEST_NAME = 32
MARGIN_PX = 24
GAP_PX = 8


def draw_confusion_matrix(path: Path, confusion: NDArray[np.integer[Any]], class_names: Sequence[str]) -> None:
    """Draw a confusion matrix: rows are true classes, columns predicted ones.

    A cell's colour depth is its fraction of the row; the diagonal is blue, mistakes are orange. Up to 60 classes, cells
    contain counts. Of more than 200 classes, the 200 with the most mistakes are drawn.

    Args:
        path: The PNG to write.
        confusion: Integer (classes, classes), 0 or more: images by (true class, predicted class).
        class_names: The name of each class, in label order.
    """
    shown = _choose_classes(confusion)
    supports = confusion.sum(axis=1)
    fractions = confusion / np.maximum(supports[:, None], 1)
    names = [shorten_middle(one_line(class_names[label]), LONGEST_NAME) for label in shown]
    row_names = [f"{name}  ({supports[label]:,})" for name, label in zip(names, shown, strict=True)]

    cell_px = _choose_cell_px(len(shown))
    letters_px = int(np.clip(cell_px * 0.62, 11, 15))
    row_labels = [_draw_label(name, letters_px) for name in row_names]
    column_labels = _draw_column_labels(names, letters_px, cell_px)
    title_px = int(np.clip(cell_px * len(shown) / 90, 17, 32))
    title = _draw_label(_describe(confusion, num_shown=len(shown)), title_px)
    row_title = _draw_label("true class (images)", title_px - 3, colour=FAINT_INK).rotate(90, expand=True)
    column_title = _draw_label("predicted class", title_px - 3, colour=FAINT_INK)

    # If the matrix is taller than a screen, the column names are repeated above it.
    above = len(shown) > 30
    edge_px = cell_px * len(shown)
    left = MARGIN_PX + row_title.width + GAP_PX + max(label.width for label in row_labels) + GAP_PX
    label_band = max(label.height for label in column_labels) + GAP_PX
    top = MARGIN_PX + title.height + 2 * GAP_PX + (label_band if above else 0)
    width = max(left + edge_px, MARGIN_PX + title.width) + MARGIN_PX
    height = top + edge_px + label_band + GAP_PX + column_title.height + MARGIN_PX
    sheet = Image.new("RGB", (width, height), "white")

    sheet.paste(_draw_cells(confusion[np.ix_(shown, shown)], fractions[np.ix_(shown, shown)], cell_px), (left, top))
    for place, label in enumerate(row_labels):
        sheet.paste(label, (left - GAP_PX - label.width, top + place * cell_px + (cell_px - label.height) // 2))
    for place, label in enumerate(column_labels):
        middle = left + place * cell_px + (cell_px - label.width) // 2
        sheet.paste(label, (middle, top + edge_px + GAP_PX))
        if above:
            sheet.paste(label, (middle, top - GAP_PX - label.height))
    sheet.paste(title, (max(MARGIN_PX, min(left, width - MARGIN_PX - title.width)), MARGIN_PX))
    sheet.paste(row_title, (MARGIN_PX, top + (edge_px - row_title.height) // 2))
    sheet.paste(column_title, (left + (edge_px - column_title.width) // 2, height - MARGIN_PX - column_title.height))
    with written_aside(path) as file:
        sheet.save(file, format="PNG")


def _choose_classes(confusion: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    if len(confusion) <= MAX_CLASSES_DRAWN:
        return np.arange(len(confusion))
    mistakes = confusion.sum(axis=1) + confusion.sum(axis=0) - 2 * np.diag(confusion)
    return np.sort(np.argsort(-mistakes, kind="stable")[:MAX_CLASSES_DRAWN])


def _describe(confusion: NDArray[np.integer[Any]], *, num_shown: int) -> str:
    num_right, num_images = int(np.trace(confusion)), int(confusion.sum())
    text = f"{num_right:,} of {num_images:,} images right ({num_right / max(1, num_images):.1%})"
    if num_shown < len(confusion):
        text += f"; shown: the {num_shown} of {len(confusion):,} classes with the most mistakes"
    return text


def _choose_cell_px(num_classes: int) -> int:
    return round(float(np.interp(num_classes, [2, 6, 12, 30, 60, 120, 200], [130, 84, 66, 46, 32, 22, 18])))


def _draw_label(text: str, letters_px: int, *, colour: str = INK) -> Image.Image:
    """Return the text, of one or more lines, centred on a white image of its size."""
    font = load_font(text, letters_px)
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    right, bottom = pen.multiline_textbbox((0, 0), text, font=font, spacing=2)[2:]
    label = Image.new("RGB", (max(1, round(right)), max(round(bottom), letters_px + 2)), "white")
    ImageDraw.Draw(label).multiline_text((0, 0), text, font=font, fill=colour, spacing=2, align="center")
    return label


def _draw_column_labels(names: Sequence[str], letters_px: int, cell_px: int) -> list[Image.Image]:
    """Return the names wrapped to up to three lines if all fit above a cell, else rotated by 90 degrees."""
    wrapped = [_wrap_name(name, load_font(name, letters_px), cell_px - 6) for name in names]
    if all(wrapped):
        return [_draw_label(name, letters_px) for name in wrapped]
    return [_draw_label(name, letters_px).rotate(90, expand=True) for name in names]


def _wrap_name(name: str, font: ImageFont.FreeTypeFont, width_px: int) -> str:
    """Wrap the name to up to three lines of whole words; return an empty string if it does not fit."""
    lines: list[str] = []
    for word in name.split(" "):
        if lines and font.getlength(f"{lines[-1]} {word}") <= width_px:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines) if len(lines) <= 3 and all(font.getlength(line) <= width_px for line in lines) else ""


def _draw_cells(counts: NDArray[np.integer[Any]], fractions: NDArray[np.floating[Any]], cell_px: int) -> Image.Image:
    colours = (255 * _colour_cells(fractions)).round().astype(np.uint8)
    cells = Image.fromarray(colours.repeat(cell_px, axis=0).repeat(cell_px, axis=1))
    pen = ImageDraw.Draw(cells)
    edge_px = cell_px * len(counts)
    for line in range(len(counts) + 1):
        at = min(line * cell_px, edge_px - 1)
        pen.line([(at, 0), (at, edge_px)], fill=GRID)
        pen.line([(0, at), (edge_px, at)], fill=GRID)
    if len(counts) <= MAX_CLASSES_WITH_COUNTS:
        widest = f"{counts.max():,}"
        fitting = [size for size in range(8, 18) if load_font(widest, size).getlength(widest) <= cell_px - 6]
        font = load_font(widest, max(fitting, default=8))
        for row, column in np.argwhere(counts):
            middle = ((column + 0.5) * cell_px, (row + 0.5) * cell_px)
            colour = "white" if fractions[row, column] > 0.35 else INK
            pen.text(middle, f"{counts[row, column]:,}", font=font, fill=colour, anchor="mm")
    return cells


def _colour_cells(fractions: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return float RGB (classes, classes, 3), 0..1, for fractions 0..1; small mistakes stay visible on white."""
    hue = np.full((*fractions.shape, 3), WRONG) / 255
    hue[np.eye(len(fractions), dtype=bool)] = np.array(RIGHT) / 255
    depth = np.where(fractions > 0, 0.08 + 0.92 * fractions**0.55, 0.0)[..., None]
    return 1 - depth * (1 - hue)
