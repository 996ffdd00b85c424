"""Which location answers for which object, by size, centre and what lies in front."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tlkit.detection.assignment import LOCATIONS_PER_OBJECT, assign_locations
from tlkit.detection.grid import Grid

GRID = Grid(((40, 40), (20, 20), (10, 10)))


def assign(*objects: tuple[Any, int, int], grid: Grid = GRID) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the object of each location of one image, -1 without one; and which are ignored."""
    targets = np.zeros((1, len(objects) + 1, 6), np.float32)
    for row, (box, label, ignored) in zip(targets[0], objects, strict=False):
        row[:] = (*box, label + 1, ignored)
    assigned = assign_locations(targets, grid)
    is_assigned = np.asarray(assigned.is_assigned)[0]
    return np.where(is_assigned, np.asarray(assigned.objects)[0], -1), is_assigned, np.asarray(assigned.is_ignored)[0]


def centred(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    """Return a box by its centre and size."""
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


@pytest.mark.parametrize(("size", "level"), [(0.02, 0), (0.19, 0), (0.21, 1), (0.39, 1), (0.41, 2), (0.95, 2)])
def test_the_size_of_an_object_chooses_its_map(size: float, level: int) -> None:
    owner, is_assigned, _ = assign((centred(0.5, 0.5, size, size), 0, 0))
    assert set(GRID.levels[is_assigned]) == {level}
    assert set(owner[is_assigned]) == {0}


@pytest.mark.parametrize("sizes", [((20, 20),), ((40, 40), (10, 10))])
@pytest.mark.parametrize("size", [0.03, 0.15, 0.3, 0.6, 1.0])
def test_no_size_is_left_out_whatever_the_maps(sizes: tuple[tuple[int, int], ...], size: float) -> None:
    assert assign((centred(0.5, 0.5, size, size), 0, 0), grid=Grid(sizes))[1].any()


def test_locations_within_one_and_a_half_cells_of_the_centre_answer() -> None:
    _, is_assigned, _ = assign((centred(0.525, 0.525, 0.3, 0.25), 0, 0))  # the centre of a cell of 0.05
    away = np.abs(GRID.centres[is_assigned] - 0.525).max(axis=1)
    assert is_assigned.sum() == LOCATIONS_PER_OBJECT
    assert away.max() == pytest.approx(0.05)


def test_locations_beside_a_narrow_object_do_not_answer() -> None:
    owner, is_assigned, _ = assign((centred(0.525, 0.5, 0.04, 0.9), 0, 0))
    assert (np.abs(GRID.centres[is_assigned][:, 0] - 0.525) < 0.05).all()
    assert (owner >= 0).any()


def test_an_object_without_a_location_in_it_has_the_cell_of_its_centre() -> None:
    box = centred(0.5 + 0.004, 0.5 + 0.003, 0.004, 0.002)
    assert not ((GRID.centres > box[:2]) & (GRID.centres < box[2:])).all(axis=1).any()
    _, is_assigned, _ = assign((box, 0, 0))
    np.testing.assert_allclose(GRID.centres[is_assigned], [(0.5125, 0.5125)], rtol=1e-5)


def test_the_smaller_of_two_objects_is_in_front() -> None:
    large, small = centred(0.5, 0.5, 0.19, 0.19), centred(0.5, 0.5, 0.05, 0.05)
    for order in ((large, small), (small, large)):
        owner, is_assigned, _ = assign(*((box, 0, 0) for box in order))
        within = ((GRID.centres > small[:2]) & (GRID.centres < small[2:])).all(axis=1) & (GRID.levels == 0)
        assert set(owner[within]) == {order.index(small)}
        assert set(owner[is_assigned]) == {0, 1}


def test_ignored_objects_and_rows_that_fill_up_have_no_locations() -> None:
    box, inner = centred(0.5, 0.5, 0.6, 0.6), centred(0.5, 0.5, 0.1, 0.1)
    owner, is_assigned, is_ignored = assign((box, 0, 1), (inner, 1, 0))
    assert set(owner[is_assigned]) == {1}
    within = ((GRID.centres > box[:2]) & (GRID.centres < box[2:])).all(axis=1)
    assert (is_ignored == (within & ~is_assigned)).all()
    assert not assign()[1].any()
    assert not assign()[2].any()


def test_an_object_clipped_to_nothing_has_no_locations() -> None:
    assert not assign(((1.0, 0.2, 1.0, 0.6), 0, 0))[1].any()
