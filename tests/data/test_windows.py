"""Windows cover a large picture, and each is cut out of it as it is."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tlkit.data.windows import plan_windows, render_window


@pytest.mark.parametrize(
    ("picture_size", "window_px", "step_px"), [((40, 61), 8, 8), ((40, 61), 8, 3), ((8, 8), 8, 8), ((17, 9), 9, 9)]
)
def test_windows_lie_in_the_picture_and_cover_each_pixel(
    picture_size: tuple[int, int], window_px: int, step_px: int
) -> None:
    grid = plan_windows(picture_size, window_px=window_px, step_px=step_px)
    covered = np.zeros(picture_size, int)
    for left, top, right, bottom in grid:
        assert (right - left, bottom - top) == (window_px, window_px)
        assert left >= 0
        assert top >= 0
        covered[top:bottom, left:right] += 1
    assert covered.shape == picture_size
    assert covered.min() == 1
    assert len(list(grid)) == len(grid)


def test_windows_are_as_small_as_the_shorter_edge_of_a_narrow_picture() -> None:
    grid = plan_windows((5, 12), window_px=8, step_px=8)
    assert list(grid) == [(0, 0, 5, 5), (5, 0, 10, 5), (7, 0, 12, 5)]


def test_a_window_of_the_size_of_the_input_is_cut_out_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    picture = Image.fromarray(pixels)
    found = render_window(picture, (7, 11, 19, 23), picture_size=(30, 40), image_size=(12, 12))
    np.testing.assert_array_equal(found, pixels[11:23, 7:19])


def test_a_window_is_found_in_a_reduced_picture() -> None:
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[4:8, 8:12] = 255  # of a picture four times as large
    found = render_window(Image.fromarray(pixels), (32, 16, 48, 32), picture_size=(64, 96), image_size=(4, 4))
    assert found.min() == 255
