from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tlkit.explain.regions import choose_regions, map_uncertainty
from tlkit.explain.subjects import choose_subjects
from tlkit.models.spec import BundleSpec
from tlkit.outputs import SEGMENTATION
from tlkit.recipes import HeadSettings

SPEC = BundleSpec(
    "tiny",
    (32, 32),
    "squash",
    1,
    "maps",
    HeadSettings("segmenter", units=8),
    ("disc", "square"),
    task=SEGMENTATION,
    map_sizes=((2, 3), (1, 1)),
)
BACKGROUND, DISC, SQUARE, DOUBT = (0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.2, 0.2, 0.6), (1 / 3, 1 / 3, 1 / 3)


def make_row(*cells: tuple[float, float, float]) -> NDArray[np.float32]:
    return np.array(cells, np.float32).ravel()


def test_the_classes_that_are_found_are_explained_where_they_are_the_largest_first() -> None:
    row = make_row(BACKGROUND, SQUARE, SQUARE, DISC, SQUARE, BACKGROUND)
    square, disc = choose_regions(row, SPEC, None)
    assert (square.label, square.places.tolist(), square.is_found) == (1, [1, 2, 4], True)
    assert (disc.label, disc.places.tolist()) == (0, [3])
    assert [each.label for each in choose_regions(row, SPEC, 0)] == [0]


def test_a_class_that_is_found_nowhere_is_explained_where_it_is_likeliest() -> None:
    row = make_row(BACKGROUND, (0.5, 0.1, 0.4), BACKGROUND, (0.6, 0.3, 0.1), BACKGROUND, BACKGROUND)
    (any_class,) = choose_regions(row, SPEC, None)
    assert (any_class.label, any_class.places.tolist(), any_class.is_found) == (1, [1], False)
    (disc,) = choose_regions(row, SPEC, 0)
    assert (disc.label, disc.places.tolist(), disc.is_found) == (0, [3], False)


def test_uncertainty_is_one_where_all_classes_are_equally_likely_and_none_where_one_is_sure() -> None:
    row = make_row(DOUBT, (1, 0, 0), DISC, BACKGROUND, BACKGROUND, BACKGROUND)
    uncertainty = map_uncertainty(row, SPEC)
    assert uncertainty.shape == (2, 3)
    assert uncertainty[0].tolist() == pytest.approx([1, 0, 0.5817], abs=1e-4)


def test_a_region_is_measured_by_the_mean_probability_of_its_class_there() -> None:
    row = make_row(BACKGROUND, SQUARE, SQUARE, BACKGROUND, BACKGROUND, BACKGROUND)
    (square,) = choose_subjects(row, np.zeros(18, np.float32), SPEC)
    assert (square.name, square.label, square.box) == ("square", 1, None)
    assert square.outputs.tolist() == [[1 * 3 + 2, 2 * 3 + 2]]
    other = make_row(BACKGROUND, DISC, SQUARE, SQUARE, SQUARE, SQUARE)
    np.testing.assert_allclose(square.measure(np.stack([row, other])), [0.6, 0.35], rtol=1e-6)
