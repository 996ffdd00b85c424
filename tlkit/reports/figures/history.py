"""Draw the training history over all stages of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkit.outputs import QUANTITIES
from tlkit.reports.figures.canvas import EDGE, GRID, INK, STAGE_SHADE, TRAIN_LINE, VALIDATION_LINE, open_figure
from tlkit.reports.lettering import one_line, shorten_middle
from tlkit.reports.rates import label_rates

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONGEST_NAME = 32
LONGEST_GROUP = 14
FAINT_LINE = "#a9c6e3"
SHOWN_BELOW_PEAK = 100
"""Rates are drawn down to this fraction of the lowest group's peak, since a half cosine ends near zero."""


Course = Mapping[str, Sequence[float]]
"""The learning rate of each layer group over a stage, from the lowest group to the head, at evenly spaced steps."""


def draw_history(path: Path, rows: Sequence[Mapping[str, Any]], courses: Sequence[Course]) -> None:
    """Draw the score (and IoU), loss and learning rate by epoch.

    Stages are named ranges, and the epoch whose weights were kept is ringed.

    Args:
        path: The PNG to write.
        rows: One mapping an epoch, in order: stage (str), epoch (1-based, counted over the run), stage_epoch
            (1-based, counted over the stage), learning_rate, train_loss, validation_loss, the same of each score, such
            as train_accuracy, which may be missing for training (numbers; None, "" or NaN where there is none), is_best (truth). At least one row. The
            last row with `is_best` is the kept one.
        courses: The learning rates of each stage in `rows`, in order.
    """
    figures = [name.removeprefix("validation_") for name in rows[0] if name.startswith("validation_")]
    scores = [name for name in figures if name != "loss"]
    epochs = [int(row["epoch"]) for row in rows]
    kept = max((index for index, row in enumerate(rows) if row["is_best"]), default=None)
    with open_figure(path) as figure:
        figure.set_size_inches(min(16.0, 8 + 0.06 * len(rows)), 2.2 + 2.7 * len(figures))
        heights = [*(4 for _ in figures), 2.4]
        panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, gridspec_kw={"hspace": 0.12})
        for axes, quantity in zip(panels[:-1], (*scores, "loss"), strict=True):
            _draw_course(axes, epochs, rows, quantity)
            if kept is not None:
                height = _as_number(rows[kept][f"validation_{quantity}"])
                axes.plot([epochs[kept]], [height], "o", markersize=10, fillstyle="none", color=INK, label="kept")
        _draw_learning_rates(panels[-1], _find_stages(rows), courses)
        panels[-1].set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
        _mark_stages(panels, rows)
        # The loss is measured in training, too, which not every score is.
        lines = panels[-2].get_legend_handles_labels()
        panels[0].legend(*lines, loc="lower right", fontsize=9, frameon=True, framealpha=0.85, edgecolor="none")
        figure.align_ylabels(panels)


def _draw_course(axes: Axes, epochs: Sequence[int], rows: Sequence[Mapping[str, Any]], quantity: str) -> None:
    for split, colour in (("train", TRAIN_LINE), ("validation", VALIDATION_LINE)):
        if f"{split}_{quantity}" not in rows[0]:
            continue
        values = [_as_number(row[f"{split}_{quantity}"]) for row in rows]
        axes.plot(epochs, values, color=colour, label=split, linewidth=1.8, marker=".", markersize=6)
    axes.set_ylabel(QUANTITIES[quantity], color=INK, fontsize=10)
    axes.margins(y=0.1)
    axes.grid(axis="y", color=GRID, linewidth=0.7)


def _draw_learning_rates(axes: Axes, stages: Sequence[tuple[str, int, int]], courses: Sequence[Course]) -> None:
    """Draw a line for each layer group, from the palest for the lowest group to the darkest for the head."""
    from matplotlib.ticker import MaxNLocator

    groups = max((list(course) for course in courses), key=len)
    colours = dict(zip(groups, _blend(FAINT_LINE, VALIDATION_LINE, len(groups)), strict=True))
    for (_, first, last), course in zip(stages, courses, strict=True):
        for group, rates in course.items():
            steps = (np.arange(len(rates)) + 0.5) / len(rates)
            axes.plot(first - 0.5 + steps * (last - first + 1), rates, color=colours[group], linewidth=1.4)
    axes.set_ylabel("learning rate", color=INK, fontsize=10)
    axes.set_xlabel("epoch", color=INK, fontsize=10)
    peaks = [peak for course in courses for rates in course.values() if (peak := max(rates)) > 0]
    if peaks:
        axes.set_yscale("log")
        axes.set_ylim(min(peaks) / SHOWN_BELOW_PEAK, max(peaks) * 2)
        label_rates(axes.yaxis)
    axes.grid(axis="y", color=GRID, linewidth=0.7)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(groups) > 1:
        _name_groups(axes, colours)


def _name_groups(axes: Axes, colours: Mapping[str, str]) -> None:
    """Label the layer groups beside the panel in the colours of their lines, with the head at the top."""
    for place, (group, colour) in enumerate(reversed(list(colours.items()))):
        axes.annotate(
            shorten_middle(one_line(group), LONGEST_GROUP),
            xy=(1.0, 1.0),
            xycoords="axes fraction",
            xytext=(6, -10 * place),
            textcoords="offset points",
            va="top",
            fontsize=8,
            color=colour,
        )


def _blend(low: str, high: str, number: int) -> list[str]:
    """Return colours from near `low` to `high`; a single one is `high`."""
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    scale = LinearSegmentedColormap.from_list("groups", [low, high])
    return [to_hex(scale((place + 1) / number)) for place in range(number)]


def _mark_stages(panels: Sequence[Axes], rows: Sequence[Mapping[str, Any]]) -> None:
    for number, (stage, first, last) in enumerate(_find_stages(rows)):
        for axes in panels:
            if number % 2:
                axes.axvspan(first - 0.5, last + 0.5, color=STAGE_SHADE, zorder=0, linewidth=0)
            if number:
                axes.axvline(first - 0.5, color=EDGE, linewidth=0.8, zorder=1)
        _write_stage_name(panels[0], stage, first, last, num_epochs=len(rows))


def _find_stages(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, int]]:
    """Return each stage's name with its first and last epoch."""
    stages: list[tuple[str, int, int]] = []
    for row in rows:
        stage, epoch = str(row["stage"]), int(row["epoch"])
        if int(row["stage_epoch"]) == 1 or not stages:
            stages.append((stage, epoch, epoch))
        else:
            stages[-1] = (stage, stages[-1][1], epoch)
    return stages


def _write_stage_name(axes: Axes, stage: str, first: int, last: int, *, num_epochs: int) -> None:
    percent_of_width = (last - first + 1) / num_epochs * 100
    slanted = percent_of_width < len(stage) * 1.15
    axes.annotate(
        shorten_middle(one_line(stage), LONGEST_NAME),
        xy=((first + last) / 2, 1.0),
        xycoords=axes.get_xaxis_transform(),
        xytext=(0, 6),
        textcoords="offset points",
        ha="left" if slanted else "center",
        va="bottom",
        rotation=30 if slanted else 0,
        rotation_mode="anchor",
        fontsize=9,
        color=INK,
    )


def _as_number(value: Any) -> float:
    return math.nan if value is None or value == "" else float(value)
