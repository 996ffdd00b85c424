"""Outlines as masks: exact at the centres of pixels, and as COCO's own tools draw them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from tlkit.data.formats.mask_shapes import check_area, draw_segmentation, draw_shape, fill_polygon

SIZE = (40, 50)


def test_a_rectangle_fills_the_pixels_whose_centres_it_holds() -> None:
    filled = fill_polygon(np.array([[10.0, 5.0], [20.4, 5.0], [20.4, 15.6], [10.0, 15.6]]), SIZE)
    rows, columns = np.nonzero(filled)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, 15, 10, 19)
    assert filled.sum() == 11 * 10


def test_a_polygon_beyond_the_edges_is_cut() -> None:
    whole = fill_polygon(np.array([[-9.0, -9.0], [90.0, -9.0], [90.0, 90.0], [-9.0, 90.0]]), SIZE)
    assert whole.all()
    assert not fill_polygon(np.array([[60.0, 5.0], [70.0, 5.0], [70.0, 15.0]]), SIZE).any()
    assert not fill_polygon(np.array([[5.0, 50.0], [9.0, 50.0], [9.0, 60.0]]), SIZE).any()


def test_a_polygon_is_even_and_odd_at_every_centre() -> None:
    points = np.random.default_rng(1).uniform((0, 0), (50, 40), (9, 2))
    filled = fill_polygon(points, SIZE)
    for row in range(0, 40, 3):
        for column in range(0, 50, 3):
            x, y = column + 0.5, row + 0.5
            crossings = 0
            for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
                if (y0 > y) != (y1 > y) and x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x:
                    crossings += 1
            assert filled[row, column] == (crossings % 2 == 1)


def test_run_lengths_are_read_as_coco_tools_write_them() -> None:
    coco = pytest.importorskip("pycocotools.mask", reason="install pycocotools to compare with it")
    rng = np.random.default_rng(0)
    for share in (0.0, 0.02, 0.5, 1.0):
        mask = rng.random(SIZE) < share
        encoded = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        compressed = {"size": list(SIZE), "counts": encoded["counts"].decode()}
        drawn = draw_segmentation(compressed, SIZE)
        assert drawn is not None
        assert (drawn == mask).all()


def test_polygons_differ_from_those_of_coco_tools_only_at_their_edges() -> None:
    coco = pytest.importorskip("pycocotools.mask", reason="install pycocotools to compare with it")
    outlines = [[5.2, 5.1, 44.0, 9.5, 30.3, 35.9], [3.0, 30.0, 12.0, 30.0, 12.0, 38.0, 3.0, 38.0]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools' own, of NumPy 2
        theirs = coco.decode(coco.merge(coco.frPyObjects(outlines, *SIZE))).astype(bool)
    ours = draw_segmentation(outlines, SIZE)
    assert ours is not None
    grown = np.pad(ours, 1)
    neighbours = [grown[y : y + 40, x : x + 50] for y in range(3) for x in range(3)]
    assert (theirs <= np.any(neighbours, axis=0)).all()
    assert (theirs >= np.all(neighbours, axis=0)).all()


def test_uncompressed_run_lengths_go_down_the_columns() -> None:
    drawn = draw_segmentation({"size": [2, 3], "counts": [1, 2, 3]}, (2, 3))
    assert drawn is not None
    assert drawn.tolist() == [[False, True, False], [True, False, False]]


@pytest.mark.parametrize(
    "damaged",
    [
        [],
        "text",
        [[1.0, 2.0, 3.0, 4.0]],
        [[1.0, 2.0, 3.0, 4.0, 5.0]],
        [[1.0, 2.0, 3.0, 4.0, float("nan"), 5.0]],
        {"size": [2, 3], "counts": [1, 2]},
        {"size": [3, 2], "counts": [6]},
        {"size": [2, 3], "counts": [7, -1]},
        {"size": [2, 3], "counts": "o"},
        {"size": [2, 3], "counts": "ooooooooooooooo0"},
        {"size": [2, 3], "counts": " "},
    ],
)
def test_damaged_outlines_are_none(damaged: object) -> None:
    assert draw_segmentation(damaged, (2, 3)) is None


def test_shapes_of_labelme_are_drawn() -> None:
    square = draw_shape("rectangle", [[10, 10], [20, 15]], SIZE)
    circle = draw_shape("circle", [[20, 20], [25, 20]], SIZE)
    assert square is not None
    assert circle is not None
    assert square.sum() == 50
    assert abs(circle.sum() - np.pi * 25) < 4
    for kind, points in (
        ("line", [[1, 1], [2, 2]]),
        ("polygon", [[1, 1]]),
        ("polygon", [[1], [2], [3]]),
        ("circle", 5),
    ):
        assert draw_shape(kind, points, SIZE) is None


def test_a_size_must_have_an_area_that_can_be_drawn() -> None:
    assert check_area((1, 1))
    assert not check_area((0, 5))
    assert not check_area((100_000, 100_000))
