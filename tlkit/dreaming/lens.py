"""A picture slightly shifted and enlarged, so that what a network sees in it does not hang on single pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST_SCALE = 0.1
"""Pictures are enlarged or reduced by at most this share."""


@dataclass(frozen=True, eq=False)
class Lens:
    """A linear change of a picture: each row of pixels, and each column, becomes a mixture of others.

    Attributes:
        rows: float32 (height, height).
        columns: float32 (width, width).
    """

    rows: NDArray[np.float32]
    columns: NDArray[np.float32]

    @classmethod
    def draw(cls, size: tuple[int, int], rng: np.random.Generator, *, shift_px: float) -> Lens:
        """Return a random shift, together with a change of scale by up to a tenth; the picture's edges join.

        Args:
            size: (height, width) in pixels.
            rng: Draws them.
            shift_px: The longest shift along each edge.
        """
        scale = 1 + rng.uniform(-LARGEST_SCALE, LARGEST_SCALE)
        rows, columns = (_resample(edge, scale, rng.uniform(-shift_px, shift_px)) for edge in size)
        return cls(rows, columns)

    def apply(self, picture: NDArray[Any]) -> NDArray[np.float32]:
        """Return the changed picture, float32 (height, width, 3)."""
        return _mix(self.rows, self.columns, picture)

    def pull_back(self, gradient: NDArray[Any]) -> NDArray[np.float32]:
        """Return the gradient by the picture, given that by the changed one, float32 (height, width, 3)."""
        return _mix(self.rows.T, self.columns.T, gradient)


def _resample(edge: int, scale: float, shift_px: float) -> NDArray[np.float32]:
    """Return the matrix that enlarges a line around its middle and shifts it, with linear interpolation."""
    middle = (edge - 1) / 2
    places = (np.arange(edge) - middle) / scale + middle + shift_px
    below = np.floor(places).astype(np.int64)
    share = places - below
    matrix = np.zeros((edge, edge), np.float32)
    lines = np.arange(edge)
    matrix[lines, below % edge] += 1 - share
    matrix[lines, (below + 1) % edge] += share
    return matrix


def _mix(rows: NDArray[np.float32], columns: NDArray[np.float32], picture: NDArray[Any]) -> NDArray[np.float32]:
    height, width, depth = picture.shape
    mixed = (rows @ np.asarray(picture, np.float32).reshape(height, width * depth)).reshape(height, width, depth)
    return np.ascontiguousarray(
        (columns @ mixed.transpose(1, 0, 2).reshape(width, height * depth))
        .reshape(width, height, depth)
        .transpose(1, 0, 2)
    )
