from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import PurePosixPath

import numpy as np
import pytest
from PIL import Image

from tlkit.pond.kinds import KINDS
from tlkit.pond.shoal import (
    SIZE,
    Shoal,
    draw_shoal,
    draw_shoals,
    encode_mask,
    encode_picture,
    write_coco,
)


@pytest.fixture(scope="module")
def shoals() -> list[tuple[PurePosixPath, Shoal]]:
    return list(draw_shoals(30, seed=0))


def test_a_box_is_tight_around_the_pixels_of_its_fish_in_the_mask(shoals: list[tuple[PurePosixPath, Shoal]]) -> None:
    num_checked = 0
    for _, shoal in shoals:
        kinds = Counter(fish.kind for fish in shoal.fish)
        for fish in shoal.fish:
            if kinds[fish.kind] > 1:
                continue  # the mask has classes, not single fish
            rows, columns = np.nonzero(shoal.mask == KINDS.index(fish.kind) + 1)
            found = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            assert found == fish.box
            assert len(rows) == fish.num_pixels
            num_checked += 1
    assert num_checked > 20


def test_every_fish_lies_within_the_picture_and_every_pixel_of_the_mask_within_a_box_of_its_kind(
    shoals: list[tuple[PurePosixPath, Shoal]],
) -> None:
    for _, shoal in shoals:
        within = np.zeros((len(KINDS) + 1, *shoal.mask.shape), bool)
        for fish in shoal.fish:
            left, top, right, bottom = fish.box
            assert 0 <= left < right <= SIZE[0]
            assert 0 <= top < bottom <= SIZE[1]
            within[KINDS.index(fish.kind) + 1, top:bottom, left:right] = True
        rows, columns = np.nonzero(shoal.mask)
        assert within[shoal.mask[rows, columns], rows, columns].all()


def test_fish_in_front_hide_those_behind_until_they_are_a_crowd() -> None:
    kinds = KINDS[:1] * 60
    shoal = draw_shoal(kinds, size=(96, 72), hour=12, random=np.random.Generator(np.random.PCG64(3)))
    assert len(shoal.fish) < len(kinds)  # some are hidden altogether
    assert {fish.is_crowd for fish in shoal.fish} == {True, False}
    assert sum(fish.num_pixels for fish in shoal.fish) <= shoal.mask.size


def test_there_are_pictures_without_fish_and_with_many(shoals: list[tuple[PurePosixPath, Shoal]]) -> None:
    assert {len(shoal.fish) for _, shoal in shoals} >= {0, 1, 2, 3}
    assert max(len(shoal.fish) for _, shoal in shoals) > 3
    empty = next(shoal for _, shoal in shoals if not shoal.fish)
    assert not empty.mask.any()
    assert np.asarray(empty.picture).std() > 5


def test_the_same_seed_gives_the_same_pictures_however_many_are_drawn(
    shoals: list[tuple[PurePosixPath, Shoal]],
) -> None:
    for (path, again), (expected_path, expected) in zip(draw_shoals(3, seed=0), shoals, strict=False):
        assert path == expected_path
        assert encode_picture(again.picture) == encode_picture(expected.picture)
        assert again.fish == expected.fish
        assert encode_mask(again.mask) == encode_mask(expected.mask)
    assert encode_picture(next(draw_shoals(1, seed=1))[1].picture) != encode_picture(shoals[0][1].picture)


def test_files_have_the_boxes_and_masks_of_the_drawing(shoals: list[tuple[PurePosixPath, Shoal]]) -> None:
    path, shoal = next((path, shoal) for path, shoal in shoals if len(shoal.fish) > 1)
    document = json.loads(write_coco([(path, SIZE, shoal.fish)]))
    assert document["images"] == [{"id": 1, "file_name": str(path), "width": 320, "height": 240}]
    assert [category["name"] for category in document["categories"]] == [kind.name for kind in KINDS]
    for found, fish in zip(document["annotations"], shoal.fish, strict=True):
        left, top, width, height = found["bbox"]
        assert (left, top, left + width, top + height) == tuple(fish.box)
        assert KINDS[found["category_id"] - 1] == fish.kind
        assert (found["area"], found["iscrowd"]) == (fish.num_pixels, fish.is_crowd)
    single = json.loads(write_coco([(path, SIZE, shoal.fish)], class_name="fish"))
    assert single["categories"] == [{"id": 1, "name": "fish"}]
    assert {each["category_id"] for each in single["annotations"]} == {1}
    with Image.open(io.BytesIO(encode_mask(shoal.mask))) as image:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), shoal.mask)
    with Image.open(io.BytesIO(encode_picture(shoal.picture))) as image:
        assert image.size == SIZE
