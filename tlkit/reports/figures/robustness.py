"""Draw how accuracy falls with the size of a change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tlkit.reports.figures.canvas import GRID, INK, RIGHT, TRAIN_LINE, WRONG, open_figure

_COLOURS = (TRAIN_LINE, "#{:02x}{:02x}{:02x}".format(*RIGHT), "#{:02x}{:02x}{:02x}".format(*WRONG))


def draw_robustness(
    path: Path, distances: Sequence[int], accuracies: Mapping[str, Sequence[tuple[float, float, float]]], clean: float
) -> None:
    """Draw a line with intervals for each of up to three kinds of change.

    Args:
        path: The PNG to write.
        distances: Sizes of the change, of 0..255, ascending.
        accuracies: By kind: accuracy, 0..1, at each distance, with the ends of its interval.
        clean: Accuracy without a change.
    """
    with open_figure(path) as figure:
        figure.set_size_inches(7.5, 4.2)
        axes = figure.subplots()
        for (name, rows), colour in zip(accuracies.items(), _COLOURS, strict=False):
            values = [clean, *(row[0] for row in rows)]
            axes.plot([0, *distances], values, "o-", color=colour, linewidth=2, markersize=5, label=name, zorder=3)
            axes.vlines(
                distances, [row[1] for row in rows], [row[2] for row in rows], color=colour, linewidth=1.2, alpha=0.6
            )
        axes.set_xticks([0, *distances])
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel("largest change of a colour, of 255", color=INK, fontsize=10)
        axes.set_ylabel("accuracy, 95% interval", color=INK, fontsize=10)
        axes.grid(axis="y", color=GRID, linewidth=0.7)
        axes.legend(loc="best", fontsize=9, frameon=True, framealpha=0.85, edgecolor="none")
