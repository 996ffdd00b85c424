"""Images held in memory give the same pixels, without more memory than they may take."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import ImageRecord
from tlkit.data.views import View, draw_view
from tlkit.errors import DataError
from tlkit.inference.scoring import load_record
from tlkit.models.spec import BundleSpec
from tlkit.recipes import HeadSettings
from tlkit.training.held_images import HeldImages

EDGE, WIDTH, HEIGHT = 16, 150, 100
SPEC = BundleSpec("tiny", (EDGE, EDGE), "squash", LOADER_VERSION, "avg", HeadSettings("linear"), ("carp", "eel"))
HALF_BYTES = 4 * (WIDTH // 2) * (HEIGHT // 2)  # at least twice the edges of the input
INPUT_BYTES = 3 * EDGE * EDGE


@pytest.fixture
def records(tmp_path: Path) -> list[ImageRecord]:
    """Four photos."""
    made = []
    for number in range(4):
        path = tmp_path / f"{number}.jpg"
        pixels = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        Image.fromarray(pixels).save(path)
        made.append(ImageRecord(path, hashlib.sha256(path.read_bytes()).hexdigest(), HEIGHT, WIDTH, "train", "carp"))
    return made


@pytest.fixture
def decoded_sizes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The (width, height) of each decoded JPEG."""
    from PIL import JpegImagePlugin

    load, sizes = JpegImagePlugin.JpegImageFile.load, []

    def watch(self: Image.Image) -> object:
        if getattr(self, "tile", None):
            sizes.append(self.size)
        return load(self)  # type: ignore[arg-type]

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load", watch)
    return sizes


def test_views_of_held_images_have_the_same_pixels_and_each_scale_is_decoded_once(
    records: list[ImageRecord], decoded_sizes: list[tuple[int, int]]
) -> None:
    held = HeldImages(SPEC, 2**20)
    small_crop = View(crop=(0.0, 0.0, 0.5, 0.5))
    views = [draw_view("standard", seed=0, sha256=records[0].sha256, index=index) for index in range(1, 6)]
    for view in [*views, small_crop, *views, small_crop]:
        found = held.load(records[0], view)
        decoded_here = len(decoded_sizes)
        assert np.array_equal(found, load_record(records[0], SPEC, view))
        del decoded_sizes[decoded_here:]
    assert decoded_sizes == [(WIDTH // 2, HEIGHT // 2), (WIDTH, HEIGHT)]


def test_an_image_without_views_is_held_as_it_goes_into_the_network(records: list[ImageRecord]) -> None:
    held = HeldImages(SPEC, 2**20)
    first = held.load(records[0], None)
    assert held.load(records[0], None) is first
    assert np.array_equal(first, load_record(records[0], SPEC))


def test_the_first_images_are_held_and_no_more_than_memory_may_take(
    records: list[ImageRecord], decoded_sizes: list[tuple[int, int]]
) -> None:
    held = HeldImages(SPEC, 3 * HALF_BYTES - 1)
    for record in records * 2:
        held.load(record, View(flip=True))
    assert len(decoded_sizes) == 4 + 2, "two are held, two are decoded again"
    assert held.estimate_growth(4) < HALF_BYTES


def test_the_memory_of_all_images_follows_from_those_that_were_read(records: list[ImageRecord]) -> None:
    held = HeldImages(SPEC, 2**20)
    assert held.estimate_growth(100) == 0
    for record in records:
        held.load(record, View(flip=True))
    assert held.estimate_growth(4) == 0
    assert held.estimate_growth(10) == 6 * HALF_BYTES
    assert held.estimate_growth(10**6) == 2**20 - 4 * HALF_BYTES
    whole = HeldImages(SPEC, 2**20)
    whole.load(records[0], None)
    assert whole.estimate_growth(3) == 2 * INPUT_BYTES


def test_a_file_that_changes_is_noticed_though_its_picture_is_held(records: list[ImageRecord]) -> None:
    held = HeldImages(SPEC, 2**20)
    held.load(records[0], View(flip=True))
    records[0].path.write_bytes(records[1].path.read_bytes())
    with pytest.raises(DataError, match=r"0\.jpg: changed since it was checked\."):
        held.load(records[0], View(flip=True))
