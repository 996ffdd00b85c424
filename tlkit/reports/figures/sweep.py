"""Draw the loss of a learning rate sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.reports.figures.canvas import GRID, INK, TRAIN_LINE, VALIDATION_LINE, WRONG, open_figure
from tlkit.reports.rates import label_rates, write_rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARGIN = 0.1
"""Margin above and below, as a fraction of the span; single losses beyond are cut off."""
LINE_POINTS = 13
CHOSEN = "#{:02x}{:02x}{:02x}".format(*WRONG)


def draw_sweep(
    path: Path,
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    *,
    marks: Mapping[str, float],
    chosen: str,
) -> None:
    """Draw the smoothed loss over the log learning rate, the raw losses faintly, and the suggested rates.

    Args:
        path: The PNG to write.
        rates: Learning rate of each step, ascending, above 0; at least one.
        losses: Loss of each step, finite.
        smoothed: The smoothed losses.
        marks: Suggested rates by rule; may be empty.
        chosen: The rule whose rate is used.
    """
    with open_figure(path) as figure:
        figure.set_size_inches(8.5, 4.6)
        axes = figure.subplots()
        axes.plot(rates, losses, color=TRAIN_LINE, linewidth=0.8, alpha=0.65, label="each step's loss", zorder=2)
        axes.plot(rates, smoothed, color=VALIDATION_LINE, linewidth=2.2, label="smoothed", zorder=3)
        axes.set_xscale("log")
        axes.set_xlim(rates[0], max(rates[-1], 10 * rates[0]))
        low, high = min(*losses, *smoothed), max(smoothed)
        axes.set_ylim(low - MARGIN * (high - low or 1), high + MARGIN * (high - low or 1))
        _mark_rates(axes, rates, smoothed, marks, chosen)
        label_rates(axes.xaxis)
        axes.set_xlabel("learning rate of the head", color=INK, fontsize=10)
        axes.set_ylabel("training loss", color=INK, fontsize=10)
        axes.grid(axis="y", color=GRID, linewidth=0.7)
        axes.legend(loc="lower left", fontsize=9, frameon=True, framealpha=0.85, edgecolor="none")


def _mark_rates(
    axes: Axes, rates: Sequence[float], smoothed: Sequence[float], marks: Mapping[str, float], chosen: str
) -> None:
    """Mark each suggestion with a dot and a vertical line; labels are staggered so that they do not overlap."""
    rules: dict[float, list[str]] = {}
    for rule, rate in sorted(marks.items(), key=lambda item: item[1]):
        rules.setdefault(rate, []).append(rule)
    for level, (rate, names) in enumerate(reversed(rules.items())):
        is_chosen = chosen in names
        colour = CHOSEN if is_chosen else INK
        nearest = min(range(len(rates)), key=lambda step: abs(rates[step] - rate))
        axes.axvline(rate, color=colour, linewidth=1.4 if is_chosen else 0.9, linestyle=(0, (4, 3)), zorder=1.5)
        axes.plot([rate], [smoothed[nearest]], "o", color=colour, markersize=8, markeredgecolor="white", zorder=5)
        axes.annotate(
            f"{', '.join(names)}: {write_rate(rate)}",
            xy=(rate, 1.0),
            xycoords=axes.get_xaxis_transform(),
            xytext=(0, 5 + LINE_POINTS * level),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            fontweight="bold" if is_chosen else "normal",
            color=colour,
        )
