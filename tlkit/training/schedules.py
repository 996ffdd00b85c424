"""Learning rate schedules, as factors of the rate of each layer group."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from tlkit.recipes import ResolvedStage
from tlkit.recipes.defaults import list_cycle_ends

ONE_CYCLE_RISE = 0.3
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = 1e-4
STEP_FALLS = ((0.75, 0.01), (0.5, 0.1))
"""For the `step` schedule: from which fraction of the stage each factor applies, the latest first."""


@dataclass(frozen=True)
class Course:
    """The factor of the learning rates at each optimizer step of a stage.

    Attributes:
        stage: Resolved settings: epochs, schedule, warm-up and cycles.
        steps_per_epoch: Optimizer steps per epoch.
    """

    stage: ResolvedStage
    steps_per_epoch: int

    @property
    def num_steps(self) -> int:
        """Number of steps in the stage."""
        return self.stage.epochs * self.steps_per_epoch

    def factor(self, step: int) -> float:
        """Return the factor, 0..1, for one step.

        Args:
            step: Steps taken before this one, 0 <= step < num_steps.
        """
        rise = self._num_rising_steps
        if step < rise:
            return (step + 1) / (rise + 1)
        return self._factor_after_rise(step)

    @property
    def _num_rising_steps(self) -> int:
        """Number of steps of linear warm-up; by default, only the cosine schedule has one, 5% of the stage."""
        if self.stage.warmup is not None:
            return min(round(self.stage.warmup * self.steps_per_epoch), self.num_steps - 1)
        return self.num_steps // 20 if self.stage.schedule == "cosine" else 0

    def _factor_after_rise(self, step: int) -> float:
        schedule = self.stage.schedule
        if schedule == "cosine":
            # Cosine decay from 1 to nearly 0 (SGDR without restarts: Loshchilov and Hutter 2017).
            rise = self._num_rising_steps
            return fall((step - rise) / (self.num_steps - rise))
        if schedule == "restarts":
            # Cosine decay in each cycle (SGDR). A warm-up replaces the beginning of the first.
            ends = [0, *(end * self.steps_per_epoch for end in list_cycle_ends(self.stage, self.stage.epochs))]
            begin, end = next((begin, end) for begin, end in itertools.pairwise(ends) if step < end)
            return fall((step - begin) / (end - begin))
        if schedule == "step":
            # Division by ten, as in the first training of residual networks (He et al. 2016).
            done = step / self.num_steps
            return next((factor for part, factor in STEP_FALLS if done >= part), 1.0)
        if schedule == "one-cycle":
            return self._one_cycle(step / self.num_steps)
        return 1.0

    @staticmethod
    def _one_cycle(done: float) -> float:
        """Rise to 1 and fall to nearly 0, each as half a cosine (Smith 2018, arXiv:1803.09820)."""
        if done < ONE_CYCLE_RISE:
            return 1 - (1 - ONE_CYCLE_START) * fall(done / ONE_CYCLE_RISE)
        return ONE_CYCLE_END + (1 - ONE_CYCLE_END) * fall((done - ONE_CYCLE_RISE) / (1 - ONE_CYCLE_RISE))


def fall(part: float) -> float:
    """Return half a cosine: 1 at part 0, 0 at part 1."""
    return 0.5 * (1.0 + math.cos(math.pi * part))
