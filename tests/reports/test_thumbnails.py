"""Thumbnails stay recognizable and within their bytes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tlkit.reports.thumbnails import MIN_PICTURE_BYTES, PictureBudget, make_thumbnail


def noise(width: int, height: int) -> Image.Image:
    """The picture that compresses worst."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def size_of(content: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(content)) as picture:
        return picture.size


def test_a_thumbnail_keeps_the_shape_of_the_picture() -> None:
    assert size_of(make_thumbnail(Image.new("RGB", (400, 100), "red"), edge_px=200)) == (200, 50)


def test_a_small_picture_is_not_enlarged() -> None:
    assert size_of(make_thumbnail(np.zeros((20, 30, 3), np.uint8), edge_px=200)) == (30, 20)


@pytest.mark.parametrize("max_bytes", [20_000, 8_000, 3_000])
def test_quality_and_size_give_way_until_a_picture_fits(max_bytes: int) -> None:
    content = make_thumbnail(noise(600, 500), edge_px=224, max_bytes=max_bytes)
    assert 0.4 * max_bytes < len(content) <= max_bytes


def test_a_thumbnail_has_a_least_size() -> None:
    assert size_of(make_thumbnail(noise(600, 500), max_bytes=10)) == (48, 40)


@pytest.mark.parametrize("num_pictures", [1, 60, 2_000, 100_000])
def test_the_pictures_of_a_page_fit_into_it(num_pictures: int) -> None:
    budget = PictureBudget(5_000_000)
    shown = min(num_pictures, budget.max_pictures)
    assert budget.share(shown) >= MIN_PICTURE_BYTES
    assert shown * budget.share(shown) * 4 / 3 <= 4_000_000
