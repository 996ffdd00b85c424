"""What the compiled loop returns of its steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tlkit.training.batches import Batches, EpochPlan, HeldInputs
from tlkit.training.compiled_steps import CompiledSteps
from tlkit.training.targets import FixedTargets


def test_arrays_of_images_come_back_beside_their_terms_whatever_the_batches() -> None:
    inputs = np.arange(12, dtype=np.float32).reshape(4, 3)

    def step(factor: Any, rows: Any, *others: Any) -> dict[str, Any]:
        return {"first": rows[:, 0], "last": rows[:, 2], "whole": rows, "pair": rows[:, :2] * 2}

    nothing, ones = np.zeros((4, 0), np.float32), np.ones(4, np.float32)
    for batch_size in (1, 3, 4):
        plan = EpochPlan(4, batch_size=batch_size, num_views=1, seed=None)
        batches = Batches(plan, HeldInputs(tf.constant(inputs), 1), FixedTargets(np.zeros(4, np.int32)), nothing, ones)
        (block,) = batches.epoch(0)
        steps = CompiledSteps(step, ("first", "last"), by_image=True, listed={"whole": 3, "pair": 2})
        found = steps(block, slice(0, block.num_batches), [0.0] * block.num_batches)
        assert found.keys() == {"first", "last", "whole", "pair"}
        np.testing.assert_array_equal(found["first"], inputs[:, 0])
        np.testing.assert_array_equal(found["last"], inputs[:, 2])
        np.testing.assert_array_equal(found["whole"], inputs)
        np.testing.assert_array_equal(found["pair"], inputs[:, :2] * 2)
