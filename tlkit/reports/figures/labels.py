"""Draw the scores of each label."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.reports.figures.canvas import EDGE, FAINT_INK, GRID, INK, VALIDATION_LINE, open_figure
from tlkit.reports.lettering import one_line, shorten_middle

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_LABELS_DRAWN = 60
LONGEST_NAME = 32
WIDTH_INCHES = 7.0
ROW_INCHES = 0.27


def draw_labels(
    path: Path,
    label_names: Sequence[str],
    ap: Sequence[float | None],
    support: Sequence[int],
    precision: Sequence[float | None],
    recall: Sequence[float | None],
) -> None:
    """Draw one row per label, best first: average precision, precision, recall, and the number of images.

    Of more than 60 labels, the 60 with the lowest average precision are drawn. Labels without one are at the bottom and
    are left out first.

    Args:
        path: The PNG to write.
        label_names: The name of each label; at least one.
        ap: Average precision of each, 0..1; None if no image has the label.
        support: Number of images with each label.
        precision: Precision of each, 0..1; None if undefined.
        recall: Recall of each, 0..1; None if undefined.
    """
    shown = _choose_labels(ap)
    with open_figure(path) as figure:
        figure.set_size_inches(WIDTH_INCHES, ROW_INCHES * (len(shown) + 1))
        axes = figure.subplots()
        figure.subplots_adjust(left=0, bottom=0, right=1, top=1)
        _rule_rows(axes, [ap[label] for label in shown])
        _mark(axes, [precision[label] for label in shown], "precision", marker="|", size=90, colour=FAINT_INK)
        _mark(axes, [recall[label] for label in shown], "recall", marker="x", size=28, colour=FAINT_INK)
        _mark(axes, [ap[label] for label in shown], "average precision", marker="o", size=52, colour=VALIDATION_LINE)
        _write_rows(
            axes,
            [label_names[label] for label in shown],
            [ap[label] for label in shown],
            [support[label] for label in shown],
        )
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=2.6, ncols=3, fontsize=9, frameon=False)
        _write_above(axes, 0, _describe(ap, num_shown=len(shown)), fontsize=11, color=INK)


def _choose_labels(ap: Sequence[float | None]) -> list[int]:
    """Return the labels to draw, best first, those without a score last."""
    defined = [(value, label) for label, value in enumerate(ap) if value is not None]
    ranked = [label for _, label in sorted(defined, key=lambda pair: (-pair[0], pair[1]))][-MAX_LABELS_DRAWN:]
    undefined = [label for label, value in enumerate(ap) if value is None]
    return ranked + undefined[: MAX_LABELS_DRAWN - len(ranked)]


def _describe(ap: Sequence[float | None], *, num_shown: int) -> str:
    defined = [value for value in ap if value is not None]
    mean = f"{sum(defined) / len(defined):.3f}" if defined else "-"
    text = f"mAP {mean} over {len(defined):,} label{'' if len(defined) == 1 else 's'}"
    return text if num_shown == len(ap) else f"{text}; shown: the {num_shown} of {len(ap):,} with the lowest AP"


def _rule_rows(axes: Axes, ap: Sequence[float | None]) -> None:
    for row, value in enumerate(ap):
        axes.plot([0, 1], [row, row], color=GRID, linewidth=0.7, zorder=1)
        if value is not None:
            axes.plot([0, value], [row, row], color=VALIDATION_LINE, linewidth=1.4, alpha=0.35, zorder=1.5)


def _mark(axes: Axes, values: Sequence[float | None], name: str, *, marker: str, size: float, colour: str) -> None:
    places = [math.nan if value is None else value for value in values]
    axes.scatter(places, range(len(places)), s=size, c=colour, marker=marker, label=name, clip_on=False, zorder=2)


def _write_rows(axes: Axes, names: Sequence[str], ap: Sequence[float | None], support: Sequence[int]) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), [shorten_middle(one_line(name), LONGEST_NAME) for name in names])
    axes.tick_params(axis="y", length=0, labelsize=9)
    axes.tick_params(axis="x", labelsize=9, color=EDGE)
    axes.grid(axis="x", color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    for spine in ("left", "bottom"):
        axes.spines[spine].set_visible(False)
    figures = ["-" if value is None else f"{value:.3f}" for value in ap]
    for place, title, cells in ((1.1, "AP", figures), (1.23, "images", [f"{number:,}" for number in support])):
        _write_above(axes, place, title, ha="right", fontsize=9, color=FAINT_INK)
        for row, cell in enumerate(cells):
            axes.text(place, row, cell, ha="right", va="center", fontsize=9, color=INK)


def _write_above(axes: Axes, place: float, text: str, **style: Any) -> None:
    axes.annotate(
        text, (place, 1), xycoords="axes fraction", xytext=(0, 8), textcoords="offset points", va="baseline", **style
    )
