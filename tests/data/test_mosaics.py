"""Mosaics: the same four images everywhere, each filling its tile, with boxes where the tile shows them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.data.mosaics import Mosaic, Tile, draw_mosaic, hash_companions, list_companions
from tlkit.data.views import View

SIZE = (40, 60)


def draw_many(number: int) -> list[Mosaic | None]:
    return [draw_mosaic("mosaic", seed=3, sha256=f"{image:064x}", index=1, num_companions=5) for image in range(number)]


def make_record(name: str, split: str = "train") -> ImageRecord:
    return ImageRecord(Path(f"/photos/{name}.jpg"), name * 64, 8, 8, split, "[]")


def make_manifest(*records: ImageRecord) -> Manifest:
    return Manifest(Path("/photos"), ("fish",), tuple(records), ())


def test_half_of_the_views_are_mosaics_of_the_image_and_three_companions() -> None:
    drawn = draw_many(400)
    mosaics = [each for each in drawn if each is not None]
    assert abs(len(mosaics) / len(drawn) - 0.5) < 0.08
    places = Counter(tile.companion for each in mosaics for tile in each.tiles)
    assert places[None] == len(mosaics)
    assert min(places[number] for number in range(5)) > 0.15 * 3 * len(mosaics)
    own = Counter([tile.companion for tile in each.tiles].index(None) for each in mosaics)
    assert min(own[corner] for corner in range(4)) > 0.15 * len(mosaics)
    assert {0.3 <= value <= 0.7 for each in mosaics for value in each.centre} == {True}
    assert all(0 <= edge <= 1 for each in mosaics for tile in each.tiles for edge in tile.view.crop)


def test_a_mosaic_follows_from_policy_seed_image_and_number() -> None:
    same = [draw_mosaic("mosaic", seed=0, sha256="a" * 64, index=index, num_companions=9) for index in range(40)]
    again = [draw_mosaic("mosaic", seed=0, sha256="a" * 64, index=index, num_companions=9) for index in range(40)]
    other = [draw_mosaic("mosaic", seed=1, sha256="a" * 64, index=index, num_companions=9) for index in range(40)]
    assert same == again != other
    assert same[0] is None
    assert len({each for each in same if each}) == sum(each is not None for each in same)
    assert draw_mosaic("scales", seed=0, sha256="a" * 64, index=3, num_companions=9) is None
    assert draw_mosaic("none", seed=0, sha256="a" * 64, index=3, num_companions=9) is None


def test_companions_are_the_training_images_in_an_order_of_their_own() -> None:
    first, second, test = make_record("a"), make_record("b"), make_record("c", "test")
    copy = dataclasses.replace(first, path=Path("/photos/copy.jpg"))
    companions = list_companions(make_manifest(second, first, test, copy), "mosaic")
    assert [record.sha256[0] for record in companions] == ["a", "b"]
    assert list_companions(make_manifest(first), "scales") == ()
    assert len(hash_companions(companions)) == 8
    assert hash_companions(companions) != hash_companions(companions[:1])
    assert hash_companions(()) == ""


def show_colour(companion: int | None, view: View, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a tile in the colour of its image."""
    return np.full((*size, 3), 250 if companion is None else companion, np.uint8)


def make_mosaic(centre: tuple[float, float]) -> Mosaic:
    return Mosaic((Tile(0, View()), Tile(1, View()), Tile(None, View()), Tile(3, View())), centre)


def test_tiles_fill_the_input_around_the_centre() -> None:
    pixels = make_mosaic((0.3333, 0.51)).render(SIZE, show_colour)
    assert pixels.shape == (*SIZE, 3)
    expected = np.zeros(SIZE, np.uint8)
    expected[:20, 20:], expected[20:, :20], expected[20:, 20:] = 1, 250, 3
    np.testing.assert_array_equal(pixels[..., 0], expected)


def test_boxes_are_cut_at_the_edges_of_their_tile() -> None:
    rows = np.array([[-0.5, 0.25, 0.5, 1.5, 2, 0], [0.5, 0.5, 1.0, 1.0, 1, 1]], np.float32)
    nothing = np.zeros((0, 6), np.float32)

    def place_tile(companion: int | None, view: View, size: tuple[int, int]) -> NDArray[np.float32]:
        return rows if companion in (None, 1) else nothing

    placed = make_mosaic((0.5, 0.25)).place((40, 60), place_tile)
    expected = [
        [0.5, 0.0625, 0.75, 0.25, 2, 0],
        [0.75, 0.125, 1.0, 0.25, 1, 1],
        [0.0, 0.4375, 0.25, 1.0, 2, 0],
        [0.25, 0.625, 0.5, 1.0, 1, 1],
    ]
    np.testing.assert_allclose(placed, expected, atol=1e-7)
    assert placed.dtype == np.float32
    assert rows[0, 0] == pytest.approx(-0.5)


def test_a_tile_is_an_image_like_any_other() -> None:
    picture = Image.new("RGB", (30, 30), (10, 200, 30))

    def render(companion: int | None, view: View, size: tuple[int, int]) -> NDArray[np.uint8]:
        return np.asarray(view.render(picture, image_size=size, fit="crop"))

    drawn = next(each for each in draw_many(20) if each is not None)
    pixels = drawn.render((64, 64), render).astype(int)
    assert (pixels[..., 1] > pixels[..., 0] + 60).all()
