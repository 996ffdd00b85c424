"""Cut maps into patches, and add patches up to maps: what turns a convolution into a matrix product (im2col, col2im)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """A window that slides over maps.

    Attributes:
        size: (height, width) in places of the window.
        strides: Places by which it moves, down and to the right.
        padding: `valid` stays inside the map. `same` adds a border, so that there are ceil(places / stride) positions; of an
            odd border the larger part is below and to the right, as in TensorFlow.
        dilation: Distance between the places of the window, 1 if they are neighbours.
    """

    size: Pair
    strides: Pair = (1, 1)
    padding: str = "valid"
    dilation: Pair = (1, 1)

    @property
    def extent(self) -> Pair:
        """The (height, width) that the window covers: (size - 1) x dilation + 1."""
        height, width = ((size - 1) * gap + 1 for size, gap in zip(self.size, self.dilation, strict=True))
        return height, width

    def borders(self, places: Pair) -> tuple[Pair, Pair]:
        """Return the number of places to add (above, below) and (left, right) of maps of (height, width) places."""
        above_below, left_right = map(self._border, places, self.strides, self.extent)
        return above_below, left_right

    def positions(self, places: Pair) -> Pair:
        """Return the number of positions, down and to the right: floor((places + border - extent) / stride) + 1."""
        down, right = (
            (number + sum(border) - extent) // stride + 1
            for number, border, extent, stride in zip(
                places, self.borders(places), self.extent, self.strides, strict=True
            )
        )
        return down, right

    def _border(self, places: int, stride: int, extent: int) -> Pair:
        if self.padding == "valid":
            return 0, 0
        if self.padding != "same":
            raise ValueError(f"padding is valid or same. Received: {self.padding!r}")
        total = max((-(-places // stride) - 1) * stride + extent - places, 0)
        return total // 2, total - total // 2


def cut_patches(maps: NDArray[np.floating], window: Window, *, border: float = 0.0) -> NDArray[np.floating]:
    """Return what the window sees at each position: (n, down, right, height, width, channels).

    Args:
        maps: (n, height, width, channels).
        window: The window.
        border: The value of the places that padding adds.
    """
    places = maps.shape[1], maps.shape[2]
    padded = np.pad(maps, ((0, 0), *window.borders(places), (0, 0)), constant_values=border)
    down, right = window.positions(places)
    patches = np.empty((len(maps), down, right, *window.size, maps.shape[3]), maps.dtype)
    for row in range(window.size[0]):
        for column in range(window.size[1]):
            patches[:, :, :, row, column] = padded[:, *_places_of(window, row, column, (down, right))]
    return patches


def add_patches(patches: NDArray[np.floating], window: Window, places: Pair) -> NDArray[np.floating]:
    """Add each patch to the places it was cut from: the transpose of `cut_patches`, and so its gradient.

    Args:
        patches: (n, down, right, height, width, channels).
        window: The window.
        places: (height, width) of the maps.

    Returns:
        (n, height, width, channels), without what fell on the border.
    """
    (top, bottom), (left, right) = window.borders(places)
    height, width = places
    padded = np.zeros((len(patches), height + top + bottom, width + left + right, patches.shape[-1]), patches.dtype)
    positions = patches.shape[1], patches.shape[2]
    for row in range(window.size[0]):
        for column in range(window.size[1]):
            padded[:, *_places_of(window, row, column, positions)] += patches[:, :, :, row, column]
    return padded[:, top : top + height, left : left + width]


def _places_of(window: Window, row: int, column: int, positions: Pair) -> tuple[slice, slice]:
    """Return the places that one place of the window passes over."""
    starts = row * window.dilation[0], column * window.dilation[1]
    down, right = (
        slice(start, start + (number - 1) * stride + 1, stride)
        for start, number, stride in zip(starts, positions, window.strides, strict=True)
    )
    return down, right
