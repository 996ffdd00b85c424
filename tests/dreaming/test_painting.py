from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.dreaming.canvas import Canvas
from tlkit.dreaming.painting import NUM_FRAMES, Brush, paint, to_pixels


def approach(target: NDArray[Any]) -> Any:
    def gradient(pictures: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        difference = pictures - target
        return (difference**2).mean(axis=(1, 2, 3)), 2 * difference / difference[0].size

    return gradient


def test_frames_come_nearer_to_what_is_wanted() -> None:
    rng = np.random.default_rng(0)
    steps = list(paint(Canvas.draw((16, 16), rng), approach(np.full((16, 16, 3), 200.0)), Brush(64, 0.1), rng))
    frames = [frame for frame in steps if frame]
    assert len(steps) == 64
    assert [frame.step for frame in frames] == [8 * place for place in range(1, NUM_FRAMES + 1)]
    assert frames[-1].loss < 0.1 * frames[0].loss
    assert np.abs(frames[-1].picture.astype(int) - 200).mean() < 10


def test_fewer_steps_than_frames_each_give_one() -> None:
    rng = np.random.default_rng(0)
    steps = list(paint(Canvas.draw((8, 8), rng), approach(np.zeros((8, 8, 3))), Brush(3), rng))
    assert [frame.step for frame in steps if frame] == [1, 2, 3]


def test_shifts_smoothness_and_blur_make_a_picture_smoother() -> None:
    noise = np.random.default_rng(1).uniform(0, 255, (16, 16, 3))

    def roughness(**settings: float) -> float:
        rng = np.random.default_rng(0)
        frames = list(paint(Canvas.draw((16, 16), rng), approach(noise), Brush(64, 0.1, **settings), rng))
        assert frames[-1] is not None
        picture = frames[-1].picture.astype(float)
        return float(np.abs(picture - np.roll(picture, 1, 0)).mean())

    plain = roughness()
    assert roughness(shift_px=4) < plain
    assert roughness(smoothness=1e5) < plain
    assert roughness(blur_px=2) < plain


def test_the_same_seed_paints_the_same_picture() -> None:
    def paint_once(seed: int) -> NDArray[Any]:
        rng = np.random.default_rng(seed)
        frames = list(paint(Canvas.draw((8, 8), rng), approach(np.zeros((8, 8, 3))), Brush(8, shift_px=2), rng))
        assert frames[-1] is not None
        return frames[-1].picture

    assert (paint_once(0) == paint_once(0)).all()
    assert (paint_once(0) != paint_once(1)).any()


def test_pixels_are_rounded_and_clipped() -> None:
    assert to_pixels(np.array([-3.0, 1.5, 2.5, 254.6, 300.0])).tolist() == [0, 2, 2, 255, 255]
