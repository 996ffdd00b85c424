"""The tables of `benchmarks.explanations`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tlkit.explain.methods import FEATURE_METHODS, PIXEL_METHODS
from tlkit.metrics.intervals import compute_mean_interval, compute_wilson_interval

Figures = dict[str, dict[str, dict[str, list[float]]]]
"""By run, method and measure, one figure for each photo."""

RANDOM, CENTRE, NORM = "(random)", "(centre)", "(activation norm)"
BASELINES = (NORM, CENTRE, RANDOM)
SHARES = ("both", "pointing")
STEPS = ("insertion", "deletion")
TABLES = (
    ("both",),
    ("own half",),
    ("head", "network"),
    STEPS,
    *((f"gain over {name}",) for name in BASELINES),
    ("pointing",),
)


def find_values(figures: Mapping[str, Mapping[str, Sequence[float]]], method: str, measure: str) -> NDArray[np.float64]:
    """Return a run's figures, float64 (n,): empty where they were not measured, NaN where a photo has none."""
    of_method = figures.get(method, {})
    if not measure.startswith("gain over "):
        return np.array(of_method.get(measure, ()), np.float64)
    pair = of_method, figures.get(measure.removeprefix("gain over "), {})
    gains = [np.subtract(each[STEPS[0]], each[STEPS[1]]) for each in pair if STEPS[0] in each]
    num = min(map(len, gains)) if len(gains) == 2 else 0
    return np.array(gains[0][:num] - gains[1][:num] if num else (), np.float64)


def write_cell(values: NDArray[np.float64], measure: str) -> str:
    """Return a mean with its interval, ".82 (.68 to .91)", and "–" where there is none."""
    known = values[np.isfinite(values)]
    if not len(known):
        return "–"
    if measure in SHARES:
        interval = compute_wilson_interval(int(known.sum()), len(known))
    else:
        interval = compute_mean_interval(known)
    return interval.in_brief("{:z.2f}".format).replace("0.", ".").replace("-", "−")


def write_tables(figures: Figures, defaults: Mapping[str, str]) -> str:
    """Return a table for each of `TABLES`, as far as it was measured, with the default of each head in bold."""
    lines = []
    names = [
        name
        for name in (*FEATURE_METHODS, *PIXEL_METHODS, *BASELINES)
        if any(name in each for each in figures.values())
    ]
    for columns in TABLES:
        rows = []
        for name in names:
            cells, nums = [], [0]
            for run, of_run in figures.items():
                parts = [find_values(of_run, name, column) for column in columns]
                nums += map(len, parts)
                cell = ", ".join(
                    write_cell(part, column) for part, column in zip(parts, columns, strict=True) if len(part)
                )
                cells.append(f"**{cell}**" if cell and defaults.get(run) == name else cell or "–")
            if max(nums):
                rows.append(f"| {name} | {max(nums)} | {' | '.join(cells)} |")
        if rows:
            lines += [
                "",
                f"| {', '.join(columns)} | photos | {' | '.join(figures)} |",
                "|---" * (len(figures) + 2) + "|",
                *rows,
            ]
    return "\n".join(lines)
