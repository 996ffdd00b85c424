"""Measure batch norm's moving statistics again if they lag behind the trained layers below.

Moving statistics are averages over steps with different weights. This is harmless while only a head is trained. With
unfrozen layers below and a high learning rate, channels die out or grow within a few steps, and the moving variance
takes dozens of steps to follow: the model trains well but predicts at random. So after each epoch its last batches are
evaluated in inference mode; if their loss is worse than in training, the statistics are recomputed with the current
weights (precise batch norm: Wu and Johnson 2021, arXiv:2105.07576).
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tlkit.tasks import Outputs
from tlkit.training.batches import Block
from tlkit.training.compiled_steps import CompiledSteps
from tlkit.training.meters import Meter
from tlkit.training.steps import Steps

NUM_CHECKED = 2
NUM_MEASURED = 8
"""Batches; as many are kept at the end of an epoch."""


@dataclass(frozen=True)
class LastBatches:
    """The blocks that hold the last batches of an epoch."""

    blocks: deque[Block] = field(default_factory=deque)

    def add(self, block: Block) -> None:
        """Add the next block, and drop those that are no longer needed."""
        self.blocks.append(block)
        while sum(kept.num_batches for kept in self.blocks) - self.blocks[0].num_batches >= NUM_MEASURED:
            self.blocks.popleft()

    def take(self, number: int) -> list[tuple[Block, slice]]:
        """Return the last `number` batches in their order, or all if there are fewer: blocks, and which of their batches."""
        taken: deque[tuple[Block, slice]] = deque()
        for block in reversed(self.blocks):
            num_taken = min(number, block.num_batches)
            if num_taken:
                taken.appendleft((block, slice(block.num_batches - num_taken, block.num_batches)))
            number -= num_taken
        return list(taken)


def catch_up(steps: Steps, last: LastBatches, *, train_loss: float, outputs: Outputs) -> bool:
    """Measure the statistics anew if they lag behind, and return whether they did.

    Args:
        steps: Of the stage.
        last: The last batches of an epoch.
        train_loss: Mean loss of the epoch, as it was trained on.
        outputs: What is learnt.
    """
    if steps.measure is None:
        return False
    meter = Meter(outputs)
    for block, batches in last.take(NUM_CHECKED):
        meter.add(steps.evaluate(dataclasses.replace(block, mix=None), batches, [0.0] * (batches.stop - batches.start)))
    if meter.figures()["loss"] <= train_loss:
        return False
    measure(steps.measure, last.take(NUM_MEASURED))
    return True


def measure_first(steps: Steps, epoch: Iterator[Block]) -> None:
    """Measure the statistics anew on the first batches of an epoch, as averaged weights need it."""
    if steps.measure is None:
        return
    taken, number = [], NUM_MEASURED
    while number > 0 and (block := next(epoch, None)):
        taken.append((block, slice(0, min(number, block.num_batches))))
        number -= block.num_batches
    measure(steps.measure, taken)


def measure(steps: CompiledSteps, batches: Iterable[tuple[Block, slice]]) -> None:
    """Make the statistics the means of those of each of some batches."""
    done = 0
    for block, chosen in batches:
        numbers = range(done, done + chosen.stop - chosen.start)
        steps(block, chosen, [number / (number + 1) for number in numbers])
        done = numbers.stop
