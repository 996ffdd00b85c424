"""Where the locations of a dense head lie, and what their four numbers mean."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.detection.grid import Grid, count_answer_values, decode_boxes, encode_boxes


def test_locations_are_the_centres_of_the_cells_row_by_row_and_map_by_map() -> None:
    grid = Grid(((2, 3), (1, 1)))
    assert grid.num_locations == 7
    x, y = [1 / 6, 3 / 6, 5 / 6], [1 / 4, 3 / 4]
    expected = [(x[0], y[0]), (x[1], y[0]), (x[2], y[0]), (x[0], y[1]), (x[1], y[1]), (x[2], y[1]), (0.5, 0.5)]
    np.testing.assert_allclose(grid.centres, expected, rtol=1e-6)
    np.testing.assert_allclose(grid.cells, [(1 / 3, 1 / 2)] * 6 + [(1, 1)], rtol=1e-6)
    assert grid.levels.tolist() == [0] * 6 + [1]
    assert [x.dtype.name for x in (grid.centres, grid.cells, grid.levels)] == ["float32", "float32", "int32"]


@pytest.mark.parametrize("sizes", [((40, 40), (20, 20), (10, 10)), ((39, 39), (19, 19), (9, 9)), ((5, 7),)])
def test_every_location_of_every_map_can_describe_any_box(sizes: tuple[tuple[int, int], ...]) -> None:
    grid = Grid(sizes)
    rng = np.random.default_rng(0)
    low = rng.uniform(-0.3, 1, (20, 1, 2))
    boxes = np.concatenate((low, low + rng.uniform(0.01, 1, (20, 1, 2))), axis=-1)
    decoded = decode_boxes(encode_boxes(boxes, grid), grid)
    assert decoded.shape == (20, grid.num_locations, 4)
    np.testing.assert_allclose(decoded, np.broadcast_to(boxes, decoded.shape), atol=1e-5)


def test_numbers_of_zero_describe_two_cells_about_the_location() -> None:
    grid = Grid(((2, 2), (1, 1)))
    expected = [
        (-0.25, -0.25, 0.75, 0.75),
        (0.25, -0.25, 1.25, 0.75),
        (-0.25, 0.25, 0.75, 1.25),
        (0.25, 0.25, 1.25, 1.25),
    ]
    np.testing.assert_allclose(decode_boxes(np.zeros((5, 4), np.float32), grid), [*expected, (-0.5, -0.5, 1.5, 1.5)])


def test_a_wild_answer_is_still_a_finite_box() -> None:
    grid = Grid(((3, 3),))
    assert np.isfinite(decode_boxes(np.full((9, 4), 1e4, np.float32), grid)).all()


def test_an_answer_is_a_box_and_a_logit_of_each_class() -> None:
    assert count_answer_values(3) == 7
