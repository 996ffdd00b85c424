"""Warm restarts: after how many epochs each cycle of a stage ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlkit.recipes.settings import Stage

DEFAULT_CYCLES = 3


def list_cycle_ends(stage: Stage, epochs: int) -> list[int]:
    """Return the epoch after which each cycle ends, rising, up to `epochs`; the last may end beyond them.

    The first cycle takes `cycle_len` epochs, each further one `cycle_mult` times as many as the one before (SGDR:
    Loshchilov and Hutter 2017, arXiv:1608.03983).
    """
    ends, length = [stage.cycle_len], stage.cycle_len
    while ends[-1] < epochs:
        length *= stage.cycle_mult
        ends.append(ends[-1] + length)
    return ends


def count_epochs(cycle_len: int, cycle_mult: int, num_cycles: int = DEFAULT_CYCLES) -> int:
    """Return how many epochs some whole cycles take."""
    return sum(cycle_len * cycle_mult**number for number in range(num_cycles))
