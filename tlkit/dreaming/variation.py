"""Total variation: how much neighbouring pixels of a picture differ, which keeps pictures smooth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def measure_variation(picture: NDArray[np.floating[Any]]) -> tuple[float, NDArray[np.float32]]:
    """Return the mean squared difference of neighbours, and its gradient.

    Mahendran and Vedaldi, 2015, https://arxiv.org/abs/1412.0035, with exponent 2. The edges join, as on a canvas.

    Args:
        picture: (height, width, 3), 0..255.

    Returns:
        The variation of values of 0..1, and its gradient by those of 0..255, float32 (height, width, 3).
    """
    shares = np.asarray(picture, np.float64) / 255
    down, right = (shares - np.roll(shares, 1, axis) for axis in (0, 1))
    slopes = 2 * (down - np.roll(down, -1, 0) + right - np.roll(right, -1, 1))
    value = float((down**2 + right**2).mean())
    return value, (slopes / (shares.size * 255)).astype(np.float32)
