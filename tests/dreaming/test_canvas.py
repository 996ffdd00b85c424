from __future__ import annotations

import numpy as np
import pytest

from tlkit.dreaming.canvas import Canvas

SIZES = [(8, 10), (7, 9), (6, 5)]


def draw_canvas(size: tuple[int, int]) -> Canvas:
    return Canvas.draw(size, np.random.default_rng(0), contrast=1)


@pytest.mark.parametrize("size", SIZES)
def test_a_canvas_holds_a_picture_but_for_its_darkest_and_brightest_pixels(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (*size, 3))
    found = Canvas.hold(picture).render()
    assert found.dtype == np.float32
    assert np.abs(found - picture.clip(2, 253)).max() < 1e-3


@pytest.mark.parametrize("size", SIZES)
def test_a_gradient_by_the_waves_is_that_of_small_changes(size: tuple[int, int]) -> None:
    canvas, weights = draw_canvas(size), np.random.default_rng(2).normal(size=(*size, 3))
    slopes = canvas.pull_back(weights)
    waves = canvas._waves
    for place in [(0, 0, 0), (1, 1, 1), (2, size[0] // 2, waves.shape[2] - 1), (0, 2, 1)]:
        for part in (1, 1j):
            step = 1e-2 * part
            waves[place] += step
            above = float((canvas.render().astype(np.float64) * weights).sum())
            waves[place] -= 2 * step
            below = float((canvas.render().astype(np.float64) * weights).sum())
            waves[place] += step
            expected = slopes[place].real if part == 1 else slopes[place].imag
            assert (above - below) / 2e-2 == pytest.approx(expected, abs=0.05, rel=0.02)


def test_random_waves_have_the_spread_of_photographs() -> None:
    canvas = Canvas.draw((64, 64), np.random.default_rng(0), contrast=1)
    shares = canvas.render().astype(np.float64) / 255
    logits = np.log(shares / (1 - shares))
    grey, red_blue, green = logits.sum(-1) / 3**0.5, (logits[..., 0] - logits[..., 2]) / 2**0.5, logits @ [1, -2, 1]
    assert grey.std() == pytest.approx(2.5, rel=0.6)
    assert red_blue.std() < grey.std()
    assert (green / 6**0.5).std() < red_blue.std()


def test_descending_brings_a_canvas_to_a_picture() -> None:
    target = Canvas.draw((16, 16), np.random.default_rng(5), contrast=1).render()
    canvas = Canvas.draw((16, 16), np.random.default_rng(6))
    before = np.abs(canvas.render() - target).mean()
    for _ in range(100):
        canvas.descend(2 * (canvas.render() - target), 0.05)
    assert np.abs(canvas.render() - target).mean() < 0.2 * before


def test_a_blur_takes_fine_waves_and_leaves_coarse_ones() -> None:
    rows = np.arange(32)[:, np.newaxis, np.newaxis]
    coarse = np.broadcast_to(128 + 20 * np.sin(2 * np.pi * rows / 32), (32, 32, 3))
    fine = np.broadcast_to(128 + 20 * np.sin(2 * np.pi * rows / 4), (32, 32, 3))
    for picture, low, high in ((coarse, 0.9, 1.0), (fine, 0.0, 0.2)):
        canvas = Canvas.hold(picture)
        before = np.ptp(canvas.render())
        canvas.blur(1.5)
        assert low <= np.ptp(canvas.render()) / before <= high
