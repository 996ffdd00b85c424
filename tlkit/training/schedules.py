"""The course of the learning rate over a stage, as a factor of each group's own rate."""

from __future__ import annotations

import math


def compute_rate_factor(schedule: str, *, step: int, num_steps: int) -> float:
    """Return the factor, 0..1, for one optimizer step.

    Args:
        schedule: `constant`, or `cosine`: half a cosine from 1 down to nearly 0 at the stage's last step, after a
            linear rise over the first twentieth of the steps (SGDR without restarts: Loshchilov and Hutter 2017,
            arXiv:1608.03983).
        step: Steps taken before this one, 0 <= step < num_steps.
        num_steps: Steps of the whole stage.
    """
    if schedule == "constant":
        return 1.0
    warmup = num_steps // 20
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / (num_steps - warmup)))
