"""IoU of boxes against areas counted by hand, and against a loop."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.detection.overlaps import compute_iou_matrix

SQUARE = [0, 0, 2, 2]


@pytest.mark.parametrize(
    ("other", "iou"),
    [([0, 0, 2, 2], 1), ([1, 1, 3, 3], 1 / 7), ([1, 0, 2, 2], 1 / 2), ([2, 0, 4, 2], 0), ([5, 5, 6, 6], 0)],
)
def test_iou_is_what_one_counts_on_squared_paper(other: list[float], iou: float) -> None:
    overlaps = compute_iou_matrix(np.array([SQUARE], float), np.array([other], float))
    assert overlaps.dtype == np.float32
    assert overlaps.tolist() == [[pytest.approx(iou)]]


def test_a_box_within_a_crowd_overlaps_it_wholly() -> None:
    boxes, others = np.array([SQUARE, [0, 0, 20, 10]], float), np.array([[0, 0, 10, 10], [0, 0, 10, 10]], float)
    overlaps = compute_iou_matrix(boxes, others, crowd=np.array([False, True]))
    np.testing.assert_allclose(overlaps, [[0.04, 1], [0.5, 0.5]])


def test_boxes_without_area_overlap_nothing() -> None:
    assert compute_iou_matrix(np.zeros((1, 4)), np.array([[0, 0, 0, 0], SQUARE], float)).tolist() == [[0, 0]]


def test_many_boxes_of_many_images_agree_with_a_loop() -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 9, (2, 2, 7, 2))
    boxes, others = np.concatenate((low, low + rng.uniform(0, 6, low.shape)), axis=-1)
    overlaps = compute_iou_matrix(boxes, others[:, :5])
    assert overlaps.shape == (2, 7, 5)
    for image, a, b in np.ndindex(overlaps.shape):
        (x0, y0, x1, y1), (u0, v0, u1, v1) = boxes[image, a], others[image, b]
        shared = max(0, min(x1, u1) - max(x0, u0)) * max(0, min(y1, v1) - max(y0, v0))
        whole = (x1 - x0) * (y1 - y0) + (u1 - u0) * (v1 - v0) - shared
        assert overlaps[image, a, b] == pytest.approx(shared / whole, abs=1e-6)
