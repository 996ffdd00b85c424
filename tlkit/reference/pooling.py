"""Pooling, forward and backward: a maximum passes the gradient to the place that won, a mean to all places in equal parts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tlkit.reference.patches import Window, add_patches, cut_patches

Array = NDArray[np.floating]


def pool_max(maps: Array, window: Window) -> Array:
    """Return the largest number of each channel in each window; the border that padding adds never wins.

    Args:
        maps: (n, height, width, channels).
        window: What is pooled.

    Returns:
        (n, down, right, channels).
    """
    return np.asarray(cut_patches(maps, window, border=-np.inf).max(axis=(3, 4)))


def pool_max_backward(maps: Array, above: Array, window: Window) -> Array:
    """Return the gradient of the maps; among equal numbers the first place in reading order wins."""
    patches = cut_patches(maps, window, border=-np.inf)
    flat = patches.reshape(*patches.shape[:3], -1, patches.shape[-1])
    winners = flat.argmax(axis=3)[..., np.newaxis, :]
    passed = np.zeros_like(flat)
    np.put_along_axis(passed, winners, above[:, :, :, np.newaxis], axis=3)
    return add_patches(passed.reshape(patches.shape), window, (maps.shape[1], maps.shape[2]))


def pool_mean(maps: Array, window: Window) -> Array:
    """Return the mean of each channel in each window; the border that padding adds is not counted.

    Args:
        maps: (n, height, width, channels).
        window: What is pooled.

    Returns:
        (n, down, right, channels).
    """
    return np.asarray(cut_patches(maps, window).sum(axis=(3, 4)) / _count_places(maps, window))


def pool_mean_backward(maps: Array, above: Array, window: Window) -> Array:
    """Return the gradient of the maps: each place of a window gets an equal part."""
    share = (above / _count_places(maps, window))[:, :, :, np.newaxis, np.newaxis]
    patches = np.broadcast_to(share, (*above.shape[:3], *window.size, above.shape[3]))
    return add_patches(patches, window, (maps.shape[1], maps.shape[2]))


def _count_places(maps: Array, window: Window) -> Array:
    """Return the number of places of the map in each window: (1, down, right, 1)."""
    return np.asarray(cut_patches(np.ones((1, *maps.shape[1:3], 1), maps.dtype), window).sum(axis=(3, 4)))
