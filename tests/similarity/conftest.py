"""Pictures with detail of all sizes, as photos have it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

DrawPhoto = Callable[[int], Image.Image]


@pytest.fixture(scope="session")
def draw_photo() -> DrawPhoto:
    """`draw_photo(seed)`: a grey picture of 160 x 120 pixels, like no other."""

    def draw(seed: int) -> Image.Image:
        rng = np.random.default_rng(seed)
        pixels = np.zeros((120, 160))
        for edge, weight in ((4, 1.0), (8, 0.7), (16, 0.5), (32, 0.35), (64, 0.25)):
            layer = Image.fromarray(rng.normal(size=(edge, edge)).astype(np.float32))
            pixels += weight * np.asarray(layer.resize((160, 120), Image.Resampling.BICUBIC))
        pixels = (pixels - pixels.min()) / np.ptp(pixels) * 255
        return Image.fromarray(pixels.astype(np.uint8))

    return draw


@pytest.fixture(scope="session")
def shrink() -> Callable[[list[Image.Image]], np.ndarray]:
    """`shrink(pictures)`: grey squares of 64 pixels, as `read_looks` makes them."""

    def shrink(pictures: list[Image.Image]) -> np.ndarray:
        return np.stack(
            [np.asarray(picture.convert("L").resize((64, 64), Image.Resampling.BILINEAR)) for picture in pictures]
        )

    return shrink
