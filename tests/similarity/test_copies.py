from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from tlkit.similarity.copies import CopyPairs, Sides, find_copies
from tlkit.similarity.pictures import ORIENTATIONS
from tlkit.similarity.search import find_neighbours

Shrink = Callable[[list[Image.Image]], np.ndarray]
Change = Callable[[Image.Image], Image.Image]
TURN = Image.Transpose
NUM_PHOTOS = 12


def draw_features(like: list[int]) -> np.ndarray:
    """Return features of cosines around 0.8, those of pictures that are given the same number around 0.95."""
    rng = np.random.default_rng(0)
    kinds = 1 + 0.5 * rng.normal(size=(max(like) + 1, 64))
    features: np.ndarray = kinds[like] + 0.2 * rng.normal(size=(len(like), 64))
    return features


def reencode(picture: Image.Image, quality: int = 30) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file)


CHANGES: dict[str, tuple[Change, str]] = {
    "re-encoded": (reencode, "as it is"),
    "half size": (lambda picture: picture.resize((80, 60), Image.Resampling.LANCZOS), "as it is"),
    "brighter": (lambda picture: ImageEnhance.Brightness(picture).enhance(1.3), "as it is"),
    "mirrored": (lambda picture: picture.transpose(TURN.FLIP_LEFT_RIGHT), "mirrored"),
    "flipped": (lambda picture: picture.transpose(TURN.FLIP_TOP_BOTTOM), "flipped top to bottom"),
    "turned clockwise": (lambda picture: picture.transpose(TURN.ROTATE_270), "turned by 90°"),
    "turned over": (lambda picture: picture.transpose(TURN.ROTATE_180), "turned by 180°"),
    "turned counterclockwise": (lambda picture: picture.transpose(TURN.ROTATE_90), "turned by 270°"),
}


def find(
    pictures: list[Image.Image], shrink: Shrink, features: np.ndarray | None = None, sides: Sides | None = None
) -> CopyPairs:
    small = shrink(pictures)
    nearest = None if features is None else find_neighbours(features, features, 10, exclude_self=True)
    return find_copies(small, nearest, lambda rows: small[rows], sides or Sides(np.arange(len(pictures))))


@pytest.fixture
def photos(draw_photo: Callable[[int], Image.Image]) -> list[Image.Image]:
    return [draw_photo(seed) for seed in range(NUM_PHOTOS)]


def test_different_pictures_are_no_copies(photos: list[Image.Image], shrink: Shrink) -> None:
    assert len(find(photos, shrink, draw_features([0] * NUM_PHOTOS))) == 0


@pytest.mark.parametrize("name", CHANGES)
def test_a_copy_of_the_whole_picture_is_found_without_features(
    photos: list[Image.Image], shrink: Shrink, name: str
) -> None:
    change, orientation = CHANGES[name]
    found = find([*photos, change(photos[5])], shrink)
    assert (found.first.tolist(), found.second.tolist()) == ([5], [NUM_PHOTOS])
    assert ORIENTATIONS[found.orientation[0]] == orientation
    assert (found.scale.tolist(), found.angle.tolist()) == ([1], [0])


@pytest.mark.parametrize("name", ["turned clockwise", "turned over", "flipped"])
def test_a_turned_copy_is_found_among_photos_with_one_background(
    draw_photo: Callable[[int], Image.Image], shrink: Shrink, name: str
) -> None:
    """What all photos share stays where it is when one of them is turned."""
    background = draw_photo(99)
    photos = [Image.blend(background, draw_photo(seed), 0.5) for seed in range(60)]
    found = find([*photos, CHANGES[name][0](photos[5])], shrink)
    assert (found.first.tolist(), found.second.tolist()) == ([5], [60])


def test_what_undoes_a_turn_is_told_of_the_second_picture(photos: list[Image.Image], shrink: Shrink) -> None:
    found = find([photos[5].transpose(TURN.ROTATE_270), *photos], shrink)
    assert ORIENTATIONS[found.orientation[0]] == "turned by 270°"


@pytest.mark.parametrize("copy_is_first", [True, False])
@pytest.mark.parametrize("mirrored", [True, False])
def test_a_part_of_a_picture_is_found_among_those_with_similar_features(
    photos: list[Image.Image], shrink: Shrink, mirrored: bool, copy_is_first: bool
) -> None:
    part = photos[5].crop((20, 6, 156, 108))
    part = part.transpose(TURN.FLIP_LEFT_RIGHT) if mirrored else part
    pictures = [part, *photos] if copy_is_first else [*photos, part]
    numbers = list(range(NUM_PHOTOS))
    found = find(pictures, shrink, draw_features([5, *numbers] if copy_is_first else [*numbers, 5]))
    rows = (0, 6) if copy_is_first else (5, NUM_PHOTOS)
    assert sorted([found.first[0], found.second[0]]) == list(rows)
    assert len(found) == 1
    assert ORIENTATIONS[found.orientation[0]] == ("mirrored" if mirrored else "as it is")
    assert found.scale[0] == pytest.approx(0.85, abs=0.02)
    assert (found.first[0] == (0 if copy_is_first else NUM_PHOTOS)) == found.part_is_first[0]


def test_a_slightly_rotated_picture_is_found_with_its_angle(photos: list[Image.Image], shrink: Shrink) -> None:
    square = [photo.crop((0, 0, 120, 120)) for photo in photos]
    rotated = square[5].rotate(5, Image.Resampling.BILINEAR)
    found = find([*square, rotated], shrink, draw_features([*range(NUM_PHOTOS), 5]))
    assert (found.first[0], found.second[0]) == (5, NUM_PHOTOS)
    assert abs(found.angle[0]) == pytest.approx(5, abs=0.7)


@pytest.mark.parametrize("corner", [(0, 0), (24, 18), (12, 9), (24, 0)])
@pytest.mark.parametrize("orientation", [None, TURN.ROTATE_90, TURN.ROTATE_180, TURN.TRANSVERSE])
def test_a_part_that_was_cut_anywhere_and_turned_is_found_without_features(
    photos: list[Image.Image], shrink: Shrink, corner: tuple[int, int], orientation: TURN | None
) -> None:
    left, top = corner
    part = photos[5].crop((left, top, left + 136, top + 102))
    found = find([*photos, part if orientation is None else part.transpose(orientation)], shrink)
    assert (found.first.tolist(), found.second.tolist()) == ([5], [NUM_PHOTOS])
    assert found.scale[0] == pytest.approx(0.85, abs=0.02)


def test_a_part_has_to_agree_better_than_a_whole_picture(
    draw_photo: Callable[[int], Image.Image], photos: list[Image.Image], shrink: Shrink
) -> None:
    other = draw_photo(77)
    agreements = []
    for weight in np.arange(0.1, 0.5, 0.02):
        part = Image.blend(photos[5], other, weight).crop((0, 0, 136, 102))
        agreements += find([*photos, part], shrink).agreement.tolist()
    assert len(agreements) > 2
    assert min(agreements) >= 0.95


def test_in_a_large_data_set_parts_are_found_by_features_alone(
    photos: list[Image.Image], shrink: Shrink, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = photos[5].crop((20, 6, 156, 108))
    monkeypatch.setattr("tlkit.similarity.copies.MAX_PICTURES", NUM_PHOTOS)
    assert len(find([*photos, part], shrink)) == 0
    assert len(find([*photos, part], shrink, np.eye(NUM_PHOTOS + 1, dtype=np.float32))) == 0
    assert len(find([*photos, part], shrink, draw_features([*range(NUM_PHOTOS), 5]))) == 1


def test_only_the_two_sides_are_compared(photos: list[Image.Image], shrink: Shrink) -> None:
    pictures = [*photos, photos[5], photos[5], photos[2]]
    sides = Sides(np.arange(NUM_PHOTOS), np.array([NUM_PHOTOS, NUM_PHOTOS + 2]))
    found = find(pictures, shrink, sides=sides)
    assert sorted(zip(found.first.tolist(), found.second.tolist(), strict=True)) == [
        (2, NUM_PHOTOS + 2),
        (5, NUM_PHOTOS),
    ]


def test_photos_of_one_part_before_one_ground_are_no_copies_but_their_copies_are(
    draw_photo: Callable[[int], Image.Image], shrink: Shrink
) -> None:
    ground = np.asarray(draw_photo(100), np.float32)
    parts = []
    for seed in range(60):
        own = np.asarray(draw_photo(seed).resize((24, 24)).resize((30, 30)), np.float32)
        picture = ground.copy()
        picture[45:75, 60:90] += 0.5 * (own - own.mean())
        parts.append(Image.fromarray(picture.clip(0, 255).astype(np.uint8)))
    found = find([*parts, reencode(parts[7], 95), parts[9]], shrink, draw_features([*range(60), 7, 9]))
    assert sorted(zip(found.first.tolist(), found.second.tolist(), strict=True)) == [(7, 60), (9, 61)]


def test_blank_pictures_are_no_copies_of_each_other(shrink: Shrink) -> None:
    blank = [Image.new("L", (80, 60), grey) for grey in (0, 120, 121, 255)]
    assert len(find(blank, shrink, draw_features([0] * 4))) == 0
