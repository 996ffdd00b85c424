"""Draw the scores of detections: precision by recall, F1 by score, kinds of mistakes, and sizes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tlkit.reports.figures.canvas import EDGE, FAINT_INK, GRID, INK, RIGHT, TRAIN_LINE, WRONG, open_figure
from tlkit.reports.frames import choose_colour
from tlkit.reports.lettering import one_line, shorten_middle

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_CLASSES_NAMED = 10
LONGEST_NAME = 24
_BAR = 0.62
_DARKER = 0.8


def draw_precision_recall(
    path: Path,
    class_names: Sequence[str],
    recalls: NDArray[np.floating[Any]],
    precision: NDArray[np.floating[Any]],
    areas: Sequence[float | None],
) -> None:
    """Draw a curve for each class, and their mean.

    Of more than ten classes, all curves are grey, and only the mean is named.

    Args:
        path: The PNG to write.
        class_names: Name of each class.
        recalls: Float (r,), 0..1, ascending.
        precision: Float (classes, r), 0..1; NaN for classes without objects. At least one class has some.
        areas: The AP50 of each class; None without objects.
    """
    named = [
        f"{_shorten(name)}  {0 if area is None else area:.3f}" for name, area in zip(class_names, areas, strict=True)
    ]
    defined = [area for area in areas if area is not None]
    title = f"mAP@.5 {sum(defined) / len(defined):.3f}: precision by recall at an IoU of 0.5"
    with open_figure(path) as figure:
        figure.set_size_inches(6.2, 5.2)
        axes = figure.subplots()
        _draw_lines(axes, named, recalls, precision, mean_name="mean")
        _finish(axes, title, x="recall: share of the objects found", y="precision: share of the boxes that are right")


def draw_detection_f1(
    path: Path,
    class_names: Sequence[str],
    thresholds: NDArray[np.floating[Any]],
    f1: NDArray[np.floating[Any]],
    chosen: Sequence[tuple[float, float | None]],
) -> None:
    """Draw F1 by the score from which boxes are shown, for each class, with a dot at the chosen threshold.

    Args:
        path: The PNG to write.
        class_names: Name of each class.
        thresholds: Float (t,), 0..1, ascending.
        f1: Float (classes, t), 0..1; NaN for classes without objects.
        chosen: The threshold of each class, and F1 there; None if undefined.
    """
    with open_figure(path) as figure:
        figure.set_size_inches(6.2, 5.2)
        axes = figure.subplots()
        is_many = len(class_names) > MAX_CLASSES_NAMED
        names = [f"{_shorten(name)}  from {at:.2f}" for name, (at, _) in zip(class_names, chosen, strict=True)]
        _draw_lines(axes, names, thresholds, f1, mean_name="mean")
        for label, (at, height) in enumerate(chosen):
            if height is not None and not np.isnan(f1[label]).all():
                colour = TRAIN_LINE if is_many else _choose_ink(label)
                axes.plot([at], [height], "o", color=colour, markersize=6.5, markeredgecolor="white", zorder=4)
        _finish(axes, "F1 by the score from which boxes are shown, dots: the thresholds", x="score", y="F1")


def draw_detection_mistakes(path: Path, names: Sequence[str], numbers: Sequence[int], gains: Sequence[float]) -> None:
    """Draw how many mistakes of each kind there are, and what AP50 would gain without them.

    Args:
        path: The PNG to write.
        names: Names of the kinds, at least one.
        numbers: Number of mistakes of each.
        gains: AP50 gained, -1..1.
    """
    with open_figure(path) as figure:
        figure.set_size_inches(8.0, 0.42 * len(names) + 0.9)
        left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"wspace": 0.12})
        titles = ("mistakes at the thresholds", "AP50 gained without them, whatever the score")
        texts = [f"{number:,}" for number in numbers], [f"{gain:+z.3f}" for gain in gains]
        for axes, values, cells, title, colour in zip(
            (left, right), (numbers, gains), texts, titles, (WRONG, RIGHT), strict=True
        ):
            axes.barh(range(len(names)), values, height=_BAR, color=_to_hex(colour), zorder=2)
            span = max(max(values, default=0), 0) or 1
            axes.set_xlim(min(0, *values), span * 1.22)
            for row, (value, cell) in enumerate(zip(values, cells, strict=True)):
                axes.text(max(value, 0) + span * 0.02, row, cell, va="center", fontsize=9, color=INK)
            axes.set_title(title, loc="left", fontsize=10, color=INK)
            _clear(axes)
        left.set_yticks(range(len(names)), list(names))
        left.set_ylim(len(names) - 0.5, -0.5)
        left.tick_params(axis="y", length=0, labelsize=9)


def draw_detection_sizes(path: Path, rows: Sequence[tuple[str, float | None, float | None, int]]) -> None:
    """Draw AP50 and AP of small, medium and large objects.

    Args:
        path: The PNG to write.
        rows: Name, AP50 and AP, 0..1 (None without objects), and number of objects of each size.
    """
    with open_figure(path) as figure:
        figure.set_size_inches(6.2, 3.6)
        axes = figure.subplots()
        for offset, number, name, colour in ((-0.2, 1, "AP50", RIGHT), (0.2, 2, "AP50-95", WRONG)):
            values: list[Any] = [row[number] for row in rows]
            heights = [value or 0.0 for value in values]
            places = [row + offset for row in range(len(rows))]
            axes.bar(places, heights, width=0.36, color=_to_hex(colour), label=name, zorder=2)
            for place, value in zip(places, values, strict=True):
                text = "-" if value is None else f"{value:.3f}"
                axes.text(place, (value or 0) + 0.015, text, ha="center", fontsize=9, color=INK)
        axes.set_xticks(range(len(rows)), [f"{name}\n{number:,} objects" for name, _, _, number in rows])
        axes.set_ylim(0, 1.06)
        axes.tick_params(axis="x", length=0, labelsize=9)
        axes.grid(axis="y", color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)
        axes.set_title("average precision by size of the objects", loc="left", fontsize=10, color=INK)


def _draw_lines(
    axes: Axes,
    names: Sequence[str],
    places: NDArray[np.floating[Any]],
    values: NDArray[np.floating[Any]],
    *,
    mean_name: str,
) -> None:
    is_many = len(names) > MAX_CLASSES_NAMED
    defined = [label for label in range(len(names)) if not np.isnan(values[label]).any()]
    for label in defined:
        style = {"color": TRAIN_LINE, "alpha": 0.5, "linewidth": 0.9} if is_many else _style_line(label, names[label])
        axes.plot(places, values[label], zorder=2, **style)
    if len(defined) > 1:
        axes.plot(places, values[defined].mean(axis=0), color=INK, linewidth=2.4, label=mean_name, zorder=3)


def _style_line(label: int, name: str) -> dict[str, Any]:
    return {"color": _choose_ink(label), "linewidth": 1.6, "label": name}


def _finish(axes: Axes, title: str, *, x: str, y: str) -> None:
    axes.set_xlim(0, 1.005)
    axes.set_ylim(0, 1.03)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(x, color=INK, fontsize=10)
    axes.set_ylabel(y, color=INK, fontsize=10)
    axes.set_title(title, color=INK, fontsize=10, loc="left")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=9)


def _clear(axes: Axes) -> None:
    axes.spines["bottom"].set_visible(False)
    axes.spines["left"].set_color(EDGE)
    axes.tick_params(axis="x", length=0, labelbottom=False, color=FAINT_INK)
    axes.tick_params(axis="y", length=0)


def _choose_ink(label: int) -> str:
    """Return the colour of a class in overlays, darker, for thin lines on white."""
    red, green, blue = (round(_DARKER * part) for part in choose_colour(label))
    return _to_hex((red, green, blue))


def _shorten(name: str) -> str:
    return shorten_middle(one_line(name), LONGEST_NAME)


def _to_hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
