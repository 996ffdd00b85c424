"""The locations of a dense head: one for each cell of each feature map.

Coordinates are fractions of the network's input, x to the right and y down; boxes are corners x0, y0, x1, y1. A location
describes its box by four numbers: how far the box's centre lies from the location's, in cells, and the logarithm of its
half size in cells. So a box needs no location within it, and may reach beyond the input.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

NUM_BOX_VALUES = 4
"""Numbers that describe the box at each location; the class logits follow them."""

MAX_LOG_SIZE = 6.0
"""Bound, to either side, of the logarithm of a box's half size in cells; beyond it the answer is clipped."""


@dataclass(frozen=True)
class Grid:
    """The locations of several maps, one map after the other, each row by row.

    Attributes:
        map_sizes: (height, width) of each map, in cells, from the finest map to the coarsest.
    """

    map_sizes: tuple[tuple[int, int], ...]

    @property
    def num_locations(self) -> int:
        """The number of locations, P."""
        return sum(height * width for height, width in self.map_sizes)

    @cached_property
    def centres(self) -> NDArray[np.float32]:
        """x, y of each location, fractions 0..1 of the input, float32 (P, 2)."""
        parts = []
        for height, width in self.map_sizes:
            across, down = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
            parts.append(np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2))
        return np.concatenate(parts).astype(np.float32)

    @cached_property
    def cells(self) -> NDArray[np.float32]:
        """Width and height of each location's cell, fractions of the input, float32 (P, 2)."""
        parts = [np.tile((1 / width, 1 / height), (height * width, 1)) for height, width in self.map_sizes]
        return np.concatenate(parts).astype(np.float32)

    @cached_property
    def levels(self) -> NDArray[np.int32]:
        """Index in `map_sizes` of each location's map, int32 (P,)."""
        counts = [height * width for height, width in self.map_sizes]
        return np.repeat(np.arange(len(counts), dtype=np.int32), counts)


def count_answer_values(num_classes: int) -> int:
    """Return the numbers that the head gives at each location: the box, then a logit of each class."""
    return NUM_BOX_VALUES + num_classes


def encode_boxes(boxes: NDArray[np.floating], grid: Grid) -> NDArray[np.float32]:
    """Return the four numbers by which each location describes a box; the inverse of `decode_boxes`.

    Args:
        boxes: x0, y0, x1, y1 in fractions of the input, float, broadcastable to (..., P, 4); x0 < x1 and y0 < y1.
        grid: The locations.

    Returns:
        float32 (..., P, 4), any range.
    """
    return encode_at(boxes, grid.centres, grid.cells)


def encode_at(
    boxes: NDArray[np.floating], centres: NDArray[np.floating], cells: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Return the numbers by which some locations describe boxes, as `encode_boxes` does for all of a grid.

    Args:
        boxes: As there, float (..., 4).
        centres: x, y of the locations, float (..., 2), broadcastable; see `Grid`.
        cells: Width and height of their cells, likewise.
    """
    corners = np.asarray(boxes, np.float64)
    low, high = corners[..., :2], corners[..., 2:]
    offset = ((low + high) / 2 - centres) / cells
    size = np.log((high - low) / 2 / cells)
    return np.concatenate(np.broadcast_arrays(offset, size), axis=-1).astype(np.float32)


def decode_boxes(values: NDArray[np.floating], grid: Grid) -> NDArray[np.float32]:
    """Return the boxes that the locations describe.

    Args:
        values: The first four numbers of the head's answers, float (..., P, 4).
        grid: The locations.

    Returns:
        x0, y0, x1, y1 in fractions of the input, which may lie beyond 0..1, float32 (..., P, 4).
    """
    centre = grid.centres + values[..., :2] * grid.cells
    half = np.exp(np.clip(values[..., 2:4], -MAX_LOG_SIZE, MAX_LOG_SIZE)) * grid.cells
    return np.concatenate((centre - half, centre + half), axis=-1).astype(np.float32)
