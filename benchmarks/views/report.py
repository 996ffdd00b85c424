"""The tables of views.md."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.division import compute_t_interval
from benchmarks.views.cells import BELOW, COUNTS, ONLINE, Cell, Results

Arm = tuple[str, str, str, int]
"""Boundary, head, policy and patience: what a line of a table has in common."""


def list_tables(results: Results) -> Iterator[str]:
    """Yield a table for each set, one for the differences in all sets, and one of seconds."""
    names = list(dict.fromkeys(cell.data for cell in results))
    arms = list(dict.fromkeys(map(arm_of, results)))
    for name in names:
        yield make_table(
            name, {name_arm(arm): [describe(results, name, arm, count) for count in COUNTS] for arm in arms}
        )
    differences = {
        name_arm(arm): [in_brief(list_differences(results, names, arm, count)) for count in COUNTS] for arm in arms
    }
    yield make_table("difference from K = 1, all sets", differences)
    for name in names:
        seconds = {name_arm(arm): [describe_seconds(results, name, arm, count) for count in COUNTS] for arm in arms}
        yield make_table(f"{name}: epochs, processor seconds of training", seconds)


def make_table(title: str, rows: dict[str, list[str]]) -> str:
    """Return Markdown, without rows that are empty."""
    heads = ["online" if count == ONLINE else f"K = {count}" for count in COUNTS]
    lines = [f"| {title} | " + " | ".join(heads) + " |", "|---|" + "---|" * len(COUNTS)]
    return "\n".join(
        [*lines, *(f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows.items() if any(cells))]
    )


def arm_of(cell: Cell) -> Arm:
    """Return what a cell has in common with those of other sets, counts and seeds."""
    return (cell.boundary, cell.head, cell.policy, cell.patience)


def name_arm(arm: Arm) -> str:
    """Return what is trained and how, in words."""
    boundary, head, policy, patience = arm
    return f"{head}{', then group5' if boundary == BELOW else ''}, {policy}{'' if patience else ', all 30 epochs'}"


def pick(results: Results, names: Sequence[str], arm: Arm, count: int) -> list[Cell]:
    """Return the cells of some sets, one arm and one number of views."""
    return [cell for cell in results if cell.data in names and arm_of(cell) == arm and cell.views == count]


def list_differences(results: Results, names: Sequence[str], arm: Arm, count: int) -> list[float]:
    """Return how much more accurate each training is than that with the image itself, same set and same seed."""
    pairs = [(cell, dataclasses.replace(cell, views=1, policy="standard")) for cell in pick(results, names, arm, count)]
    return [
        results[cell]["accuracy"] - results[alone]["accuracy"]
        for cell, alone in pairs
        if count != 1 and alone in results
    ]


def in_brief(differences: Sequence[float]) -> str:
    """Return the mean with half its 95% interval."""
    if len(differences) < 2:
        return ""
    low, high = compute_t_interval(differences)
    return f"{np.mean(differences):+.3f} ± {(high - low) / 2:.3f}"


def describe(results: Results, name: str, arm: Arm, count: int) -> str:
    """Return the mean accuracy and its difference from K = 1."""
    cells = pick(results, [name], arm, count)
    if not cells:
        return ""
    mean = np.mean([results[cell]["accuracy"] for cell in cells])
    difference = in_brief(list_differences(results, [name], arm, count))
    return f"{mean:.3f} ({difference})" if difference else f"{mean:.3f}"


def describe_seconds(results: Results, name: str, arm: Arm, count: int) -> str:
    """Return the mean number of epochs and of seconds."""
    lines = [results[cell] for cell in pick(results, [name], arm, count)]
    if not lines:
        return ""
    epochs, seconds = (np.mean([line[key] for line in lines]) for key in ("epochs", "processor_seconds"))
    return f"{epochs:.0f}, {seconds:.1f} s"
