from __future__ import annotations

from typing import Any

import numpy as np

from tlkit.dreaming.octaves import TILE_PX, _place_tiles, amplify, plan_octaves, resize, round_edge


def test_octaves_grow_to_the_size_of_the_picture() -> None:
    assert plan_octaves((384, 512), 32) == [(128, 192), (192, 256), (288, 352), (384, 512)]
    assert plan_octaves((64, 64), 32) == [(32, 32), (64, 64)]
    assert plan_octaves((384, 512), 300) == [(384, 512)]
    assert plan_octaves((64, 64), 75) == [(96, 96)]
    assert round_edge(3) == 32
    assert round_edge(70, 75) == 96


def test_what_is_seen_becomes_stronger_and_each_octave_gives_a_frame() -> None:
    picture = np.full((64, 64, 3), 100, np.uint8)
    sizes = []

    def everywhere(size: tuple[int, int]) -> Any:
        sizes.append(size)
        return lambda pictures: (-pictures.mean(axis=(1, 2, 3)), np.full_like(pictures, -0.5))

    steps = list(amplify(picture, everywhere, num_steps=5, smallest_px=32, rng=np.random.default_rng(0)))
    frames = [frame for frame in steps if frame]
    assert sizes == [(32, 32), (64, 64)]
    assert [frame.step for frame in frames] == [3, 5]
    assert [frame.picture.shape for frame in frames] == [(32, 32, 3), (64, 64, 3)]
    assert (frames[-1].picture == 108).all()  # five steps of 1.5, rounded to even


def test_large_pictures_are_seen_in_tiles_that_cover_them() -> None:
    assert _place_tiles(512, 512) == [0]
    assert _place_tiles(1100, 512) == [0, 512, 588]
    seen: list[tuple[int, ...]] = []

    def gradient(pictures: Any) -> tuple[Any, Any]:
        seen.append(pictures.shape[1:3])
        return np.zeros(1), np.full_like(pictures, -1)

    picture = np.full((64, 1120, 3), 50, np.uint8)
    (frame,) = [
        frame
        for frame in amplify(picture, lambda size: gradient, num_steps=1, smallest_px=64, rng=np.random.default_rng(0))
        if frame
    ]
    assert set(seen) == {(64, TILE_PX)}
    assert (frame.picture > 50).all()


def test_resizing_keeps_values_beyond_colours() -> None:
    found = resize(np.full((8, 8, 3), -300.0), (16, 4))
    assert found.shape == (16, 4, 3)
    assert np.allclose(found, -300)
