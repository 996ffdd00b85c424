"""Square windows of a picture that is larger than what a model was trained on, and what the model sees of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.data.geometry import Placement

Corners = tuple[int, int, int, int]
"""left, top, right, bottom in pixels of the upright picture."""


@dataclass(frozen=True)
class WindowGrid:
    """The windows of a picture, row by row, all of one size.

    Attributes:
        edge_px: Edge of a window, in pixels of the picture.
        tops: The first row of the windows of each row of the grid.
        lefts: The first column of the windows of each column of the grid.
    """

    edge_px: int
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)

    def __iter__(self) -> Iterator[Corners]:
        for top in self.tops:
            for left in self.lefts:
                yield left, top, left + self.edge_px, top + self.edge_px


def plan_windows(picture_size: tuple[int, int], *, window_px: int, step_px: int) -> WindowGrid:
    """Cover a picture with windows.

    The last windows of a row and of a column end where the picture does, so they may overlap those before. In a picture
    that is narrower than a window, windows are as small as its shorter edge.

    Args:
        picture_size: (height, width) in pixels.
        window_px: Edge of a window.
        step_px: From a window to the next one, 1..window_px.

    Examples:
        >>> list(plan_windows((4, 7), window_px=4, step_px=4))
        [(0, 0, 4, 4), (3, 0, 7, 4)]
    """
    edge = min(window_px, *picture_size)
    tops, lefts = (_place(length, edge, min(step_px, edge)) for length in picture_size)
    return WindowGrid(edge, tops, lefts)


def _place(length: int, edge: int, step: int) -> tuple[int, ...]:
    places = list(range(0, length - edge + 1, step))
    return (*places, length - edge) if places[-1] < length - edge else tuple(places)


def render_window(
    picture: Image.Image, corners: Corners, *, picture_size: tuple[int, int], image_size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return what a model sees of a window.

    Args:
        picture: The upright RGB picture, whole or reduced.
        corners: The window, in pixels of the whole picture.
        picture_size: (height, width) of the whole picture, in pixels.
        image_size: (height, width) of the model's input, in pixels.

    Returns:
        uint8 (*image_size, 3), RGB, 0..255. A window of this size in a whole picture is cut out as it is.
    """
    down, across = picture.height / picture_size[0], picture.width / picture_size[1]
    left, top, right, bottom = corners
    placement = Placement((left * across, top * down, right * across, bottom * down), image_size)
    return np.array(placement.render(picture, lambda shown: shown))
