"""What the numbers of boxes are, as all of them together tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tlkit.data.box_units import settle_units
from tlkit.data.boxes import Annotation, BoxLabel
from tlkit.errors import DataError
from tlkit.outputs import Box

SIZE = (100, 80)


def settle(*boxes: Box, picture: tuple[int, int] = SIZE, **annotation: Any) -> tuple[list[Box], bool, str]:
    """Return the boxes, whether they are in fractions, and what settling says."""
    items = {
        Path(f"{number}.jpg"): Annotation(Path(f"{number}.jpg"), None, (BoxLabel(*box),), **annotation)
        for number, box in enumerate(boxes)
    }
    settled, sentences = settle_units(items, dict.fromkeys(items, picture), source=Path("/data/boxes.csv"))
    corners = [box.corners for item in settled.values() for box in item.boxes]
    return corners, next(iter(settled.values())).in_fractions, " ".join(sentences)


def test_boxes_without_a_number_above_one_are_fractions() -> None:
    boxes: list[Box] = [(0.1, 0.2, 0.6, 0.7), (0, 0, 1, 1.01)]
    notice = "boxes.csv: the boxes are read as fractions of the image size, because no number is above 1."
    for shape in ("corners", "extents"):
        assert settle(*boxes, shape=shape) == (boxes, True, notice)


def test_pixels_stay_pixels_though_a_few_boxes_are_tiny() -> None:
    boxes: list[Box] = [(0, 0, 1, 1), *[(10, 10, 50, 60)] * 4]
    assert settle(*boxes) == (boxes, False, "")


def test_fractions_among_pixels_are_an_error() -> None:
    with pytest.raises(DataError) as caught:
        settle((0.1, 0.2, 0.6, 0.7), (10, 10, 50, 60))
    assert str(caught.value) == (
        "/data/boxes.csv: 1 of 2 boxes have no number above 1 and look like fractions; the others are in pixels.\n"
        "  Expected: all boxes in pixels, or all in fractions of the image size\n"
        "  Fix: convert all boxes to the same unit."
    )


PERCENT: list[Box] = [(10, 12.5, 60, 70), (0, 30, 90, 100), (5, 5, 20, 20), (60, 50, 99.5, 80), (40, 40, 50, 50)]
AS_PERCENT = (
    "boxes.csv: the boxes are read as percentages of the image size, because no number is above 100 in images that "
    "are much larger."
)


@pytest.mark.parametrize("shape", ["corners", "extents", "centres"])
def test_percent_of_large_pictures_are_told_from_pixels(shape: str) -> None:
    boxes, in_fractions, notice = settle(*PERCENT, picture=(640, 480), shape=shape, in_fractions=shape == "centres")
    assert boxes == [tuple(number / 100 for number in box) for box in PERCENT]
    assert in_fractions
    assert notice == AS_PERCENT


def test_percent_as_two_corners_in_coco_are_read_as_such() -> None:
    as_read = [(left, top, left + right, top + bottom) for left, top, right, bottom in PERCENT]
    boxes, in_fractions, notice = settle(*as_read, picture=(640, 480), shape="extents")
    assert boxes == [pytest.approx([number / 100 for number in box]) for box in PERCENT]
    assert in_fractions
    assert notice == (
        f"{AS_PERCENT} boxes.csv: the boxes are read as two corners, because 2 of 5 make no sense as left, top, width, "
        "height."
    )


@pytest.mark.parametrize(
    ("boxes", "why"),
    [
        ([(10, 10, 98, 98)] * 9, "one place, as of a mask over a fixed camera's pictures"),
        ([(left, 10, left + 20, 40) for left in range(9)], "nothing reaches up to 100"),
    ],
)
def test_boxes_in_the_first_hundred_pixels_that_may_be_percent_stay_pixels_and_are_named(
    boxes: list[Box], why: str
) -> None:
    assert settle(*boxes, picture=(640, 480)) == (
        boxes,
        False,
        "boxes.csv: the boxes are read as pixels, but no number is above 100 although the images are much larger. If "
        "they are percentages, divide them by 100.",
    ), why


@pytest.mark.parametrize(
    ("boxes", "picture"),
    [
        (PERCENT, (128, 120)),  # pictures that are hardly larger
        (PERCENT[:3], (320, 240)),  # too few to tell
        ([*PERCENT, (300, 200, 350, 240)], (640, 480)),
    ],
)
def test_pixels_of_other_pictures_stay_pixels(boxes: list[Box], picture: tuple[int, int]) -> None:
    assert settle(*boxes, picture=picture) == (boxes, False, "")


def test_yolo_in_pixels_is_read_as_pixels() -> None:
    notice = "boxes.csv: the numbers are read as pixels, because none is a fraction of its image."
    assert settle((10, 10, 50, 60), shape="centres", in_fractions=True) == ([(10, 10, 50, 60)], False, notice)


def test_coco_with_two_corners_is_read_as_such() -> None:
    corners: list[Box] = [(10, 10, 60, 70), (40, 30, 90, 70), (5, 5, 20, 20), (60, 50, 99, 79)]
    as_read = [(left, top, left + right, top + bottom) for left, top, right, bottom in corners]
    notice = "boxes.csv: the boxes are read as two corners, because 2 of 4 make no sense as left, top, width, height."
    assert settle(*as_read, shape="extents") == (corners, False, notice)


def test_columns_of_corners_that_hold_a_size_are_read_as_such() -> None:
    boxes: list[Box] = [(50, 10, 20, 40), (10, 50, 30, 20), (10, 10, 30, 30), (60, 40, 30, 30)]
    notice = "boxes.csv: the boxes are read as left, top, width, height, because 3 of 4 make no sense as two corners."
    assert settle(*boxes) == ([(50, 10, 70, 50), (10, 50, 40, 70), (10, 10, 40, 40), (60, 40, 90, 70)], False, notice)


def test_yolo_with_two_corners_is_read_as_such() -> None:
    corners: list[Box] = [(0.1, 0.1, 0.9, 0.9), (0.5, 0.5, 0.9, 0.9), (0.2, 0.2, 0.4, 0.4), (0.6, 0.1, 1.0, 0.5)]
    as_read = [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for x, y, w, h in corners]
    boxes, in_fractions, sentence = settle(*as_read, shape="centres", in_fractions=True)
    assert boxes == [pytest.approx(box) for box in corners]
    assert in_fractions
    assert sentence == "boxes.csv: the boxes are read as two corners, because 2 of 4 make no sense as centre and size."


def test_a_centre_and_a_size_are_read_as_such() -> None:
    centres: list[Box] = [(50, 40, 90, 70), (20, 20, 30, 40), (80, 60, 40, 40), (50, 70, 10, 20)]
    corners = [(5, 5, 95, 75), (5, 0, 35, 40), (60, 40, 100, 80), (45, 60, 55, 80)]
    as_read = [(x, y, x + w, y + h) for x, y, w, h in centres]
    notice = (
        "boxes.csv: the boxes are read as centre and size, because 3 of 4 make no sense as left, top, width, height."
    )
    assert settle(*as_read, shape="extents") == (corners, False, notice)


def test_boxes_that_make_sense_in_two_other_ways_are_an_error() -> None:
    with pytest.raises(DataError) as caught:
        settle((50, 40, 20, 30), (40, 30, 42, 40), (60, 40, 20, 10), (50, 50, 20, 20))
    assert str(caught.value) == (
        "/data/boxes.csv: 3 of 4 boxes make no sense as two corners, and all of them do as left, top, width, height "
        "and as centre and size.\n"
        "  Expected: boxes as two corners, as the format defines them\n"
        "  Fix: convert the boxes to the format's layout."
    )


@pytest.mark.parametrize(
    "boxes",
    [
        [(50, 10, 20, 40)] * 5,  # a tool that counts from the right
        [(50, 10, 20, 40), *[(10, 10, 40, 40)] * 9],  # a slip of the hand
        [(50, 10, 20, 40), (10, 10, 40, 40), (90, 70, 30, 30), (10, 10, 20, 20)],  # no sense as sizes either
        [(50, 10, 20, 40), (10, 10, 40, 40)],  # too few to tell
    ],
)
def test_exchanged_corners_are_no_sizes(boxes: list[Box]) -> None:
    assert settle(*boxes) == (boxes, False, "")


def test_images_of_unknown_size_and_without_boxes_tell_nothing() -> None:
    item = Annotation(Path("1.jpg"), None, (BoxLabel(0.1, 0.1, 0.5, 0.5),))
    assert settle_units({item.image: item}, {}, source=Path("b")) == ({item.image: item}, ())
