"""Draw a plan: the learning curve, the scores of the trial, and the cost of each strategy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.reports.console import format_duration
from tlkit.reports.figures.canvas import FAINT_INK, GRID, INK, RIGHT, STAGE_SHADE, WRONG, open_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Point = tuple[float, float, float, float]
"""Number of images, score, and lower and upper end of its interval."""
Score = tuple[str, float, float, float]
"""Name, score, and lower and upper end of its interval."""
StrategyParts = tuple[str, Sequence[tuple[str, float]]]
"""A strategy's name, and its parts in order: names and seconds."""

ADVISED = "#{:02x}{:02x}{:02x}".format(*RIGHT)
EXTRAPOLATED = "#{:02x}{:02x}{:02x}".format(*WRONG)
LETTERS = 9.5
SHARE_OF_A_LETTER = 0.009
"""Rough fraction of the bars' width."""
PART_SHADES = {"start": 0.25, "features": 0.55, "train": 1.0, "end": 0.25}


@dataclass(frozen=True)
class PlanScores:
    """The scores of a plan.

    Attributes:
        quantity: What they are, such as "accuracy"; 1 is perfect.
        scores: Scores of the probe and of the trial's models on held-out images.
        majority: The score of always predicting the most frequent target.
        measured: The learning curve.
        fitted: The power law, from the fewest images to beyond the available ones.
        num_now: Current number of training images.
        gain: The expected gain of twice as many, in words.
    """

    quantity: str
    scores: Sequence[Score]
    majority: float
    measured: Sequence[Point]
    fitted: Sequence[Point]
    num_now: int
    gain: str


def draw_plan(path: Path, *, strategies: Sequence[StrategyParts], advised: int, scores: PlanScores | None) -> None:
    """Draw the learning curve, the scores of the trial, and a bar for each strategy.

    Args:
        path: The PNG to write.
        strategies: Cheapest first.
        advised: Index of the recommended strategy, drawn in full colour.
        scores: None draws the bars alone.
    """
    with open_figure(path) as figure:
        bars_inches = 0.9 + 0.42 * len(strategies)
        if scores is None:
            figure.set_size_inches(10.5, bars_inches)
            _draw_strategies(figure.subplots(), strategies, advised)
            return
        figure.set_size_inches(10.5, 4.0 + bars_inches)
        rows = figure.add_gridspec(2, 1, height_ratios=(3.4, bars_inches - 0.5), hspace=0.32)
        upper = rows[0].subgridspec(1, 2, width_ratios=(1.35, 1), wspace=0.55)
        _draw_curve(figure.add_subplot(upper[0]), scores)
        _draw_scores(figure.add_subplot(upper[1]), scores)
        _draw_strategies(figure.add_subplot(rows[1]), strategies, advised)


def _draw_curve(axes: Axes, scores: PlanScores) -> None:
    sizes, values, lows, highs = zip(*scores.fitted, strict=True)
    axes.fill_between(sizes, lows, highs, color=EXTRAPOLATED, alpha=0.14, linewidth=0, zorder=1)
    axes.plot(sizes, values, color=EXTRAPOLATED, linewidth=1.6, zorder=2)
    for size, value, low, high in scores.measured:
        axes.plot([size] * 2, [low, high], color=ADVISED, linewidth=2.2, solid_capstyle="round", zorder=3)
        axes.plot([size], [value], "o", color=ADVISED, markersize=6.5, markeredgecolor="white", zorder=4)
    for number, text in ((scores.num_now, "now"), (2 * scores.num_now, "twice\nas many")):
        axes.axvline(number, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate(
            text,
            xy=(number, 0.0),
            xycoords=axes.get_xaxis_transform(),
            xytext=(-4, 6),
            textcoords="offset points",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
            ha="right",
            fontsize=8.5,
            color=INK,
        )
    axes.set_xscale("log")
    axes.set_xticks([size for size, *_ in scores.measured[::2]], minor=False)
    axes.xaxis.set_major_formatter(lambda number, _: f"{number:,.0f}")
    axes.minorticks_off()
    axes.set_xlabel("training images", color=INK, fontsize=10)
    axes.set_ylabel(scores.quantity, color=INK, fontsize=10)
    axes.grid(axis="y", color=GRID, linewidth=0.7)
    axes.set_title(f"Twice as many of the same images: {scores.gain}", fontsize=10.5, loc="left", color=INK)


def _draw_scores(axes: Axes, scores: PlanScores) -> None:
    for height, (_, value, low, high) in enumerate(scores.scores):
        axes.axhline(height, color=GRID, linewidth=0.6, zorder=0)
        axes.plot([low, high], [height] * 2, color=ADVISED, linewidth=2.4, solid_capstyle="round", zorder=3)
        axes.plot([value], [height], "o", color=ADVISED, markersize=7, markeredgecolor="white", zorder=4)
    lowest, highest = min(low for *_, low, _ in scores.scores), max(high for *_, high in scores.scores)
    margin = 0.1 * (highest - lowest) or 0.01
    is_near = scores.majority >= lowest - (highest - lowest)
    left = min(scores.majority, lowest) - margin if is_near else lowest - margin
    axes.set_xlim(left, highest + margin)
    if is_near:
        axes.axvline(scores.majority, color=INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=2)
    axes.annotate(
        f"majority {scores.majority:z.2f}" if is_near else f"majority {scores.majority:z.2f}, far to the left",
        xy=(scores.majority if is_near else left, 0.0),
        xycoords=axes.get_xaxis_transform(),
        xytext=(4, 4),
        textcoords="offset points",
        fontsize=8.5,
        color=INK,
    )
    names = [name.replace(" and ", "\nand ") for name, *_ in scores.scores]
    axes.set_yticks(range(len(names)), names, fontsize=LETTERS)
    axes.set_ylim(-0.9, len(names) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"{scores.quantity}, 95% interval", color=INK, fontsize=10)
    axes.set_title("Held-out images", fontsize=10.5, loc="left", color=INK)


def _draw_strategies(axes: Axes, strategies: Sequence[StrategyParts], advised: int) -> None:
    longest = max(sum(seconds for _, seconds in parts) for _, parts in strategies)
    unit, name = (60.0, "minutes") if longest >= 120 else (1.0, "seconds")
    for height, (_, parts) in enumerate(strategies):
        colour = ADVISED if height == advised else FAINT_INK
        if height == advised:
            axes.axhspan(height - 0.42, height + 0.42, color=STAGE_SHADE, linewidth=0, zorder=0)
        left = 0.0
        for part, seconds in parts:
            shade = PART_SHADES[part.split()[0]]
            axes.barh(
                height,
                seconds / unit,
                left=left / unit,
                height=0.5,
                color=colour,
                alpha=shade,
                edgecolor="white",
                zorder=2,
            )
            if seconds >= len(part) * SHARE_OF_A_LETTER * longest:
                axes.annotate(
                    part,
                    ((left + seconds / 2) / unit, height),
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if shade > 0.5 else INK,
                    zorder=3,
                )
            left += seconds
        axes.annotate(
            f"  {format_duration(left)}",
            (left / unit, height),
            va="center",
            fontsize=LETTERS,
            fontweight="bold" if height == advised else "normal",
            color=INK,
            annotation_clip=False,
        )
    labels = [f"{name} (advised)" if place == advised else name for place, (name, _) in enumerate(strategies)]
    axes.set_yticks(range(len(strategies)), labels, fontsize=LETTERS)
    axes.set_ylim(len(strategies) - 0.5, -0.5)
    axes.set_xlim(0, 1.12 * longest / unit)
    axes.set_xlabel(f"{name} if no stage stops early; pale: start-up, features and final steps", color=INK, fontsize=10)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
