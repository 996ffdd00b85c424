"""Order, views and weights of what a stage is trained on."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from tlkit.training.batches import Batches, EpochPlan, FixedTruth, compute_class_weights


def make_batches(plan: EpochPlan) -> Batches:
    """Return batches whose inputs tell which image and view were asked for."""
    labels = np.arange(plan.num_images, dtype=np.int32)
    return make(plan, lambda images, views: np.stack([images, views], axis=1), labels)


def make(plan: EpochPlan, read: Any, labels: Any, read_ahead: int = 2) -> Batches:
    """Return batches with labels, no metadata and equal weights."""
    num_images = plan.num_images
    no_metadata = np.zeros((num_images, 0), np.float32)
    return Batches(plan, read, FixedTruth(labels), no_metadata, np.ones(num_images, np.float32), read_ahead)


def test_an_epoch_shows_every_image_once_in_batches_of_nearly_equal_size() -> None:
    batches = list(make_batches(EpochPlan(num_images=33, batch_size=32, num_views=1, seed=0)).epoch(0))
    assert [len(batch.truth.answers) for batch in batches] == [17, 16]
    assert sorted(np.concatenate([batch.truth.answers for batch in batches])) == list(range(33))
    for batch in batches:
        np.testing.assert_array_equal(batch.inputs[:, 0], batch.truth.answers)


def test_order_and_views_follow_from_seed_and_epoch_alone() -> None:
    plan = EpochPlan(num_images=50, batch_size=8, num_views=4, seed=7)

    def draw(plan: EpochPlan, epoch: int) -> list[list[int]]:
        return [batch.inputs.tolist() for batch in make_batches(plan).epoch(epoch)]

    assert draw(plan, 3) == draw(plan, 3)
    assert draw(plan, 3) != draw(plan, 4)
    assert draw(plan, 3) != draw(EpochPlan(num_images=50, batch_size=8, num_views=4, seed=8), 3)


def test_all_cached_views_are_drawn_over_the_epochs() -> None:
    plan = EpochPlan(num_images=40, batch_size=8, num_views=3, seed=0)
    counts = np.bincount(np.concatenate([plan.draw(epoch)[1] for epoch in range(30)]), minlength=3)
    assert counts.min() > 300


def test_without_a_cache_every_epoch_asks_for_a_new_view() -> None:
    plan = EpochPlan(num_images=4, batch_size=2, num_views=0, seed=0)
    assert [set(plan.draw(epoch)[1].tolist()) for epoch in range(3)] == [{1}, {2}, {3}]


def test_validation_keeps_the_order_and_the_pictures_as_they_are() -> None:
    order, views = EpochPlan(num_images=5, batch_size=2, num_views=1, seed=None).draw(9)
    assert np.concatenate(order).tolist() == [0, 1, 2, 3, 4]
    assert not views.any()


def test_reading_stays_a_few_batches_ahead_and_no_more() -> None:
    asked: list[int] = []
    arrived = threading.Semaphore(0)

    def read(images: Any, views: Any) -> Any:
        asked.append(len(images))
        arrived.release()
        return images

    plan = EpochPlan(num_images=100, batch_size=10, num_views=1, seed=0)
    epoch = make(plan, read, np.zeros(100, np.int32), read_ahead=2).epoch(0)
    next(epoch)
    for _ in range(3):
        assert arrived.acquire(timeout=5)
    assert len(asked) == 3
    epoch.close()  # type: ignore[attr-defined]


def test_a_failing_reader_fails_the_epoch() -> None:
    def read(images: Any, views: Any) -> Any:
        raise RuntimeError("gone")

    plan = EpochPlan(num_images=4, batch_size=2, num_views=1, seed=0)
    with pytest.raises(RuntimeError, match=r"^gone$"):
        list(make(plan, read, np.zeros(4, np.int32)).epoch(0))


def test_balanced_weights_make_every_class_count_alike() -> None:
    labels = np.array([0, 0, 0, 1], dtype=np.int32)
    weights = compute_class_weights(labels, num_classes=2, mode="balanced")
    assert weights.dtype == np.float32
    assert weights[:3].sum() == pytest.approx(weights[3:].sum())
    assert weights.mean() == pytest.approx(1.0)
    assert compute_class_weights(labels, num_classes=2, mode="none").tolist() == [1, 1, 1, 1]
