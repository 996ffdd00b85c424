from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from tlkit.reference.optimizer import AdamW
from tlkit.training.layer_groups import GroupedOptimizer


def test_the_first_step_has_the_length_of_the_rate() -> None:
    np.testing.assert_allclose(
        AdamW(rate=0.1).step(np.zeros(3), np.array([5.0, -0.01, 2.0])), [-0.1, 0.1, -0.1], rtol=1e-3
    )


def test_every_layer_group_takes_the_steps_of_its_own_rate() -> None:
    rng = np.random.default_rng(0)
    weights: list[NDArray[np.floating]] = [rng.normal(size=(3, 4)), rng.normal(size=(4,)), rng.normal(size=(2, 2))]
    rates = (0.01, 0.01, 0.002)
    by_hand = [AdamW(rate, decay=0.3) for rate in rates]
    variables = [keras.Variable(weight, dtype="float32") for weight in weights]
    optimizer = GroupedOptimizer(rates, weight_decay=0.3)
    optimizer.build(variables)
    for _ in range(20):
        gradients = [rng.normal(size=weight.shape) for weight in weights]
        weights = [
            each.step(weight, gradient) for each, weight, gradient in zip(by_hand, weights, gradients, strict=True)
        ]
        optimizer.apply([keras.ops.convert_to_tensor(gradient, "float32") for gradient in gradients], variables)
    for weight, variable in zip(weights, variables, strict=True):
        np.testing.assert_allclose(weight, variable, rtol=1e-4, atol=1e-5)
