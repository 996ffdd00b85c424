"""Masks in views of their images, and answers back in the picture.

Masks are sampled at the nearest place by the very matrix that maps points, so they follow the pixels in every view.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tlkit.data.views import View
from tlkit.segmentation.confusion import IGNORED

_VALUES_AT_ONCE = 2**22


def place_mask(
    mask: NDArray[np.uint8],
    view: View | None,
    *,
    picture_size: tuple[int, int],
    image_size: tuple[int, int],
    fit: str,
    grid_size: tuple[int, int],
) -> NDArray[np.uint8]:
    """Return a mask as a view of its image shows it, at the places of a grid over the network's input.

    Beyond the edges of the picture, and where the view hides it, nothing is known: `IGNORED`.

    Args:
        mask: uint8 (height, width), of the upright picture, or of the same picture at another size.
        view: The view; None for the image itself.
        picture_size: (height, width) of the upright picture, in pixels.
        image_size: (height, width) of the network's input, in pixels.
        fit: As in `View.matrix`.
        grid_size: (height, width) of the result: the centres of so many cells of the input are looked up.

    Returns:
        uint8 (grid height, grid width).
    """
    view = view or View()
    rows, columns = grid_size
    x = (np.arange(columns) + 0.5) * (image_size[1] / columns)
    y = (np.arange(rows) + 0.5) * (image_size[0] / rows)
    back = np.linalg.inv(view.matrix(picture_size=picture_size, image_size=image_size, fit=fit))
    at_x = (back[0, 0] * x + back[0, 1] * y[:, None] + back[0, 2]) * (mask.shape[1] / picture_size[1])
    at_y = (back[1, 0] * x + back[1, 1] * y[:, None] + back[1, 2]) * (mask.shape[0] / picture_size[0])
    column, row = np.floor(at_x).astype(np.int64), np.floor(at_y).astype(np.int64)
    inside = (column >= 0) & (column < mask.shape[1]) & (row >= 0) & (row < mask.shape[0])
    if view.erase is not None:
        left, top, right, bottom = view.erase
        width, height = image_size[1], image_size[0]
        hidden_x = (x >= round(left * width)) & (x < round(right * width))
        hidden_y = (y >= round(top * height)) & (y < round(bottom * height))
        inside &= ~(hidden_x & hidden_y[:, None])
    placed = np.full(grid_size, IGNORED, np.uint8)
    placed[inside] = mask[row[inside], column[inside]]
    return placed


def recover_mask(
    scores: NDArray[np.floating],
    *,
    picture_size: tuple[int, int],
    image_size: tuple[int, int],
    fit: str,
    mask_size: tuple[int, int],
) -> NDArray[np.uint8]:
    """Return the classes at the places of the picture, from scores at the places of a grid over the network's input.

    Scores are interpolated between the cells, and the class with the highest one is taken. What the fit cuts away is
    `IGNORED`.

    Args:
        scores: Float (grid height, grid width, classes): probabilities, background first.
        picture_size: (height, width) of the upright picture, in pixels.
        image_size: (height, width) of the network's input, in pixels.
        fit: As in `View.matrix`.
        mask_size: (height, width) of the result: of the picture, or of the picture at another size.

    Returns:
        uint8 (mask height, mask width).
    """
    matrix = View().matrix(picture_size=picture_size, image_size=image_size, fit=fit)
    rows, columns, num_classes = scores.shape
    x = (np.arange(mask_size[1]) + 0.5) * (picture_size[1] / mask_size[1]) * matrix[0, 0] + matrix[0, 2]
    y = (np.arange(mask_size[0]) + 0.5) * (picture_size[0] / mask_size[0]) * matrix[1, 1] + matrix[1, 2]
    seen_x, seen_y = (x >= 0) & (x < image_size[1]), (y >= 0) & (y < image_size[0])
    first, second, share = _find_neighbours(x * (columns / image_size[1]), columns)
    scores = np.asarray(scores, np.float32)
    across = scores[:, first] * (1 - share[:, None]) + scores[:, second] * share[:, None]
    above, below, part = _find_neighbours(y * (rows / image_size[0]), rows)
    answer = np.full(mask_size, IGNORED, np.uint8)
    step = max(1, _VALUES_AT_ONCE // (mask_size[1] * num_classes))
    for start in range(0, mask_size[0], step):
        each = slice(start, start + step)
        weight = part[each, None, None]
        answer[each] = (across[above[each]] * (1 - weight) + across[below[each]] * weight).argmax(axis=-1)
    answer[~seen_y] = IGNORED
    answer[:, ~seen_x] = IGNORED
    return answer


def _find_neighbours(
    at: NDArray[np.float64], num_cells: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Return the cells whose centres lie before and after each place, and how near the second one is, 0..1."""
    place = np.clip(at - 0.5, 0, num_cells - 1)
    before = np.floor(place).astype(np.int64)
    return before, np.minimum(before + 1, num_cells - 1), (place - before).astype(np.float32)
