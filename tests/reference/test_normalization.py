from __future__ import annotations

import keras
import numpy as np
import pytest

from tests.reference.differences import check_gradient
from tlkit.reference.normalization import standardize, standardize_backward, update_moving

INPUTS = np.random.default_rng(0).normal(3, 2, size=(4, 5, 6, 3))


@pytest.mark.parametrize("axes", [(0, 1, 2), (3,)])
def test_the_result_has_mean_0_and_deviation_1_and_the_gradient_is_the_slope(axes: tuple[int, ...]) -> None:
    found, deviation = standardize(INPUTS, axes, epsilon=0.0)
    np.testing.assert_allclose(found.mean(axis=axes), 0, atol=1e-12)
    np.testing.assert_allclose(found.std(axis=axes), 1)
    above = np.random.default_rng(1).normal(size=INPUTS.shape)
    found, deviation = standardize(INPUTS, axes, epsilon=0.1)
    gradient = standardize_backward(found, deviation, above, axes)
    check_gradient(lambda x: float((standardize(x, axes, epsilon=0.1)[0] * above).sum()), INPUTS, gradient)


def test_moving_statistics_are_those_of_keras() -> None:
    layer = keras.layers.BatchNormalization(momentum=0.8)
    layer(INPUTS.astype(np.float32), training=True)
    mean, variance = INPUTS.mean(axis=(0, 1, 2)), INPUTS.var(axis=(0, 1, 2))
    np.testing.assert_allclose(update_moving(np.zeros(3), mean, momentum=0.8), layer.moving_mean, rtol=1e-5)
    np.testing.assert_allclose(update_moving(np.ones(3), variance, momentum=0.8), layer.moving_variance, rtol=1e-5)
