"""Draw a reliability diagram: accuracy by confidence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tlkit.reports.figures.canvas import EDGE, GRID, INK, RIGHT, open_figure

Row = tuple[float, float, float, float, int]
"""Mean confidence, accuracy, lower and upper end of its interval, and number of images or boxes."""


def draw_reliability(
    path: Path,
    rows: Sequence[Row],
    *,
    error: float,
    confidence: str = "confidence: probability of the predicted class",
    accuracy: str = "accuracy",
    noun: str = "images",
) -> None:
    """Draw a dot with an interval for each bin, and the diagonal on which confidence equals accuracy.

    Args:
        path: The PNG to write.
        rows: Least confident first; all fractions 0..1.
        error: The expected calibration error, for the title.
        confidence: What the confidence is.
        accuracy: What the accuracy is.
        noun: What is counted, in the plural.
    """
    colour = "#{:02x}{:02x}{:02x}".format(*RIGHT)
    with open_figure(path) as figure:
        figure.set_size_inches(5.4, 5.4)
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=EDGE, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate("perfectly calibrated", (0.06, 0.09), rotation=45, fontsize=9, color=INK, rotation_mode="anchor")
        for place, height, low, high, _ in rows:
            axes.plot([place] * 2, [low, high], color=colour, linewidth=2.0, alpha=0.5, zorder=2)
            axes.plot([place], [height], "o", color=colour, markersize=6.5, markeredgecolor="white", zorder=3)
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)
        axes.set_aspect("equal")
        axes.grid(color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlabel(confidence, color=INK, fontsize=10)
        axes.set_ylabel(f"{accuracy}, 95% interval", color=INK, fontsize=10)
        number = sum(row[4] for row in rows)
        axes.set_title(f"expected calibration error {error:.3f}, {number:,} {noun}", color=INK, fontsize=10, loc="left")
