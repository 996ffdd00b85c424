"""The loss of masks: what it is zero for, what it leaves alone, and that images do not depend on each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tlkit.segmentation.losses import compute_segmentation_losses


def draw(num_images: int = 3, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return masks of two classes with places to ignore, and logits of an unsure head."""
    rng = np.random.default_rng(seed)
    masks = rng.choice(np.array([0, 0, 0, 1, 2, 255], np.uint8), (num_images, 8, 8))
    return masks, rng.normal(0, 1, (num_images, 8, 8, 3)).astype(np.float32)


def compute(masks: np.ndarray, logits: np.ndarray, **settings: Any) -> np.ndarray:
    """Return the losses as an array."""
    return np.asarray(compute_segmentation_losses(masks, logits, **settings))


def test_cross_entropy_is_the_mean_over_the_places_that_count() -> None:
    masks, logits = draw()
    shares = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    for mask, share, loss in zip(
        masks, shares, compute(masks, logits, dice_weight=0.0, objects_weight=0.0), strict=True
    ):
        rows, columns = np.nonzero(mask != 255)
        assert loss == pytest.approx(-np.log(share[rows, columns, mask[rows, columns]]).mean(), rel=1e-5)


def test_places_with_a_class_count_once_more() -> None:
    masks, logits = draw(1)
    shares = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    rows, columns = np.nonzero((masks[0] > 0) & (masks[0] != 255))
    expected = -np.log(shares[0][rows, columns, masks[0][rows, columns]]).mean()
    apart = [float(compute(masks, logits, dice_weight=0.0, objects_weight=weight)[0]) for weight in (0.0, 0.5)]
    assert apart[1] - apart[0] == pytest.approx(expected / 2, rel=1e-4)


def test_right_and_sure_answers_cost_nothing() -> None:
    masks, _ = draw()
    logits = 40.0 * (np.arange(3) == np.where(masks == 255, 0, masks)[..., None])
    assert compute(masks, logits.astype(np.float32)) == pytest.approx(0, abs=1e-5)


def test_ignored_places_change_nothing_whatever_is_answered_there() -> None:
    masks, logits = draw()
    changed = logits + 9.0 * np.random.default_rng(3).normal(size=logits.shape) * (masks == 255)[..., None]
    assert compute(masks, changed.astype(np.float32)) == pytest.approx(compute(masks, logits), rel=1e-5)


def test_an_image_has_its_own_loss() -> None:
    masks, logits = draw()
    together = compute(masks, logits)
    apart = [float(compute(masks[n : n + 1], logits[n : n + 1])[0]) for n in range(3)]
    assert together == pytest.approx(apart, rel=1e-5)
    assert len(set(apart)) == 3


def test_an_image_with_nothing_to_learn_costs_nothing() -> None:
    masks, logits = draw(1)
    assert compute(np.full_like(masks, 255), logits).tolist() == [0.0]


def test_dice_counts_a_small_class_as_much_as_a_large_one() -> None:
    masks = np.zeros((1, 20, 20), np.uint8)
    masks[0, 0, :2] = 1
    without = np.tile(np.array([20.0, 0.0, 0.0], np.float32), (1, 20, 20, 1))
    entropy, both = (float(compute(masks, without, dice_weight=weight, objects_weight=0.0)[0]) for weight in (0.0, 1.0))
    assert entropy == pytest.approx(20 * 2 / 400, rel=1e-3)
    assert both - entropy == pytest.approx(0.334, abs=0.01)  # background 1, the class 1 / 3 by the smoothing


def test_weights_of_classes_shift_the_mean() -> None:
    masks, logits = draw(1)
    places = [masks[0] == number for number in range(3)]
    parts = [-np.log(np.exp(logits[0])[..., n] / np.exp(logits[0]).sum(axis=-1))[places[n]].sum() for n in range(3)]
    numbers = [int(place.sum()) for place in places]
    weights = (1.0, 4.0, 2.0)
    expected = np.dot(weights, parts) / np.dot(weights, numbers)
    assert compute(masks, logits, dice_weight=0.0, objects_weight=0.0, class_weights=weights)[0] == pytest.approx(
        expected, rel=1e-5
    )
