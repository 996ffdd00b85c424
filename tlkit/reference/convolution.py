"""Convolutions, forward and backward, each a matrix product of patches and kernels.

With the patches P of an input as rows and a kernel K as columns, one for each output channel, the output is Z = P K + b. So, with
the gradient D of the loss for Z,

    dK = P^T D        db = sum of the rows of D        dP = D K^T,

and the gradient of the input is dP, each patch added to where it was cut from.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tlkit.reference.patches import Window, add_patches, cut_patches

Array = NDArray[np.floating]


def convolve(maps: Array, kernel: Array, window: Window, *, groups: int = 1) -> Array:
    """Return the convolution of maps with a kernel (a correlation: the kernel is not turned), without bias.

    Args:
        maps: (n, height, width, channels).
        kernel: (height, width, channels / groups, outputs).
        window: How the kernel slides; its size is the kernel's.
        groups: The channels, and the outputs, are divided into so many groups in order; a group sees only its own channels.

    Returns:
        (n, down, right, outputs).
    """
    patches = cut_patches(maps, window)
    parts = [
        _as_rows(part) @ _as_columns(columns)
        for part, columns in zip(np.split(patches, groups, -1), np.split(kernel, groups, -1), strict=True)
    ]
    return np.concatenate(parts, axis=-1).reshape(*patches.shape[:3], kernel.shape[-1])


def convolve_backward(
    maps: Array, kernel: Array, above: Array, window: Window, *, groups: int = 1
) -> tuple[Array, Array]:
    """Return the gradients of the maps and of the kernel.

    Args:
        maps: As for `convolve`.
        kernel: As for `convolve`.
        above: Gradient of its result, (n, down, right, outputs).
        window: As for `convolve`.
        groups: As for `convolve`.
    """
    patches = cut_patches(maps, window)
    of_patches, of_kernel = [], []
    for part, columns, gradient in zip(
        np.split(patches, groups, -1), np.split(kernel, groups, -1), np.split(above, groups, -1), strict=True
    ):
        rows = gradient.reshape(-1, gradient.shape[-1])
        of_kernel.append((_as_rows(part).T @ rows).reshape(columns.shape))
        of_patches.append((rows @ _as_columns(columns).T).reshape(part.shape))
    places = maps.shape[1], maps.shape[2]
    return add_patches(np.concatenate(of_patches, -1), window, places), np.concatenate(of_kernel, -1)


def convolve_depthwise(maps: Array, kernel: Array, window: Window) -> Array:
    """Return the depthwise convolution of maps: each channel has kernels of its own.

    Args:
        maps: (n, height, width, channels).
        kernel: (height, width, channels, multiplier).
        window: How the kernel slides.

    Returns:
        (n, down, right, channels x multiplier); the outputs of a channel stand together.
    """
    return convolve(maps, _as_group_kernel(kernel), window, groups=kernel.shape[2])


def convolve_depthwise_backward(maps: Array, kernel: Array, above: Array, window: Window) -> tuple[Array, Array]:
    """Return the gradients of the maps and of the kernel of `convolve_depthwise`."""
    of_maps, of_kernel = convolve_backward(maps, _as_group_kernel(kernel), above, window, groups=kernel.shape[2])
    return of_maps, of_kernel.reshape(kernel.shape)


def _as_group_kernel(kernel: Array) -> Array:
    """Return a depthwise kernel as that of a convolution with a group for each channel: (height, width, 1, outputs)."""
    height, width, channels, multiplier = kernel.shape
    return kernel.reshape(height, width, 1, channels * multiplier)


def _as_rows(patches: Array) -> Array:
    """Return one row for each patch: (n x down x right, height x width x channels)."""
    return patches.reshape(-1, int(np.prod(patches.shape[3:])))


def _as_columns(kernel: Array) -> Array:
    """Return one column for each output channel: (height x width x channels, outputs)."""
    return kernel.reshape(-1, kernel.shape[-1])
