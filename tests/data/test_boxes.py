"""Boxes: brought into the upright picture, checked, chosen and counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tlkit.data.box_views import BoxReport
from tlkit.data.boxes import (
    EMPTY,
    EXCHANGED,
    FOREIGN_SIZE,
    OUTSIDE,
    PARTLY_OUTSIDE,
    SCALED,
    TOO_SMALL,
    UNKNOWN_ROTATION,
    Annotation,
    BoxLabel,
    Complaint,
    check_boxes,
    choose_box,
    compute_fractions,
    parse_numbers,
    parse_size,
    turn_upright,
)
from tlkit.data.images import read_picture
from tlkit.outputs import DETECTION, TASKS, Box

HINT = ("To find all objects of an image, add --task detection.",) if DETECTION in TASKS else ()
IMAGE = Path("/data/1.jpg")
STORED_SIZE = (80, 48)
DRAWN = (10.0, 6.0, 34.0, 20.0)


@pytest.fixture(params=range(1, 9))
def turned(request: pytest.FixtureRequest, encode: Callable[..., bytes]) -> tuple[int, Box]:
    """An EXIF orientation, and where the red rectangle DRAWN of a picture stored so is seen by the loader."""
    picture = Image.new("RGB", STORED_SIZE, (20, 60, 200))
    left, top, right, bottom = map(int, DRAWN)
    ImageDraw.Draw(picture).rectangle((left, top, right - 1, bottom - 1), fill=(230, 30, 30))
    exif = Image.Exif()
    exif[274] = request.param
    seen = read_picture(encode(picture, "JPEG", quality=100, subsampling=0, exif=exif))
    assert seen.size == (STORED_SIZE[::-1] if request.param >= 5 else STORED_SIZE)
    rows, columns = np.nonzero(np.asarray(seen)[..., 0] > 120)
    return request.param, (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def check(
    *corners: tuple[float, float, float, float],
    size: tuple[int, int] | None = (100, 50),
    stored_size: tuple[int, int] = (100, 50),
    orientation: int = 1,
    in_fractions: bool = False,
) -> tuple[list[Box], list[str]]:
    """Return the corners and the kinds of complaint that `check_boxes` gives for boxes of one image."""
    annotation = Annotation(IMAGE, size, tuple(BoxLabel(*each, "cat") for each in corners), in_fractions)
    boxes, complaints = check_boxes(annotation, stored_size=stored_size, orientation=orientation)
    assert all(complaint.path == IMAGE for complaint in complaints)
    assert all(box.class_name == "cat" for box in boxes)
    return [box.corners for box in boxes], [complaint.kind for complaint in complaints]


def test_a_box_is_turned_with_its_picture(turned: tuple[int, Box]) -> None:
    orientation, seen = turned
    assert turn_upright(DRAWN, stored_size=STORED_SIZE, orientation=orientation) == pytest.approx(seen, abs=1e-9)


def test_a_box_in_the_stored_picture_ends_up_where_it_is_seen(turned: tuple[int, Box]) -> None:
    orientation, seen = turned
    if orientation in (2, 3, 4):  # these leave the size as it is, so that it cannot tell
        seen = DRAWN
    boxes, _ = check(DRAWN, size=STORED_SIZE, stored_size=STORED_SIZE, orientation=orientation)
    assert boxes == [pytest.approx(seen, abs=1e-9)]


def test_a_box_in_the_upright_picture_stays(turned: tuple[int, Box]) -> None:
    orientation, seen = turned
    size = STORED_SIZE[::-1] if orientation >= 5 else STORED_SIZE
    boxes, complaints = check(seen, size=size, stored_size=STORED_SIZE, orientation=orientation)
    assert boxes == [seen]
    assert complaints == ([UNKNOWN_ROTATION] if orientation in (2, 3, 4) else [])


@pytest.mark.parametrize("size", [None, (60, 60)])
def test_where_the_size_does_not_tell_boxes_are_upright_and_it_is_said(size: tuple[int, int] | None) -> None:
    stored_size = size or STORED_SIZE
    assert check((1, 2, 30, 40), size=size, stored_size=stored_size, orientation=6) == (
        [(1, 2, 30, 40)],
        [UNKNOWN_ROTATION],
    )
    assert check((1, 2, 30, 40), size=size, stored_size=stored_size) == ([(1, 2, 30, 40)], [])


def test_fractions_are_of_the_upright_picture() -> None:
    boxes, complaints = check((0.25, 0.5, 0.75, 1), size=None, stored_size=(80, 40), orientation=8, in_fractions=True)
    assert boxes == [(10, 40, 30, 80)]
    assert complaints == [UNKNOWN_ROTATION]


def test_boxes_of_a_picture_that_was_resized_are_scaled() -> None:
    boxes, complaints = check((20, 10, 100, 50.5), size=(200, 101))
    assert boxes == [pytest.approx((10, 500 / 101, 50, 25))]
    assert complaints == [SCALED]


def test_boxes_of_a_resized_picture_as_it_is_stored_are_scaled_and_turned() -> None:
    boxes, complaints = check((20, 12, 68, 40), size=(160, 96), stored_size=STORED_SIZE, orientation=6)
    assert boxes == [turn_upright(DRAWN, stored_size=STORED_SIZE, orientation=6)]
    assert complaints == [SCALED]


def test_boxes_of_a_picture_with_other_proportions_are_left_out() -> None:
    assert check((1, 2, 3, 4), (5, 6, 7, 8), size=(100, 52)) == ([], [FOREIGN_SIZE])


@pytest.mark.parametrize("corners", [(10, 10, 10, 20), (10, 20, 30, 20)])
def test_an_empty_box_is_left_out(corners: Box) -> None:
    assert check(corners) == ([], [EMPTY])


@pytest.mark.parametrize("corners", [(30, 10, 20, 40), (20, 40, 30, 10), (30, 40, 20, 10)])
def test_swapped_edges_are_fixed(corners: Box) -> None:
    assert check(corners) == ([(20, 10, 30, 40)], [EXCHANGED])


def test_exchanged_edges_are_told_of_also_where_the_box_is_turned() -> None:
    boxes, complaints = check((34, 6, 10, 20), size=STORED_SIZE, stored_size=STORED_SIZE, orientation=6)
    assert boxes == [turn_upright(DRAWN, stored_size=STORED_SIZE, orientation=6)]
    assert complaints == [EXCHANGED]


@pytest.mark.parametrize(
    ("corners", "clipped"),
    [
        ((-1.5, 5, 20, 20), (0, 5, 20, 20)),
        ((5, -1.5, 20, 20), (5, 0, 20, 20)),
        ((5, 5, 101.5, 20), (5, 5, 100, 20)),
        ((5, 5, 20, 51.5), (5, 5, 20, 50)),
    ],
)
def test_a_box_that_reaches_beyond_the_picture_is_clipped(corners: Box, clipped: Box) -> None:
    assert check(corners) == ([clipped], [PARTLY_OUTSIDE])


def test_one_pixel_beyond_the_picture_is_no_reason_to_complain() -> None:
    assert check((-1, -1, 101, 51)) == ([(0, 0, 100, 50)], [])


@pytest.mark.parametrize("corners", [(-9, 5, 0, 20), (5, -9, 20, 0), (100, 5, 120, 20), (5, 50, 20, 60)])
def test_a_box_outside_the_picture_is_left_out(corners: Box) -> None:
    assert check(corners) == ([], [OUTSIDE])


def test_a_box_of_less_than_a_pixel_is_left_out() -> None:
    assert check((5, 5, 5.9, 20), (5, 5, 20, 5.9), (99.5, 5, 100.5, 20)) == ([], [TOO_SMALL] * 3)
    assert check((5, 5, 6, 6)) == ([(5, 5, 6, 6)], [])


def test_gigantic_numbers_do_no_harm() -> None:
    assert check((-1e308, -1e308, 1e308, 1e308), in_fractions=True) == ([(0, 0, 100, 50)], [PARTLY_OUTSIDE])


def test_an_image_without_boxes_gives_no_complaint() -> None:
    assert check(size=(7, 9), orientation=6) == ([], [])


def test_the_largest_box_is_chosen_and_the_first_of_equal_ones() -> None:
    small, wide, high = BoxLabel(0, 0, 5, 5), BoxLabel(0, 0, 10, 4), BoxLabel(0, 0, 4, 10)
    assert choose_box([small, wide, high]) is wide
    assert choose_box([]) is None


def test_boxes_become_fractions() -> None:
    assert compute_fractions((10, 10, 30, 50), (100, 50)) == pytest.approx((0.2, 0.6, 0.2, 0.8))


@pytest.mark.parametrize("value", ["x", "", "nan", "inf", float("nan"), None, True, [1], 10**400])
def test_what_is_no_finite_number_is_none(value: object) -> None:
    assert parse_numbers([1, value]) is None
    assert parse_size(value, 10) is None


def test_numbers_may_be_texts() -> None:
    assert parse_numbers([1, 2.5, " 3e1 "]) == [1, 2.5, 30]


def test_a_size_of_zero_is_none() -> None:
    assert parse_size("640", 480.0) == (640, 480)
    assert parse_size("0", "0") is None


def test_a_report_counts_images_boxes_and_complaints() -> None:
    report = BoxReport()
    box = BoxLabel(0, 0, 1, 1)
    for number in (0, 0, 1, 2, 3):
        report.add_image([box] * number)
    report.add_complaints([Complaint(EMPTY, IMAGE), Complaint(TOO_SMALL, IMAGE), Complaint(EMPTY, Path("/data/2.jpg"))])
    assert (report.num_images_without, report.num_images_with_one, report.num_images_with_several) == (2, 1, 2)
    assert report.sentences() == (
        "6 boxes on 3 images; 2 images have more than one; the largest is used; 2 images have none.",
        *HINT,
        "2 × box without width or height; skipped, e.g. /data/1.jpg.",
        "1 × box smaller than one pixel; skipped, e.g. /data/1.jpg.",
    )


def test_a_report_of_several_boxes_names_the_task_for_all_of_them_once_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tlkit.data.box_views.TASKS", ("classification", "detection"))
    report = BoxReport()
    report.add_image([BoxLabel(0, 0, 1, 1)])
    assert report.sentences() == ("1 box on 1 image.",)
    report.add_image([BoxLabel(0, 0, 1, 1)] * 2)
    assert report.sentences() == (
        "3 boxes on 2 images; 1 image has more than one; the largest is used.",
        "To find all objects of an image, add --task detection.",
    )


def test_a_report_speaks_of_one_thing_in_the_singular() -> None:
    report = BoxReport()
    report.add_image([BoxLabel(0, 0, 1, 1)])
    assert report.sentences() == ("1 box on 1 image.",)
    report.add_image([BoxLabel(0, 0, 1, 1)] * 2)
    report.add_image([])
    assert report.sentences() == (
        "3 boxes on 2 images; 1 image has more than one; the largest is used; 1 image has none.",
        *HINT,
    )
