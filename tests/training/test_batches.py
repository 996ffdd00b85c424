"""Order, views and weights of what a stage is trained on."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from typing import Any

import numpy as np
import pytest

from tlkit.training.batches import Batches, EpochPlan, HeldInputs, ReadInputs, choose_inputs
from tlkit.training.mixing import Mixing
from tlkit.training.targets import FixedTargets, Targets, TargetTable


def make_batches(plan: EpochPlan) -> Batches:
    """Return batches whose inputs tell which image and view were asked for."""
    labels = np.arange(plan.num_images, dtype=np.int32)
    return make(plan, lambda images, views: np.stack([images, views], axis=1), labels)


def make(plan: EpochPlan, inputs: Any, labels: Any) -> Batches:
    """Return batches with labels, no metadata and equal weights; `inputs` may be a function that reads one batch."""
    num_images = plan.num_images
    no_metadata = np.zeros((num_images, 0), np.float32)
    source = ReadInputs(inputs) if callable(inputs) else inputs
    return Batches(plan, source, FixedTargets(labels), no_metadata, np.ones(num_images, np.float32))


def list_batches(batches: Batches, epoch: int) -> list[tuple[list[Any], list[int]]]:
    """Return the inputs and the answers of each batch of an epoch."""
    found = []
    for block in batches.epoch(epoch):
        inputs = np.asarray(block.inputs)[block.rows]
        for start, stop in itertools.pairwise(block.edges):
            found.append((inputs[start:stop].tolist(), block.targets.answers[start:stop].tolist()))
    return found


def test_an_epoch_shows_every_image_once_in_batches_of_nearly_equal_size() -> None:
    batches = list_batches(make_batches(EpochPlan(num_images=33, batch_size=32, num_views=1, seed=0)), 0)
    assert [len(answers) for _, answers in batches] == [17, 16]
    assert sorted(batches[0][1] + batches[1][1]) == list(range(33))
    for inputs, answers in batches:
        assert [image for image, _ in inputs] == answers


def test_metadata_and_weights_go_with_their_image() -> None:
    plan = EpochPlan(num_images=20, batch_size=6, num_views=1, seed=0)
    numbers = np.arange(20, dtype=np.float32)
    batches = dataclasses.replace(make_batches(plan), metadata=numbers[:, None], weights=numbers + 100)
    for block in batches.epoch(0):
        np.testing.assert_array_equal(np.asarray(block.metadata)[:, 0], block.targets.answers)
        np.testing.assert_array_equal(np.asarray(block.weights), block.targets.answers + 100)


def test_order_and_views_follow_from_seed_and_epoch_alone() -> None:
    plan = EpochPlan(num_images=50, batch_size=8, num_views=4, seed=7)

    def draw(plan: EpochPlan, epoch: int) -> list[Any]:
        return list_batches(make_batches(plan), epoch)

    assert draw(plan, 3) == draw(plan, 3)
    assert draw(plan, 3) != draw(plan, 4)
    assert draw(plan, 3) != draw(EpochPlan(num_images=50, batch_size=8, num_views=4, seed=8), 3)


def test_all_cached_views_are_drawn_over_the_epochs() -> None:
    plan = EpochPlan(num_images=40, batch_size=8, num_views=3, seed=0)
    counts = np.bincount(np.concatenate([view for epoch in range(30) for view in plan.draw(epoch)[1]]), minlength=3)
    assert counts.min() > 300


def test_without_a_cache_every_epoch_asks_for_a_new_view() -> None:
    plan = EpochPlan(num_images=4, batch_size=2, num_views=0, seed=0)
    assert [set(np.concatenate(plan.draw(epoch)[1]).tolist()) for epoch in range(3)] == [{1}, {2}, {3}]


def test_few_images_are_shown_several_times_in_an_epoch_in_other_views() -> None:
    plan = EpochPlan(num_images=5, batch_size=4, num_views=0, seed=0, num_passes=3)
    batches = list_batches(make_batches(plan), 1)
    assert [len(answers) for _, answers in batches] == [4, 4, 4, 3]
    shown = [tuple(each) for inputs, _ in batches for each in inputs]
    assert sorted(shown) == [(image, view) for image in range(5) for view in (4, 5, 6)]
    assert shown[:5] != shown[5:10] != shown[10:]
    cached = dataclasses.replace(plan, num_views=9)
    views = np.concatenate(cached.draw(0)[1])
    assert len(set(views.tolist())) > 3
    assert all(answers == [image for image, _ in inputs] for inputs, answers in list_batches(make_batches(cached), 0))


def test_validation_keeps_the_order_and_the_pictures_as_they_are() -> None:
    order, views = EpochPlan(num_images=5, batch_size=2, num_views=1, seed=None).draw(9)
    assert np.concatenate(order).tolist() == [0, 1, 2, 3, 4]
    assert not np.concatenate(views).any()


def list_mixes(batches: Batches, epoch: int) -> list[list[Any]]:
    """Return partners and amounts of each batch of an epoch."""
    found = []
    for block in batches.epoch(epoch):
        assert block.mix is not None
        for start, stop in itertools.pairwise(block.edges):
            found.append([array[start:stop].tolist() for array in block.mix.arrays])
    return found


def test_each_batch_has_the_same_mix_whatever_block_it_comes_in() -> None:
    plan = EpochPlan(num_images=100, batch_size=10, num_views=3, seed=5, mixing=Mixing(mixup=0.4))
    held, read, least = (choose(free, []) for free in (10**6, 4 * 4 * 30 * 8, 0))
    for epoch in range(2):
        expected = list_mixes(make(plan, held, np.arange(100)), epoch)
        assert len(expected) == 10
        assert [sorted(partners) for partners, _, _ in expected] == [list(range(10))] * 10
        assert list_mixes(make(plan, read, np.arange(100)), epoch) == expected
        assert list_mixes(make(plan, least, np.arange(100)), epoch) == expected


def test_mixing_leaves_order_and_views_as_they_are_and_validation_unmixed() -> None:
    plain = EpochPlan(num_images=50, batch_size=8, num_views=4, seed=7)
    mixed = dataclasses.replace(plain, mixing=Mixing(mixup=0.4))
    assert list_batches(make_batches(mixed), 3) == list_batches(make_batches(plain), 3)
    for plan in (plain, dataclasses.replace(mixed, seed=None)):
        assert all(block.mix is None for block in make_batches(plan).epoch(0))


def test_reading_stays_a_few_batches_ahead_and_no_more() -> None:
    asked: list[int] = []
    arrived = threading.Semaphore(0)

    def read(images: Any, views: Any) -> Any:
        asked.append(len(images))
        arrived.release()
        return images

    plan = EpochPlan(num_images=100, batch_size=10, num_views=1, seed=0)
    epoch = make(plan, read, np.zeros(100, np.int32)).epoch(0)
    next(epoch)
    for _ in range(3):
        assert arrived.acquire(timeout=5)
    assert len(asked) == 3
    epoch.close()  # type: ignore[attr-defined]


def choose(free_bytes: int, asked: list[int]) -> Any:
    """Choose inputs for 100 images in 3 views of 8 bytes each, in batches of 10, and note how many are read at once."""

    def read(images: Any, views: Any) -> Any:
        asked.append(len(images))
        return np.stack([images, views], axis=1).astype(np.float32)

    return choose_inputs(read, num_images=100, num_views=3, batch_size=10, row_bytes=8, free_bytes=free_bytes)


def test_features_that_fit_into_a_quarter_of_the_memory_are_read_once() -> None:
    asked: list[int] = []
    plan = EpochPlan(num_images=100, batch_size=10, num_views=3, seed=0)
    held = choose(4 * 100 * 3 * 8, asked)
    for epoch in range(2):
        assert sum(1 for _ in make(plan, held, np.arange(100)).epoch(epoch)) == 1
    assert asked == [300]
    assert isinstance(choose(4 * 100 * 3 * 8 - 1, asked), ReadInputs)


def test_features_that_do_not_fit_are_read_in_windows_that_do() -> None:
    asked: list[int] = []
    plan = EpochPlan(num_images=100, batch_size=10, num_views=3, seed=0)
    inputs = choose(4 * 4 * 30 * 8, asked)
    assert len(list_batches(make(plan, inputs, np.arange(100)), 0)) == 10
    assert asked == [30, 30, 30, 10]
    assert inputs.blocks_ahead == 1


def test_an_epoch_is_the_same_held_in_memory_or_read_in_windows() -> None:
    plan = EpochPlan(num_images=100, batch_size=10, num_views=3, seed=5)
    held, read, least = (choose(free, []) for free in (10**6, 4 * 4 * 30 * 8, 0))
    assert isinstance(held, HeldInputs)
    for epoch in range(2):
        expected = list_batches(make(plan, held, np.arange(100)), epoch)
        assert list_batches(make(plan, read, np.arange(100)), epoch) == expected
        assert list_batches(make(plan, least, np.arange(100)), epoch) == expected


def test_the_truth_of_cached_views_is_asked_for_once() -> None:
    def read_targets(images: Any, views: Any) -> Targets:
        boxes = np.stack([images, views, images, views], axis=1).astype(np.float32)
        return Targets((10 * images + views).astype(np.int32), boxes, views.astype(np.float32))

    table = TargetTable.of(read_targets, num_images=4, num_views=3)
    images, views = np.array([3, 0, 1]), np.array([2, 0, 1])
    for found, expected in zip(
        vars(table(images, views)).values(), vars(read_targets(images, views)).values(), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_a_failing_reader_fails_the_epoch() -> None:
    def read(images: Any, views: Any) -> Any:
        raise RuntimeError("gone")

    plan = EpochPlan(num_images=4, batch_size=2, num_views=1, seed=0)
    with pytest.raises(RuntimeError, match=r"^gone$"):
        list(make(plan, read, np.zeros(4, np.int32)).epoch(0))
