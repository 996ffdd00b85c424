from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tlkit.reference.patches import Window
from tlkit.reference.pooling import pool_max, pool_max_backward, pool_mean, pool_mean_backward

WINDOWS = [
    Window((2, 2), (2, 2)),
    Window((3, 3), (2, 2), "same"),
    Window((3, 3), (1, 1), "same"),
    Window((3, 2), (2, 1)),
]


def test_the_notes_example_is_as_by_hand() -> None:
    maps = np.array([[1.0, 5, 2, 0], [3, 4, 1, 8], [0, 0, 7, 6], [0, 9, 5, 4]]).reshape(1, 4, 4, 1)
    window = Window((2, 2), (2, 2))
    np.testing.assert_array_equal(pool_max(maps, window)[0, :, :, 0], [[5, 8], [9, 7]])
    np.testing.assert_array_equal(pool_mean(maps, window)[0, :, :, 0], [[3.25, 2.75], [2.25, 5.5]])
    above = np.array([[1.0, 2], [3, 4]]).reshape(1, 2, 2, 1)
    # The largest number gets all of what comes back, or each an equal part.
    np.testing.assert_array_equal(
        pool_max_backward(maps, above, window)[0, :, :, 0], [[0, 1, 0, 0], [0, 0, 0, 2], [0, 0, 4, 0], [0, 3, 0, 0]]
    )
    np.testing.assert_array_equal(
        pool_mean_backward(maps, above, window)[0, :, :, 0],
        [[0.25, 0.25, 0.5, 0.5], [0.25, 0.25, 0.5, 0.5], [0.75, 0.75, 1, 1], [0.75, 0.75, 1, 1]],
    )


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("kind", ["max", "mean"])
def test_pooling_and_its_gradient_are_tensorflows(window: Window, kind: str) -> None:
    maps = np.random.default_rng(0).normal(size=(2, 7, 6, 3)) - 5  # a border of zeros would win
    tensor = tf.constant(maps)
    pool = {"max": tf.nn.max_pool2d, "mean": tf.nn.avg_pool2d}[kind]
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        expected = pool(tensor, window.size, window.strides, window.padding.upper())
        above = np.random.default_rng(1).normal(size=expected.shape)
        loss = tf.reduce_sum(expected * above)
    forward, backward = {"max": (pool_max, pool_max_backward), "mean": (pool_mean, pool_mean_backward)}[kind]
    np.testing.assert_allclose(forward(maps, window), expected, atol=1e-12)
    np.testing.assert_allclose(backward(maps, above, window), tape.gradient(loss, tensor), atol=1e-12)


def test_among_equal_numbers_one_place_gets_the_gradient() -> None:
    above = np.ones((1, 1, 1, 1))
    found = pool_max_backward(np.zeros((1, 2, 2, 1)), above, Window((2, 2)))
    np.testing.assert_array_equal(found[0, :, :, 0], [[1, 0], [0, 0]])
