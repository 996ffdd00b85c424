"""Draw predicted values against true ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tlkit.outputs import format_value
from tlkit.reports.figures.canvas import GRID, INK, VALIDATION_LINE, WRONG, open_figure
from tlkit.reports.lettering import one_line, shorten_middle

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EDGE_INCHES = 6.4
LONGEST_NAME = 40
MIN_RATIO_FOR_LOGARITHMS = 50
BEYOND = "#{:02x}{:02x}{:02x}".format(*WRONG)
_FURTHEST_OUT = 10


@dataclass(frozen=True)
class _Scale:
    """The range of both axes."""

    low: float
    high: float
    is_logarithmic: bool


def draw_predicted(
    path: Path, values: NDArray[np.floating[Any]], predicted: NDArray[np.floating[Any]], name: str
) -> None:
    """Draw each image as a point, true value by predicted value, with a diagonal for exact predictions.

    The band around the diagonal is the mean absolute error. The axes are logarithmic if all true values are positive
    and span more than a factor of 50; predictions far outside, or not positive, are drawn as triangles at the edge.

    Args:
        path: The PNG to write.
        values: Finite float (n,), n >= 1.
        predicted: Finite float (n,).
        name: Name of the values.
    """
    true, outputs = values.astype(np.float64), predicted.astype(np.float64)
    error = float(np.abs(outputs - true).mean())
    scale = _choose_scale(true, outputs)
    with open_figure(path) as figure:
        figure.set_size_inches(EDGE_INCHES, EDGE_INCHES)
        axes = figure.subplots()
        _set_axes(axes, scale)
        _draw_diagonal(axes, scale, error)
        _draw_points(axes, true, outputs, scale)
        shown_name = shorten_middle(one_line(name), LONGEST_NAME)
        axes.set_xlabel(f"true {shown_name}", color=INK, fontsize=10)
        axes.set_ylabel(f"predicted {shown_name}", color=INK, fontsize=10)
        axes.set_title(_describe(true, outputs, error), color=INK, fontsize=11, loc="left", pad=10)
        axes.legend(loc="upper left", fontsize=9, frameon=True, framealpha=0.85, edgecolor="none")


def _describe(true: NDArray[np.float64], outputs: NDArray[np.float64], error: float) -> str:
    spread = float(((true - true.mean()) ** 2).sum())
    r2 = f"{1 - float(((outputs - true) ** 2).sum()) / spread:z.3f}" if true.min() < true.max() else "-"
    return f"R² {r2}, mean absolute error {format_value(error)}, {len(true):,} image{'s' if len(true) > 1 else ''}"


def _choose_scale(true: NDArray[np.float64], outputs: NDArray[np.float64]) -> _Scale:
    low, high = float(true.min()), float(true.max())
    if low > 0 and high / low > MIN_RATIO_FOR_LOGARITHMS:
        positive = outputs[outputs > 0]
        low = max(low / _FURTHEST_OUT, min(low, float(positive.min(initial=low))))
        high = min(high * _FURTHEST_OUT, max(high, float(positive.max(initial=high))))
        room = (high / low) ** 0.04
        return _Scale(low / room, high * room, is_logarithmic=True)
    low, high = min(low, float(outputs.min())), max(high, float(outputs.max()))
    room = (high - low) * 0.04 or abs(high) * 0.04 or 1.0
    return _Scale(low - room, high + room, is_logarithmic=False)


def _set_axes(axes: Axes, scale: _Scale) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    in_millions = scale.high >= 2e6 and not scale.is_logarithmic
    if scale.is_logarithmic:
        axes.set_xscale("log")
        axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        if scale.is_logarithmic:
            num_decades = np.log10(scale.high / scale.low)
            axis.set_major_locator(LogLocator(subs=(1, 2, 5) if num_decades < 4 else (1,), numticks=12))
            axis.set_minor_locator(NullLocator())
        else:
            axis.set_major_locator(MaxNLocator(6))
        axis.set_major_formatter(lambda value, _: _format_tick(value, in_millions=in_millions))
        axis.set_tick_params(labelsize=9)
    axes.set_xlim(scale.low, scale.high)
    axes.set_ylim(scale.low, scale.high)
    axes.set_aspect("equal")
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)


def _format_tick(value: float, *, in_millions: bool) -> str:
    """Return 0.5, 2,500, 325,000 or 1.2 M."""
    if value and (in_millions or abs(value) >= 1e6):
        return f"{value / 1e6:,.6g} M"
    return f"{value:z,.0f}" if abs(value) >= 1000 else f"{value:z.6g}"


def _draw_diagonal(axes: Axes, scale: _Scale, error: float) -> None:
    space = np.geomspace if scale.is_logarithmic else np.linspace
    along = space(scale.low, scale.high, 300)
    below = np.maximum(along - error, scale.low)
    axes.fill_between(
        along, below, along + error, color=VALIDATION_LINE, alpha=0.1, linewidth=0, label=f"± {format_value(error)}"
    )
    axes.plot(along, along, color=INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=3)


def _draw_points(axes: Axes, true: NDArray[np.float64], outputs: NDArray[np.float64], scale: _Scale) -> None:
    opacity = float(np.clip(9 / np.sqrt(len(true)), 0.06, 0.75))
    size = float(np.clip(400 / np.sqrt(len(true)), 6, 30))
    is_inside = (outputs >= scale.low) & (outputs <= scale.high)
    axes.scatter(true[is_inside], outputs[is_inside], s=size, c=VALIDATION_LINE, alpha=opacity, linewidths=0, zorder=2)
    for is_beyond, edge, marker in ((outputs < scale.low, scale.low, "v"), (outputs > scale.high, scale.high, "^")):
        if is_beyond.any():
            places = np.full(int(is_beyond.sum()), edge)
            label = f"{len(places):,} {'below' if marker == 'v' else 'above'}"
            axes.scatter(true[is_beyond], places, s=36, c=BEYOND, marker=marker, clip_on=False, label=label, zorder=4)
