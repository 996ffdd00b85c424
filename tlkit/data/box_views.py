"""Boxes in the views of a picture: where a box lies in what the network sees, and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tlkit.data.views import View
from tlkit.outputs import Box

MIN_VISIBLE_SHARE = 0.25
"""A box of which a view shows less teaches nothing about boxes."""


def place_box(
    box: Box, view: View, *, picture_size: tuple[int, int], image_size: tuple[int, int], fit: str
) -> tuple[NDArray[np.float32], bool]:
    """Return where a box lies in a view of its picture.

    The view's matrix takes the corners along; of a turned box the upright box around its corners is taken, cut at the
    edges of the view.

    Args:
        box: left, top, right, bottom in pixels of the upright picture.
        view: What is shown; `View()` is the picture itself.
        picture_size: (height, width) of the upright picture, in pixels.
        image_size: (height, width) of the view, in pixels.
        fit: How the picture is made to fit.

    Returns:
        Centre and size (cx, cy, w, h) in fractions of the view, float32 (4,), 0..1; and whether enough of the box is to
        be seen.
    """
    matrix = view.matrix(picture_size=picture_size, image_size=image_size, fit=fit)
    left, top, right, bottom = box
    corners = np.array([(left, top, 1), (right, top, 1), (right, bottom, 1), (left, bottom, 1)]).T
    height, width = image_size
    across, down = (matrix @ corners)[0] / width, (matrix @ corners)[1] / height
    edges = np.array([across.min(), down.min(), across.max(), down.max()])
    seen = np.clip(edges, 0.0, 1.0)
    share = _area(seen) / max(_area(edges), 1e-12)
    centre_and_size = ((seen[0] + seen[2]) / 2, (seen[1] + seen[3]) / 2, seen[2] - seen[0], seen[3] - seen[1])
    return np.array(centre_and_size, np.float32), bool(share >= MIN_VISIBLE_SHARE)


def recover_box(
    fractions: NDArray[np.floating], *, picture_size: tuple[int, int], image_size: tuple[int, int], fit: str
) -> Box:
    """Return the box in pixels of the upright picture that a model gave for the picture itself, cut at its edges.

    Args:
        fractions: cx, cy, w, h in fractions of the input, (4,).
        picture_size: (height, width) of the upright picture, in pixels.
        image_size: (height, width) of the input, in pixels.
        fit: As the model was trained with.
    """
    height, width = image_size
    centre_x, centre_y, box_width, box_height = (float(value) for value in fractions)
    corners = np.array(
        [
            ((centre_x - box_width / 2) * width, (centre_y - box_height / 2) * height, 1),
            ((centre_x + box_width / 2) * width, (centre_y + box_height / 2) * height, 1),
        ]
    ).T
    matrix = View().matrix(picture_size=picture_size, image_size=image_size, fit=fit)
    (left, right), (top, bottom), _ = np.linalg.solve(matrix, corners)
    limit_y, limit_x = picture_size
    return (
        float(np.clip(left, 0, limit_x)),
        float(np.clip(top, 0, limit_y)),
        float(np.clip(right, 0, limit_x)),
        float(np.clip(bottom, 0, limit_y)),
    )


def _area(edges: NDArray[np.float64]) -> float:
    return float((edges[2] - edges[0]) * (edges[3] - edges[1]))
