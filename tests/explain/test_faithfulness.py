from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tlkit.explain.faithfulness import (
    correlate_ranks,
    make_centre_map,
    make_mosaic,
    measure_energy_in_box,
    points_into_box,
    score_deletion,
    score_insertion_and_deletion,
)

PICTURE = np.zeros((56, 56, 3), np.uint8)
PICTURE[8:24, 32:48] = 255
TRUE_MAP = np.zeros((7, 7), np.float32)
TRUE_MAP[1:3, 4:6] = 1


def measure_square(pictures: NDArray[np.uint8]) -> NDArray[np.floating[Any]]:
    """Return the brightness of the place where the square is, 0..1."""
    found: NDArray[np.floating[Any]] = pictures[:, 8:24, 32:48].mean(axis=(1, 2, 3)) / 255
    return found


def test_a_true_map_deletes_faster_than_a_guess_and_a_false_one_slower() -> None:
    found = score_deletion(PICTURE, TRUE_MAP, measure_square)
    assert found.by_map < 0.55
    assert found.gain > 0.1
    assert score_deletion(PICTURE, 1 - TRUE_MAP, measure_square).gain < -0.1
    assert score_deletion(PICTURE, TRUE_MAP, measure_square) == found


def test_insertion_and_deletion_tell_true_from_false() -> None:
    fine = np.kron(TRUE_MAP, np.ones((8, 8), np.float32))
    for evidence in (TRUE_MAP, fine):
        inserted, deleted = score_insertion_and_deletion(PICTURE, evidence, measure_square)
        assert inserted > deleted + 0.2
    inserted, deleted = score_insertion_and_deletion(PICTURE, -TRUE_MAP, measure_square)
    assert inserted < deleted - 0.2


def test_evidence_is_measured_in_a_box() -> None:
    box = (32 / 56, 8 / 56, 48 / 56, 24 / 56)
    assert points_into_box(TRUE_MAP, box)
    assert not points_into_box(make_centre_map((7, 7)), box)
    assert measure_energy_in_box(TRUE_MAP - 1, (0, 0, 1, 1)) != measure_energy_in_box(TRUE_MAP, (0, 0, 1, 1))
    assert measure_energy_in_box(TRUE_MAP, box) == pytest.approx(1.0)
    assert measure_energy_in_box(np.ones((7, 7)), (0, 0, 0.5, 1)) == pytest.approx(0.5)
    assert np.isnan(measure_energy_in_box(-TRUE_MAP, box))


def test_a_mosaic_shows_the_middle_of_both_pictures() -> None:
    first, second = (np.full((8, 8, 3), value, np.uint8) for value in (10, 200))
    beside, left, right = make_mosaic(first, second, is_upright=False)
    assert (beside[:, :4] == 10).all()
    assert (beside[:, 4:] == 200).all()
    assert (left, right) == ((0, 0, 0.5, 1), (0.5, 0, 1, 1))
    above, top, bottom = make_mosaic(first, second, is_upright=True)
    assert (above[:4] == 10).all()
    assert (above[4:] == 200).all()
    assert (top, bottom) == ((0, 0, 1, 0.5), (0, 0.5, 1, 1))


def test_ranks_are_correlated() -> None:
    values = np.arange(9.0).reshape(3, 3)
    assert correlate_ranks(values, values**3) == pytest.approx(1)
    assert correlate_ranks(values, -values) == pytest.approx(-1)
    assert correlate_ranks(values, np.zeros((3, 3))) == 0
