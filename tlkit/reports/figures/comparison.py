"""Draw candidates by score and cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.reports.figures.canvas import GRID, INK, RIGHT, TRAIN_LINE, open_figure
from tlkit.reports.lettering import one_line, shorten_middle

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = tuple[str, float, float, float, float, bool]
"""Name, score, lower and upper end of its interval, seconds, and whether it is behind the first."""

LONGEST_LABEL = 40
ROW_INCHES = 0.34
LETTERS = 9.5
LEVEL = "#{:02x}{:02x}{:02x}".format(*RIGHT)


def draw_comparison(path: Path, rows: Sequence[Row], *, quantity: str, cost: str, majority: float | None) -> None:
    """Draw a dot with an interval for each candidate, and a bar for its seconds.

    Args:
        path: The PNG to write.
        rows: Highest score first. Rows behind the first are drawn faintly.
        quantity: What the scores are, such as "accuracy"; 1 is perfect.
        cost: What the seconds are for, such as "for 1,000 images".
        majority: Score of always predicting the most frequent target: a dashed line, or an arrow if it is far left. None
            where no target is the most frequent.
    """
    with open_figure(path) as figure:
        figure.set_size_inches(9.5, 1.0 + ROW_INCHES * len(rows))
        scores, costs = figure.subplots(1, 2, sharey=True, gridspec_kw={"width_ratios": (2, 1), "wspace": 0.08})
        for height, (_, value, low, high, seconds, is_behind) in enumerate(rows):
            colour = TRAIN_LINE if is_behind else LEVEL
            scores.axhline(height, color=GRID, linewidth=0.6, zorder=0)
            scores.plot([low, high], [height] * 2, color=colour, linewidth=2.4, solid_capstyle="round", zorder=3)
            scores.plot([value], [height], "o", color=colour, markersize=7, markeredgecolor="white", zorder=4)
            costs.barh(height, seconds, height=0.45, color=colour, alpha=0.75, zorder=2)
            costs.annotate(
                f" {seconds:.1f}", (seconds, height), va="center", fontsize=LETTERS, color=INK, annotation_clip=False
            )
        left, right = choose_limits(rows, majority)
        scores.set_xlim(left, right)
        if majority is not None:
            _mark_majority(scores, left, majority)
        labels = [shorten_middle(one_line(row[0]), LONGEST_LABEL) for row in rows]
        scores.set_yticks(range(len(rows)), labels, fontsize=LETTERS)
        scores.set_ylim(len(rows) - 0.4, -0.6)
        _finish(scores, f"{quantity}, 95% interval")
        _finish(costs, f"seconds {cost}")
        costs.set_xlim(0, 1.15 * max(row[4] for row in rows))


def _mark_majority(scores: Axes, left: float, majority: float) -> None:
    """Draw a dashed line, or an arrow if it is left of the axis, which begins at `left`."""
    is_far = majority < left
    if not is_far:
        scores.axvline(majority, color=INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=2)
    scores.annotate(
        f"\N{LEFTWARDS ARROW} majority {majority:z.2f}" if is_far else f"majority {majority:z.2f}",
        xy=(left if is_far else majority, 1.0),
        xycoords=scores.get_xaxis_transform(),
        xytext=(0, 4),
        textcoords="offset points",
        ha="left" if is_far else "center",
        fontsize=9,
        color=INK,
    )


def choose_limits(rows: Sequence[Row], majority: float | None) -> tuple[float, float]:
    """Return the limits of the score axis: all intervals, and the majority unless that would squeeze them.

    Args:
        rows: At least one.
        majority: Any score, or None.
    """
    low, high = min(row[2] for row in rows), max(row[3] for row in rows)
    width = max(high - low, 0.01)
    if majority is not None:
        low = min(low, majority) if low - width <= majority else low
        high = max(high, majority)
    margin = 0.06 * max(high - low, 0.01)
    return low - margin, high + margin


def _finish(axes: Axes, title: str) -> None:
    axes.set_xlabel(title, color=INK, fontsize=10)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
