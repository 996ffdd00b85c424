"""Suggest a learning rate from a sweep, by three common rules.

A rule reads the smoothed loss, up to where it is lowest. The beginning, where it is the mean of few steps, takes no
part.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tlkit.training.rate_finder import NUM_STEPS, SMOOTHING, Sweep

NUM_FIRST_STEPS = NUM_STEPS // 10
CLEAR_FALL = 3.0
"""The loss has fallen if its lowest is so many standard errors below what it was before any rate did anything."""
FAR_APART = 10.0

STEEPEST = "steepest descent"
VALLEY = "valley"
TENTH = "a tenth of the lowest"
CHOSEN = VALLEY


@dataclass(frozen=True)
class Suggestions:
    """The rates that a sweep suggests, of the head, by rule."""

    by_rule: Mapping[str, float]

    @property
    def chosen(self) -> float:
        """The rate to use, rounded to two digits so that the printed rate is the one used."""
        return round_rate(self.by_rule[CHOSEN])

    @property
    def are_far_apart(self) -> bool:
        """Whether the highest suggestion is ten times the lowest, or more."""
        return max(self.by_rule.values()) >= FAR_APART * min(self.by_rule.values())


def suggest_rates(sweep: Sweep) -> Suggestions | None:
    """Return what a sweep suggests, or None if the loss did not fall clearly at any rate.

    `steepest descent`: where the loss falls fastest over the logarithm of the rate. `valley`: the middle of the longest
    fall, which is the longest series of steps, not all in a row, each lower than the one before (fastai 2.3). `a tenth
    of the lowest`: a tenth of the rate at which the loss stops falling (the course notes' rule).
    """
    first = min(NUM_FIRST_STEPS, len(sweep.rates) - 1)
    rates, losses = sweep.rates[first:], sweep.smoothed[first:]
    lowest = losses.index(min(losses))
    if not _has_fallen(sweep, losses[lowest]) or lowest < 2:
        return None
    rates, losses = rates[: lowest + 1], losses[: lowest + 1]
    by_rule = {
        STEEPEST: rates[_find_steepest(losses)],
        VALLEY: rates[_find_valley(losses)],
        TENTH: rates[-1] / 10,
    }
    return Suggestions(by_rule)


def round_rate(rate: float) -> float:
    """Return a rate in two digits."""
    return float(f"{rate:.1e}")


def _has_fallen(sweep: Sweep, lowest: float) -> bool:
    """Return whether the lowest smoothed loss is clearly below that of the first steps, whose rates do nothing."""
    before = sweep.losses[: 2 * NUM_FIRST_STEPS]
    if len(before) < 2:
        return False
    # The variance of an exponential moving average of independent losses.
    error = statistics.stdev(before) * math.sqrt((1 - SMOOTHING) / (1 + SMOOTHING))
    return lowest < statistics.fmean(before) - CLEAR_FALL * error


def _find_steepest(losses: Sequence[float]) -> int:
    """Return where the central difference is lowest."""
    slopes = [after - before for before, after in zip(losses, losses[2:], strict=False)]
    return 1 + slopes.index(min(slopes))


def _find_valley(losses: Sequence[float]) -> int:
    """Return the middle of the longest strictly falling subsequence, counted back from its end."""
    lengths: list[int] = []
    for late, loss in enumerate(losses):
        lengths.append(1 + max((lengths[early] for early in range(late) if loss < losses[early]), default=0))
    longest = max(lengths)
    return lengths.index(longest) - longest // 2
