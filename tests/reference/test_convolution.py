from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.reference.differences import check_gradient
from tlkit.reference.convolution import (
    convolve,
    convolve_backward,
    convolve_depthwise,
    convolve_depthwise_backward,
)
from tlkit.reference.patches import Window

RNG = np.random.default_rng(0)
# the window, the channels, the outputs, the groups
CASES = [
    (Window((3, 3)), 3, 5, 1),
    (Window((3, 3), padding="same"), 3, 4, 1),
    (Window((1, 1)), 4, 2, 1),
    (Window((5, 2), strides=(2, 3), padding="same"), 2, 3, 1),
    (Window((7, 7), strides=(2, 2), padding="same"), 3, 2, 1),
    (Window((3, 3), padding="same", dilation=(2, 2)), 2, 3, 1),
    (Window((3, 3), padding="same"), 6, 9, 3),
]


def test_the_notes_example_is_as_by_hand() -> None:
    # A vertical edge under Sobel's kernel for x.
    maps = np.repeat([[0.0, 0, 1, 1]], 4, axis=0).reshape(1, 4, 4, 1)
    sobel = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]).reshape(3, 3, 1, 1)
    np.testing.assert_array_equal(convolve(maps, sobel, Window((3, 3)))[0, :, :, 0], [[4, 4], [4, 4]])


@pytest.mark.parametrize(("window", "channels", "outputs", "groups"), CASES)
def test_a_convolution_and_its_gradients_are_tensorflows(
    window: Window, channels: int, outputs: int, groups: int
) -> None:
    maps = RNG.normal(size=(2, 9, 8, channels))
    kernel = RNG.normal(size=(*window.size, channels // groups, outputs))
    tensors = tf.constant(maps), tf.constant(kernel)
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        parts = [
            tf.nn.conv2d(part, columns, window.strides, window.padding.upper(), dilations=window.dilation)
            for part, columns in zip(tf.split(tensors[0], groups, -1), tf.split(tensors[1], groups, -1), strict=True)
        ]
        expected = tf.concat(parts, -1)
        above = RNG.normal(size=expected.shape)
        loss = tf.reduce_sum(expected * above)
    np.testing.assert_allclose(convolve(maps, kernel, window, groups=groups), expected, atol=1e-9)
    if window.dilation == (1, 1):  # TensorFlow has no gradients of the others on processors
        found = convolve_backward(maps, kernel, above, window, groups=groups)
        for one, other in zip(found, tape.gradient(loss, tensors), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-9)


@pytest.mark.parametrize(("window", "channels", "outputs", "groups"), CASES)
def test_the_gradients_are_the_slopes(window: Window, channels: int, outputs: int, groups: int) -> None:
    maps = RNG.normal(size=(2, 6, 5, channels))
    kernel = RNG.normal(size=(*window.size, channels // groups, outputs))
    above = RNG.normal(size=convolve(maps, kernel, window, groups=groups).shape)
    of_maps, of_kernel = convolve_backward(maps, kernel, above, window, groups=groups)
    check_gradient(lambda x: float((convolve(x, kernel, window, groups=groups) * above).sum()), maps, of_maps)
    check_gradient(lambda k: float((convolve(maps, k, window, groups=groups) * above).sum()), kernel, of_kernel)


@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize(
    "window", [Window((3, 3), padding="same"), Window((3, 3), (2, 2)), Window((5, 5), (2, 2), "same")]
)
def test_a_depthwise_convolution_and_its_gradients_are_tensorflows(window: Window, multiplier: int) -> None:
    maps, kernel = RNG.normal(size=(2, 8, 8, 3)), RNG.normal(size=(*window.size, 3, multiplier))
    tensors = tf.constant(maps), tf.constant(kernel)
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        expected = tf.nn.depthwise_conv2d(*tensors, [1, *window.strides, 1], window.padding.upper())
        above = RNG.normal(size=expected.shape)
        loss = tf.reduce_sum(expected * above)
    np.testing.assert_allclose(convolve_depthwise(maps, kernel, window), expected, atol=1e-9)
    found = convolve_depthwise_backward(maps, kernel, above, window)
    for one, other in zip(found, tape.gradient(loss, tensors), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)
