from __future__ import annotations

import numpy as np

from tlkit.dreaming.lens import LARGEST_SCALE, Lens, _resample


def test_pulling_back_is_the_transpose_of_looking_through() -> None:
    rng = np.random.default_rng(0)
    lens = Lens.draw((9, 12), rng, shift_px=3)
    picture, slopes = rng.normal(size=(2, 9, 12, 3))
    assert np.isclose((lens.apply(picture) * slopes).sum(), (picture * lens.pull_back(slopes)).sum(), rtol=1e-4)


def test_a_flat_picture_stays_flat() -> None:
    lens = Lens.draw((10, 8), np.random.default_rng(1), shift_px=4)
    assert np.allclose(lens.apply(np.full((10, 8, 3), 77.0)), 77, atol=1e-3)


def test_a_shift_by_whole_pixels_moves_what_leaves_to_the_other_side() -> None:
    picture = np.random.default_rng(2).normal(size=(6, 5, 3)).astype(np.float32)
    lens = Lens(_resample(6, 1, 2), _resample(5, 1, -1))
    assert np.allclose(lens.apply(picture), np.roll(picture, (-2, 1), (0, 1)), atol=1e-6)


def test_a_scale_keeps_the_middle_and_is_at_most_a_tenth() -> None:
    line = _resample(11, 1 + LARGEST_SCALE, 0) @ np.arange(11)
    assert np.isclose(line[5], 5)
    assert np.isclose(line[10], 5 + 5 / 1.1)
