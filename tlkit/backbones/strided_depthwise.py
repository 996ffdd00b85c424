"""Strided depthwise convolutions with a fast gradient.

On CPUs, TensorFlow computes the input gradient of a depthwise convolution by oneDNN if its stride is 1, and otherwise
by a plain loop: four such layers took a third of a training step of MobileNetV2. A strided output is a subset of the
output at stride 1, so its gradient is that of a convolution at stride 1, with zeros at the other positions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def convolve_strided(maps: tf.Tensor, kernel: tf.Tensor, *, stride: int, padding: str) -> tf.Tensor:
    """Return `tf.nn.depthwise_conv2d`, with a gradient computed at stride 1.

    Args:
        maps: Float (n, height, width, channels); height and width are known.
        kernel: Float (edge, edge, channels, multiplier).
        stride: Stride in both directions.
        padding: SAME or VALID.
    """
    strides = [1, stride, stride, 1]

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def convolve(maps: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[Any, Any]]]:
        def differentiate(above: tf.Tensor) -> tuple[Any, Any]:
            of_kernel = tf.nn.depthwise_conv2d_backprop_filter(maps, tf.shape(kernel), above, strides, padding)
            return _differentiate_input(maps, kernel, above, stride, padding), of_kernel

        return tf.nn.depthwise_conv2d(maps, kernel, strides, padding), differentiate

    return convolve(maps, tf.convert_to_tensor(kernel))


def _differentiate_input(maps: tf.Tensor, kernel: tf.Tensor, above: tf.Tensor, stride: int, padding: str) -> tf.Tensor:
    """Return the gradient of the input, given that of the output."""
    sizes, places, edges = maps.shape[1:3], above.shape[1:3], kernel.shape[:2]
    # The extent that the convolution reads in each direction, including padding.
    read = [(number - 1) * stride + edge for number, edge in zip(places, edges, strict=True)]
    gradient = tf.nn.depthwise_conv2d_backprop_input(
        [tf.shape(maps)[0], *read, maps.shape[3]], kernel, _put_zeros_between(above, stride), [1, 1, 1, 1], "VALID"
    )
    before = [max(length - size, 0) // 2 if padding == "SAME" else 0 for length, size in zip(read, sizes, strict=True)]
    gradient = gradient[:, before[0] : before[0] + sizes[0], before[1] : before[1] + sizes[1]]
    unread = [[0, size - found] for size, found in zip(sizes, gradient.shape[1:3], strict=True)]
    return tf.pad(gradient, [[0, 0], *unread, [0, 0]])


def _put_zeros_between(maps: tf.Tensor, stride: int) -> tf.Tensor:
    """Insert `stride - 1` rows and columns of zeros between neighbours: (n, (height - 1) * stride + 1, ...)."""
    height, width, channels = maps.shape[1:]
    spread = tf.reshape(maps, [-1, height, 1, width, 1, channels])
    spread = tf.pad(spread, [[0, 0], [0, 0], [0, stride - 1], [0, 0], [0, stride - 1], [0, 0]])
    spread = tf.reshape(spread, [-1, height * stride, width * stride, channels])
    return spread[:, : (height - 1) * stride + 1, : (width - 1) * stride + 1]
