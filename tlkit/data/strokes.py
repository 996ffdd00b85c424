"""Pictures that show nothing but strokes on an even ground: screenshots of text, scanned pages, receipts.

Filling every stroke that is thinner than a few pixels (a morphological closing for dark strokes, an opening for bright
ones) leaves an almost empty ground of a page of text, and most of any other picture. Lines may be turned, and light may
fall off across the page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
_Choose = Callable[[Any, Any], Grey]

_WINDOW = 9
"""Strokes up to this width, in pixels, are filled."""
_MIN_EDGE = 128
_VISIBLE = 30
"""A pixel belongs to a stroke if it differs by more than this from the ground, 0..255."""
_MIN_COVERED = 0.03
_CELLS, _MIN_CELLS, _MIN_COVERED_OF_A_CELL = 8, 0.3, 0.02
"""Strokes cover 2% or more of at least 30% of the 8 × 8 cells of a picture."""
_MAX_REMAINING = 0.15
"""Largest part of the differences between neighbouring pixels that is left once the strokes are filled."""
_MAX_STEP = 0.12 * 255
_MAX_UNEVENNESS = 0.018 * 255
_MIN_CRISPNESS = 1.2
"""Sum of the differences between neighbouring pixels, over the sum of the differences from the ground."""


def measure_strokes(grey: Grey) -> float:
    """Return the part of a picture that strokes cover, 0..1, if it shows nothing else; otherwise 0.

    Args:
        grey: uint8 (height, width), 0..255, of about 256 pixels along the longer edge; below 128 pixels, text is not
            legible and the answer is 0.
    """
    if max(grey.shape) < _MIN_EDGE or min(grey.shape) < _CELLS:
        return 0.0
    filled = [_filter(_filter(grey, first), second) for first, second in ((_MAX, _MIN), (_MIN, _MAX))]
    variations = [_add_up_differences(ground) for ground in filled]
    ground, remaining = filled[int(np.argmin(variations))], min(variations)
    variation = _add_up_differences(grey)
    depth = np.abs(ground.astype(np.int16) - grey)
    strokes = depth > _VISIBLE
    covered = float(strokes.mean())
    is_text = (
        covered >= _MIN_COVERED
        and remaining <= _MAX_REMAINING * variation
        and _find_largest_step(ground) <= _MAX_STEP
        and float(np.median(depth)) <= _MAX_UNEVENNESS
        and variation >= _MIN_CRISPNESS * float(depth.sum())
        and _measure_spread(strokes) >= _MIN_CELLS
    )
    return covered if is_text else 0.0


_MAX, _MIN = (np.maximum, 0), (np.minimum, 255)
"""A choice of two values, and the value that is never chosen."""


def _filter(grey: Grey, choice: tuple[_Choose, int]) -> Grey:
    """Return the largest or smallest value of the square window around each pixel."""
    choose, nothing = choice
    reach = _WINDOW // 2
    padded = np.full((grey.shape[0] + 2 * reach, grey.shape[1] + 2 * reach), nothing, np.uint8)
    padded[reach:-reach, reach:-reach] = grey
    return _filter_rows(_filter_rows(padded, choose).T, choose).T


def _filter_rows(values: Grey, choose: _Choose) -> Grey:
    width = 1
    while 2 * width <= _WINDOW:
        values = choose(values[:-width], values[width:])
        width *= 2
    rest = _WINDOW - width
    return choose(values[: len(values) - rest], values[rest:])


def _add_up_differences(grey: Grey) -> float:
    pairs = (grey[1:], grey[:-1]), (grey[:, 1:], grey[:, :-1])
    return float(sum((np.maximum(*pair) - np.minimum(*pair)).sum(dtype=np.int64) for pair in pairs))


def _find_largest_step(grey: Grey) -> int:
    """Return the largest difference along a row: bars across the picture, as windows have, do not count."""
    return int(np.abs(np.diff(grey.astype(np.int16), axis=1)).max())


def _measure_spread(strokes: NDArray[np.bool_]) -> float:
    """Return the part of the cells of the picture that strokes cover to a visible part."""
    height, width = (edge // _CELLS for edge in strokes.shape)
    cells = strokes[: height * _CELLS, : width * _CELLS].reshape(_CELLS, height, _CELLS, width).mean(axis=(1, 3))
    return float((cells >= _MIN_COVERED_OF_A_CELL).mean())
