"""Convolutions whose kernel gradient is a product of matrices.

On processors, oneDNN computes the gradient of a kernel at about half the speed of the convolution itself. It is a sum over
positions of products of an input and a gradient: for a 1 by 1 kernel one product of two matrices, for a larger kernel one for
each of its places, which pays on small maps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

MAX_POSITIONS = 64
"""Positions of the largest map on which nine products take less time than oneDNN's gradient of a 3 by 3 kernel."""

Pair = tuple[int, int]


def can_multiply(kernel_size: Pair, strides: Pair, places: tuple[int | None, int | None]) -> bool:
    """Return whether `convolve_by_products` can compute a convolution, and is faster.

    Args:
        kernel_size: (height, width) of the kernel.
        strides: Its strides.
        places: (height, width) of the maps; None where it is not known.
    """
    height, width = places
    if height is None or width is None or strides[0] != strides[1]:
        return False
    if kernel_size == (1, 1):
        return height % strides[0] == width % strides[1] == 0
    return kernel_size == (3, 3) and strides == (1, 1) and height * width <= MAX_POSITIONS


def convolve_by_products(maps: tf.Tensor, kernel: tf.Tensor, *, stride: int, padding: str) -> tf.Tensor:
    """Return `tf.nn.conv2d`, with the gradient of the kernel computed by matrix products.

    Args:
        maps: Float (n, height, width, channels); all but n are known, and a multiple of the stride where that is not 1.
        kernel: Float (edge, edge, channels, outputs), edge 1 or odd.
        stride: Stride in both directions, 1 if the edge is not 1.
        padding: SAME or VALID.
    """
    strides = [1, stride, stride, 1]

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def convolve(maps: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[Any, Any]]]:
        def differentiate(above: tf.Tensor) -> tuple[Any, Any]:
            of_maps = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(maps), filter=kernel, out_backprop=above, strides=strides, padding=padding
            )
            return of_maps, _differentiate_kernel(maps, above, kernel.shape[0], stride, padding)

        return tf.nn.conv2d(maps, kernel, strides, padding), differentiate

    return convolve(maps, tf.convert_to_tensor(kernel))


def _differentiate_kernel(maps: tf.Tensor, above: tf.Tensor, edge: int, stride: int, padding: str) -> tf.Tensor:
    """Return the gradient of the kernel: for each of its places, the products of what it reads and what it gives."""
    channels, outputs = maps.shape[3], above.shape[3]
    down, right = above.shape[1:3]
    if padding == "SAME" and edge > 1:
        border = [edge // 2, edge // 2]
        maps = tf.pad(maps, [[0, 0], border, border, [0, 0]])
    gradients = tf.reshape(above, [-1, outputs])
    products = [
        tf.matmul(tf.reshape(read, [-1, channels]), gradients, transpose_a=True)
        for row in range(edge)
        for column in range(edge)
        for read in [_thin_out(maps, stride) if edge == 1 else maps[:, row : row + down, column : column + right]]
    ]
    return tf.reshape(tf.stack(products), [edge, edge, channels, outputs])


def _thin_out(maps: tf.Tensor, stride: int) -> tf.Tensor:
    """Return every `stride`-th row and column. A slice with steps takes TensorFlow longer than this."""
    if stride == 1:
        return maps
    height, width, channels = maps.shape[1:]
    return tf.reshape(maps, [-1, height // stride, stride, width // stride, stride, channels])[:, :, 0, :, 0]
