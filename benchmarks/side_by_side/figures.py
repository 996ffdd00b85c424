"""Figures of a row and how they are compared: median and spread, ratios by pairs, and whether goals are reached."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    """How a kind of figure is written, and which way is better."""

    digits: int
    after: str = ""
    before: str = ""
    more_is_better: bool = False

    def write(self, value: float) -> str:
        """Return one value with its unit."""
        return f"{self.before}{value:,.{self.digits}f}{self.after}"


RATE = Form(1, " images/s", more_is_better=True)
SECONDS = Form(2, " s")
MILLISECONDS = Form(0, " ms")
MEGABYTES = Form(0, " MB")
ACCURACY = Form(3, more_is_better=True)
TIMES = Form(1, " ×", more_is_better=True)
SHARE = Form(2, " of it", more_is_better=True)
PART = Form(0, before="1/", more_is_better=True)
GROWTH = Form(2, " ×")


@dataclass(frozen=True)
class Figure:
    """What some rounds gave."""

    values: tuple[float, ...]
    form: Form

    @property
    def median(self) -> float:
        """The figure that stands for all."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        """`161.0 images/s (158.3 to 163.2)`; without a spread where there was only one round."""
        text = self.form.write(self.median)
        if len(self.values) == 1:
            return text
        low, high = (f"{edge:,.{self.form.digits}f}" for edge in (min(self.values), max(self.values)))
        return f"{text} ({low} to {high})"


@dataclass(frozen=True)
class Goal:
    """A figure to reach: at least (or at most) `least`, better still `aim`, if there is one."""

    least: float
    aim: float | None = None


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        work: What was done.
        ours: What tlkit gave.
        instead: What else was tried: a tool, or another size of the same work.
        theirs: What it gave; None where only tlkit's own figure counts.
        compared: The figure that is judged.
        goal: What it is judged by.
        note: What a reader must know beside it.
    """

    work: str
    ours: Figure
    instead: str
    theirs: Figure | None
    compared: Figure
    goal: Goal | None = None
    note: str = ""


def compare(ours: Figure, theirs: Figure, form: Form = TIMES) -> Figure:
    """Return by how much tlkit is better, round by round; a side with fewer rounds is compared in those."""
    pairs = zip(ours.values, theirs.values, strict=False)
    ratios = (one / other if ours.form.more_is_better else other / one for one, other in pairs)
    return Figure(tuple(ratios), form)


def judge(compared: Figure, goal: Goal | None) -> str:
    """Return `aim reached`, `reached` or `not reached`; nothing without a goal."""
    if goal is None:
        return ""
    sign = 1 if compared.form.more_is_better else -1
    if goal.aim is not None and sign * compared.median >= sign * goal.aim:
        return "aim reached"
    return "reached" if sign * compared.median >= sign * goal.least else "**not reached**"


def fit_exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return b of the least squares fit of costs = a · sizes^b in logarithms: 1 where cost grows in proportion.

    Args:
        sizes: Above 0, at least two different ones.
        costs: Above 0, one for each size.
    """
    logs = [math.log(size) for size in sizes]
    slope: float = statistics.linear_regression(logs, [math.log(cost) for cost in costs]).slope
    return slope
