"""Agreement of masks over images: pooled values, and intervals that hold them."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.metrics.segmentation import measure_agreement, measure_each_image
from tlkit.segmentation.confusion import compute_iou, count_confusions


def draw_counts(num_images: int, *, share_right: float, seed: int = 0) -> np.ndarray:
    """Return counts of images whose masks agree at a share of places; the last of three classes never occurs."""
    rng = np.random.default_rng(seed)
    counts = []
    for _ in range(num_images):
        truth = rng.integers(0, 3, 400).astype(np.uint8)
        shuffled = rng.integers(0, 3, 400).astype(np.uint8)
        counts.append(count_confusions(truth, np.where(rng.random(400) < share_right, truth, shuffled), 3))
    return np.stack(counts)


def test_values_are_those_of_all_images_together() -> None:
    counts = draw_counts(20, share_right=0.7)
    agreement = measure_agreement(counts)
    iou = compute_iou(counts.sum(axis=0))
    assert [each.iou.value if each.iou else None for each in agreement.classes] == pytest.approx([*iou[:3], None])
    assert agreement.miou is not None
    assert agreement.miou.value == pytest.approx(iou[1:3].mean())
    assert agreement.miou_with_background is not None
    assert agreement.miou_with_background.value == pytest.approx(iou[:3].mean())
    assert [each.num_images for each in agreement.classes] == [20, 20, 20, 0]
    assert agreement.classes[3].precision is None
    assert agreement.classes[3].recall is None


def test_intervals_are_those_of_resampled_images() -> None:
    counts = draw_counts(40, share_right=0.6)
    interval = measure_agreement(counts).miou
    assert interval is not None
    rng = np.random.default_rng(5)
    drawn = [np.nanmean(compute_iou(counts[rng.integers(40, size=40)].sum(axis=0))[1:]) for _ in range(2000)]
    assert (interval.low, interval.high) == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.003)
    assert interval.low < interval.value < interval.high


def test_images_without_classes_score_one_only_if_nothing_was_found_there() -> None:
    empty, found = np.zeros((2, 2), int), np.zeros((2, 2), int)
    empty[0, 0], found[0] = 10, (5, 5)
    assert measure_each_image(np.stack([empty, found])).tolist() == [1.0, 0.0]
    assert measure_agreement(np.stack([empty])).miou is None
