from __future__ import annotations

import numpy as np
import pytest

from tlkit.audit.box_features import pool_boxes
from tlkit.backbones.maps import MapLayout

LAYOUT = MapLayout(((4, 4, 2), (2, 2, 1)))


def test_a_box_has_the_mean_of_the_cells_that_it_covers_each_map_of_unit_length() -> None:
    fine = np.zeros((4, 4, 2), np.float32)
    fine[1, 2] = (9, 16)
    fine[1, 3] = (9, 0)
    coarse = np.array([[1, 4], [-9, 0]], np.float32)
    vector = np.concatenate([fine.ravel(), coarse.ravel()])
    boxes = np.array([[0.5, 0.25, 0.75, 0.5], [0.5, 0.25, 1.0, 0.5], [0.0, 0.5, 0.5, 1.0]])
    pooled = pool_boxes(vector, boxes, LAYOUT)
    assert pooled.shape == (3, 3)
    assert pooled.dtype == np.float16
    np.testing.assert_allclose(pooled[0], [0.6, 0.8, 1], atol=1e-3)
    np.testing.assert_allclose(pooled[1] ** 2, [9 / 17, 8 / 17, 1], atol=2e-3)
    np.testing.assert_allclose(pooled[2], [0, 0, -1], atol=1e-3)


def test_cells_count_by_the_part_that_is_covered_and_nothing_lies_outside() -> None:
    vector = np.zeros(LAYOUT.width, np.float32)
    vector[:2], vector[2:4] = (1, 0), (0, 1)  # the first two cells of the fine map
    boxes = np.array([[0.125, 0, 0.5, 0.25], [-0.5, -0.5, 0.25, 0.25], [1.5, 1.5, 2.0, 2.0]])
    pooled = pool_boxes(vector, boxes, LAYOUT)
    assert pooled[0, 1] / pooled[0, 0] == pytest.approx(np.sqrt(2), rel=1e-2)
    np.testing.assert_allclose(pooled[1, :2], [1, 0], atol=1e-3)
    np.testing.assert_array_equal(pooled[2], 0)
