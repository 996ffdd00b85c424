from __future__ import annotations

import keras
import numpy as np
import pytest

from tests.reference.differences import check_gradient
from tlkit.reference.activations import ACTIVATIONS, cross_entropy, softmax, softmax_backward

POINTS = np.random.default_rng(0).normal(0, 4, size=(5, 20))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_keras_and_its_derivative_the_slope(name: str) -> None:
    activation = ACTIVATIONS[name]
    expected = getattr(keras.activations, name)(POINTS.astype(np.float32))
    np.testing.assert_allclose(activation.compute(POINTS), expected, rtol=1e-5, atol=1e-6)
    above = np.random.default_rng(1).normal(size=POINTS.shape)
    check_gradient(lambda x: float((activation.compute(x) * above).sum()), POINTS, above * activation.derive(POINTS))


def test_large_numbers_do_not_overflow() -> None:
    for name in ("sigmoid", "silu", "gelu", "tanh"):
        with np.errstate(all="raise", under="ignore"):
            assert np.isfinite(ACTIVATIONS[name].compute(np.array([-1e4, 1e4]))).all()
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_array_equal(softmax(np.array([[1e4, 0.0, -1e4]])), [[1, 0, 0]])


def test_probabilities_add_up_to_1_and_their_gradient_is_the_slope() -> None:
    np.testing.assert_allclose(softmax(POINTS).sum(axis=1), 1)
    np.testing.assert_allclose(softmax(np.log([[1.0, 2, 5]])), [[0.125, 0.25, 0.625]])
    above = np.random.default_rng(1).normal(size=POINTS.shape)
    gradient = softmax_backward(softmax(POINTS), above)
    check_gradient(lambda x: float((softmax(x) * above).sum()), POINTS, gradient)


def test_the_cross_entropy_is_keras_and_its_gradient_the_slope() -> None:
    targets = np.eye(20)[[3, 0, 19, 7, 7]] * 0.9 + 0.1 / 20
    loss, gradient = cross_entropy(POINTS, targets)
    expected = keras.ops.categorical_crossentropy(targets, POINTS, from_logits=True)
    np.testing.assert_allclose(loss, np.mean(expected), rtol=1e-5)
    check_gradient(lambda x: cross_entropy(x, targets)[0], POINTS, gradient)
