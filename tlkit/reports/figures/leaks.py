"""Draw how well the target is predicted from metadata, from the image, and from both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.reports.figures.canvas import EDGE, FAINT_INK, GRID, INK, RIGHT, TRAIN_LINE, WRONG, open_figure
from tlkit.reports.lettering import one_line, shorten_middle

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = tuple[str, float, float, float, str]
"""Label, score, lower and upper end of its interval, and a verdict or an empty string."""

LONGEST_LABEL = 40
ROW_INCHES = 0.28
LETTERS = 9.5
VERDICT_COLOURS = {
    "leaks": "#{:02x}{:02x}{:02x}".format(*WRONG),
    "helps": "#{:02x}{:02x}{:02x}".format(*RIGHT),
    "redundant": FAINT_INK,
    "harmless": TRAIN_LINE,
}
_STRENGTH_OF_PALE = 0.6


def draw_leaks(
    path: Path,
    *,
    alone: Sequence[Row],
    together: Sequence[Row],
    image: Sequence[Row],
    floor_name: str,
    quantity: str,
) -> None:
    """Draw a dot with an interval for each score, in three blocks, and a dashed line at 0, the baseline.

    Args:
        path: The PNG to write.
        alone: Each column by itself; its verdict gives the colour and is written in the right margin.
        together: Columns together, without verdicts. Both this and `alone` may be empty.
        image: First the image by itself, marked by a vertical line, then with columns; a row with a verdict is drawn in
            a paler shade of its colour.
        floor_name: Name of the baseline, such as "base rates".
        quantity: What the scores are; 1 is perfect.
    """
    blocks = [("A column alone", alone), ("Columns together", together), ("The image", image)]
    rows = [*alone, *together, *image]
    with open_figure(path) as figure:
        axes = figure.subplots()
        ticks: list[tuple[float, str]] = []
        height = 0.0
        for title, members in blocks:
            if members:
                _write_title(axes, height, title)
                for row in members:
                    height += 1.0
                    _draw_row(axes, height, row, is_pale=members is image)
                    ticks.append((height, shorten_middle(one_line(row[0]), LONGEST_LABEL)))
                height += 1.6
        figure.set_size_inches(9.0, 0.7 + ROW_INCHES * height)
        axes.set_yticks([place for place, _ in ticks], [label for _, label in ticks], fontsize=LETTERS)
        axes.set_ylim(height - 0.9, -0.7)
        axes.set_xlim(min(0.0, *(row[2] for row in rows)) - 0.04, max(1.0, *(row[3] for row in rows)) + 0.02)
        axes.set_xlabel(quantity, color=INK, fontsize=10)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        _draw_floor(axes, floor_name)
        axes.plot([image[0][1]] * 2, [height - 0.6 - len(image), height - 1.1], color=EDGE, linewidth=1.0, zorder=1)


def _write_title(axes: Axes, height: float, title: str) -> None:
    axes.annotate(
        title,
        xy=(0, height),
        xycoords=axes.get_yaxis_transform(),
        xytext=(-4, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize=LETTERS,
        fontweight="bold",
        color=INK,
    )


def _draw_row(axes: Axes, height: float, row: Row, *, is_pale: bool) -> None:
    _, value, low, high, verdict = row
    full = VERDICT_COLOURS.get(verdict, INK)
    colour = _blend_with_white(full) if verdict and is_pale else full
    axes.axhline(height, color=GRID, linewidth=0.6, zorder=0)
    axes.plot([low, high], [height, height], color=colour, linewidth=2.4, solid_capstyle="round", zorder=3)
    axes.plot([value], [height], "o", color=colour, markersize=7, markeredgecolor="white", zorder=4)
    if verdict and not is_pale:
        axes.annotate(
            verdict,
            xy=(1, height),
            xycoords=axes.get_yaxis_transform(),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=LETTERS,
            fontweight="bold" if verdict == "leaks" else "normal",
            color=FAINT_INK if verdict == "harmless" else full,
        )


def _draw_floor(axes: Axes, name: str) -> None:
    axes.axvline(0.0, color=INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=2)
    left, right = axes.get_xlim()
    place = (0.0 - left) / (right - left)
    axes.annotate(
        name,
        xy=(0.0, 1.0),
        xycoords=axes.get_xaxis_transform(),
        xytext=(0, 4),
        textcoords="offset points",
        ha="left" if place < 0.1 else "right" if place > 0.9 else "center",
        va="bottom",
        fontsize=9,
        color=INK,
    )


def _blend_with_white(colour: str) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    red, green, blue = (1 - _STRENGTH_OF_PALE * (1 - part) for part in to_rgb(colour))
    return red, green, blue
