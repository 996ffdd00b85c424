"""Small grey pictures compared by their detail, in all eight orientations.

The detail of a picture is what is left when its blurred self is taken away, so neither the light nor the large shapes
count that all pictures of a kind share, such as a bright part on a dark ground. Of two different photos it hardly agrees;
of two copies it does, re-encoded, resized or brightened.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.floating[Any]]
Pictures = Grey | NDArray[np.uint8]

DESCRIBED_EDGE = 16
BLUR = 2.5
"""Standard deviation, in pixels of the size that is compared, of the blur that is taken away."""
FAINT = 2.0
"""Detail of less than this standard deviation, in grey levels of 0..255, counts as noise."""
_NEGLIGIBLE = 1e-9
_AT_ONCE = 1024
ORIENTATIONS = (
    "as it is",
    "turned by 90°",
    "turned by 180°",
    "turned by 270°",
    "mirrored",
    "mirrored and turned by 90°",
    "flipped top to bottom",
    "mirrored and turned by 270°",
)
"""The names of the orientations, in the order of `orient`: mirrored first, then turned counterclockwise."""
INVERSE = np.array([0, 3, 2, 1, 4, 5, 6, 7])
"""The orientation that undoes each orientation."""


def orient(pictures: NDArray[Any]) -> NDArray[Any]:
    """Return square pictures, (n, edge, edge), in their eight orientations: (n, 8, edge, edge), in the same dtype."""
    return np.stack([turn(pictures, number) for number in range(8)], axis=1)


def turn(pictures: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return square pictures, (n, edge, edge), in one of the orientations of `orient`."""
    return np.rot90(pictures[..., ::-1] if orientation >= 4 else pictures, orientation % 4, axes=(1, 2))


def describe(pictures: Pictures) -> Grey:
    """Return the detail of whole pictures at 16 x 16 pixels, whose cosines tell copies from other pictures.

    Args:
        pictures: Grey, square, (n, edge, edge), 0..255.

    Returns:
        Float32 (n, 256), of length 1; shorter where there is hardly any detail.
    """
    return measure_detail(pictures, DESCRIBED_EDGE)


def measure_detail(pictures: Pictures, size: int) -> Grey:
    """Return the detail of whole pictures at a size in pixels, float32 (n, size²); see `describe`."""
    return measure_window(pictures, (1.0, 0.0, 0.0), size)


def measure_window(pictures: Pictures, window: tuple[float, float, float], size: int) -> Grey:
    """Return the detail of a window of each picture, (n, edge, edge), at a size in pixels: float32 (n, size²).

    The window is its scale, left and top, fractions of the edge; the whole is (1, 0, 0).
    """
    scale, left, top = window
    edge = pictures.shape[-1]
    rows, columns = (window_matrix(scale, offset, edge=edge, size=size) for offset in (top, left))
    detail = np.empty((len(pictures), size * size), np.float32)
    for start in range(0, len(pictures), _AT_ONCE):
        block = pictures[start : start + _AT_ONCE].astype(np.float32, copy=False)
        detail[start : start + _AT_ONCE] = normalise(subtract_blur(rows @ block @ columns.T), FAINT * size)
    return detail


def subtract_blur(pictures: Grey) -> Grey:
    """Return the detail of pictures, (…, edge, edge)."""
    blur = blur_matrix(pictures.shape[-1], BLUR)
    detail: Grey = pictures - blur @ pictures @ blur.T
    return detail


def normalise(pictures: Grey, min_length: float) -> Grey:
    """Return pictures, (…, edge, edge), as vectors of length 1, (…, edge²); shorter than that below a length."""
    vectors = pictures.reshape(*pictures.shape[:-2], -1)
    unit: Grey = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), min_length)
    return unit


@lru_cache(maxsize=16)
def blur_matrix(edge: int, deviation: float) -> Grey:
    """Return the matrix, float32 (edge, edge), that blurs columns by a Gaussian; its transpose blurs rows."""
    places = np.arange(edge)
    weights = np.exp(-((places[:, None] - places) ** 2) / (2 * deviation**2))
    weights[weights < _NEGLIGIBLE] = (
        0  # as float32 they would be denormal, and products of those take ten times as long
    )
    matrix: Grey = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return matrix


@lru_cache(maxsize=256)
def window_matrix(scale: float, offset: float, *, edge: int, size: int) -> Grey:
    """Return the matrix, float32 (size, edge), that averages a window of `edge` pixels into `size` pixels.

    The window begins at the fraction `offset` of the edge and has the fraction `scale` of it.
    """
    borders = (offset + scale * np.arange(size + 1) / size) * edge
    places = np.arange(edge)
    overlap = np.minimum(borders[1:, None], places + 1) - np.maximum(borders[:-1, None], places)
    weights = np.clip(overlap, 0, None)
    matrix: Grey = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return matrix
