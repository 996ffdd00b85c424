"""The learning rate finder: train a few steps while the rate grows exponentially, and record the loss.

A rate is too low while the loss is flat, good where it falls fastest, and too high where it rises (Smith 2015,
arXiv:1506.01186; the exponential sweep of a few steps is fast.ai's). The model is restored afterwards.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

from tlkit.recipes import TrainingSettings
from tlkit.training.batches import Batches, Block
from tlkit.training.call_sizes import CallSizer
from tlkit.training.checkpoint import restore, snapshot
from tlkit.training.layer_groups import GroupedOptimizer
from tlkit.training.loop import StageData
from tlkit.training.steps import StageModel, Steps, compile_steps

LOWEST_RATE = 1e-7
HIGHEST_RATE = 10.0
NUM_STEPS = 160
"""Twenty steps per power of ten."""
SMOOTHING = 0.9
"""Smoothing factor per step, a memory of about ten steps.

The usual 0.98 lags behind by more than a power of ten of the rate, and what it suggests is too high.
"""
DIVERGED = 4.0
"""The sweep ends when the smoothed loss is this many times its minimum."""


@dataclass(frozen=True)
class Sweep:
    """The result of a sweep; one entry per step, up to divergence.

    Attributes:
        rates: Learning rate of the head, rising.
        losses: Mean loss of the step's batch, before the step.
        smoothed: The same smoothed.
        diverged: Whether it ended because the loss rose far above its lowest, or was no number any more.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    diverged: bool


def sweep_rates(
    model: StageModel,
    data: StageData,
    *,
    rates: Sequence[float],
    held: Collection[int],
    training: TrainingSettings,
    progress: Callable[[int], AbstractContextManager[Callable[[int], None]]],
) -> Sweep:
    """Train with growing rates, then restore the model bitwise.

    Cost: at most 160 steps of training, however few images there are, as epochs are repeated.

    Args:
        model: Tail and head; weights, batch norm statistics and the seeds of dropout come back as they were.
        data: What the stage trains on; validation images are not looked at.
        rates: Of each of `model.trainable_variables`, where the head's is 1.
        held: Places of those variables whose rate was set by hand: it stays as it is.
        training: Weight decay and label smoothing.
        progress: Given a number of steps, a context manager whose value counts them.
    """
    head_rates = [float(rate) for rate in np.geomspace(LOWEST_RATE, HIGHEST_RATE, NUM_STEPS)]
    losses: list[float] = []
    with model.held():
        with model.replicas.creating():
            optimizer = GroupedOptimizer(rates, weight_decay=training.weight_decay, kind=training.optimizer, held=held)
            optimizer.build(model.trainable_variables)
        steps = compile_steps(model, optimizer, outputs=data.outputs, training=training)
        before = snapshot("before", model.variables)
        try:
            with progress(NUM_STEPS) as advance:
                for taken in _take_steps(steps, data.train, head_rates):
                    losses += taken
                    advance(len(taken))
                    if find_divergence(losses) is not None:
                        break
        finally:
            restore("before", model.variables, before)
    end = find_divergence(losses)
    kept = losses[:end]
    return Sweep(tuple(head_rates[: len(kept)]), tuple(kept), tuple(smooth(kept)), diverged=end is not None)


def _take_steps(steps: Steps, train: Batches, rates: Sequence[float]) -> Iterator[list[float]]:
    """Take one step at each rate, and yield the losses of those that one call took."""
    sizer, done = CallSizer(), 0
    for block in _repeat_epochs(train):
        for batches in sizer.split_steps(min(block.num_batches, len(rates) - done)):
            count = batches.stop - batches.start
            sums = steps.train(block, batches, rates[done : done + count])
            yield (sums["loss"] / sums["images"]).tolist()
            done += count
        if done == len(rates):
            return


def _repeat_epochs(train: Batches) -> Iterator[Block]:
    return itertools.chain.from_iterable(map(train.epoch, itertools.count()))


def smooth(losses: Sequence[float]) -> list[float]:
    """Return the exponential moving average of losses without its pull to the beginning.

    The sum of the weights is divided out, as in Adam (Kingma and Ba 2014, arXiv:1412.6980).
    """
    smoothed, average = [], 0.0
    for number, loss in enumerate(losses, start=1):
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        smoothed.append(average / (1 - SMOOTHING**number))
    return smoothed


def find_divergence(losses: Sequence[float]) -> int | None:
    """Return the step, from 0, at which the loss diverged: it is not a number, or its average far above its lowest."""
    lowest = math.inf
    for number, loss in enumerate(smooth(losses)):
        if not math.isfinite(loss) or loss > DIVERGED * lowest:
            return number
        lowest = min(lowest, loss)
    return None


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
