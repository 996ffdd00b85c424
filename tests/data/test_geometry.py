"""Fits: what part of a picture is shown, and where it lies."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tlkit.data.geometry import Placement, compute_frame
from tlkit.data.views import View


@pytest.mark.parametrize(
    ("fit", "frame"),
    [("squash", (0, 0, 300, 200)), ("crop", (50, 0, 250, 200)), ("pad", (0, -50, 300, 250))],
)
def test_frames_of_a_wide_picture(fit: str, frame: tuple[int, ...]) -> None:
    assert compute_frame((200, 300), (64, 64), fit) == frame


@pytest.mark.parametrize(
    ("fit", "frame"),
    [("squash", (0, 0, 100, 200)), ("crop", (0, 75, 100, 125)), ("pad", (-150, 0, 250, 200))],
)
def test_frames_of_a_high_picture_in_a_wide_output(fit: str, frame: tuple[int, ...]) -> None:
    assert compute_frame((200, 100), (32, 64), fit) == frame


def test_squash_shows_every_edge(quarters: Image.Image) -> None:
    pixels = np.asarray(View().render(quarters, image_size=(32, 32), fit="squash"))
    assert pixels[0, 0].tolist() == [220, 30, 30]
    assert pixels[31, 31].tolist() == [230, 210, 40]


def test_crop_cuts_the_longer_sides_evenly() -> None:
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = (10, 200, 10)
    result = np.asarray(View().render(Image.fromarray(pixels), image_size=(20, 20), fit="crop"))
    assert (result == (10, 200, 10)).all()


def test_pad_shows_everything_between_grey_bars() -> None:
    pixels = np.full((20, 40, 3), (10, 200, 10), np.uint8)
    result = np.asarray(View().render(Image.fromarray(pixels), image_size=(20, 20), fit="pad"))
    assert (result[5:15] == (10, 200, 10)).all()
    assert (result[:5] == 128).all()
    assert (result[15:] == 128).all()


def test_beyond_its_edges_a_picture_goes_on_mirrored() -> None:
    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[..., 0] = np.arange(8) * 30
    placement = Placement((-2.0, 0.0, 10.0, 4.0), image_size=(4, 12))
    row = np.asarray(placement.render(Image.fromarray(pixels), lambda picture: picture))[0, :, 0]
    assert row.tolist() == [30, 0, 0, 30, 60, 90, 120, 150, 180, 210, 210, 180]


def test_a_placement_that_shows_nothing_is_a_bug() -> None:
    placement = Placement((20.0, 0.0, 30.0, 4.0), image_size=(4, 10))
    with pytest.raises(AssertionError, match="must show some of the picture"):
        placement.render(Image.new("RGB", (8, 4)), lambda picture: picture)


@pytest.mark.parametrize(("size", "first"), [((97, 301), "rows"), ((301, 97), "columns"), ((200, 260), "columns")])
def test_each_axis_is_resized_by_itself_so_that_pillow_has_no_order_to_choose(
    size: tuple[int, int], first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8))
    across = (0, 0, *size), (32, size[1])
    down = (0, 0, *size), (size[0], 32)
    box, middle = down if first == "rows" else across
    by_hand = picture.resize(middle, Image.Resampling.BILINEAR, box=box).resize((32, 32), Image.Resampling.BILINEAR)
    resize, sizes = Image.Image.resize, []

    def watch(self: Image.Image, wanted: tuple[int, int], *settings: object, **more: object) -> Image.Image:
        sizes.append((self.size, wanted))
        return resize(self, wanted, *settings, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "resize", watch)
    assert np.array_equal(np.asarray(View().render(picture, image_size=(32, 32), fit="squash")), np.asarray(by_hand))
    assert [sum(a != b for a, b in zip(before, after, strict=True)) for before, after in sizes] == [1, 1]
