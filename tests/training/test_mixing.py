"""Who is mixed with whom, what a mixture looks like, and what it is to be answered."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tlkit.heads import build_head
from tlkit.outputs import CLASSIFICATION, MULTILABEL, REGRESSION
from tlkit.recipes import TrainingSettings
from tlkit.tasks import Outputs, find_task
from tlkit.training.batches import Batches, EpochPlan, HeldInputs
from tlkit.training.compiled_steps import CompiledSteps
from tlkit.training.loop import StageData
from tlkit.training.metadata_weights import fit_metadata
from tlkit.training.mixing import Mixing, blend, mix_answers, mix_inputs
from tlkit.training.targets import FixedTargets

NOWHERE = np.zeros((2, 0), np.float32)
SWAPPED = np.array([1, 0], np.int32)


def floats(*rows: Any) -> Any:
    """Return a float32 array."""
    return np.array(rows, np.float32)


def test_a_mix_follows_from_seed_and_epoch_alone_and_stays_within_the_batch() -> None:
    mixing = Mixing(mixup=0.4, cutmix=1.0)
    one, same, later, other = (
        mixing.draw([5, 4], seed=seed, epoch=epoch) for seed, epoch in ((3, 1), (3, 1), (3, 2), (4, 1))
    )
    for first, second in zip(one.arrays, same.arrays, strict=True):
        np.testing.assert_array_equal(first, second)
    assert not np.array_equal(one.amounts, later.amounts)
    assert not np.array_equal(one.amounts, other.amounts)
    assert sorted(one.partners[:5]) == [0, 1, 2, 3, 4]
    assert sorted(one.partners[5:]) == [0, 1, 2, 3]
    assert [array.dtype for array in one.arrays] == [np.int32, np.float32, np.float32]


def test_shares_are_drawn_from_the_beta_distribution() -> None:
    """Its variance with both parameters alpha is 1 / (4 (2 alpha + 1))."""
    for alpha in (0.2, 1.0):
        amounts = Mixing(mixup=alpha).draw([20_000], seed=0, epoch=0).amounts
        assert amounts.mean() == pytest.approx(0.5, abs=0.01)
        assert amounts.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.02)


def test_regions_lie_within_the_picture_and_reach_its_corners() -> None:
    mix = Mixing(cutmix=1.0).draw([20_000], seed=0, epoch=0)
    left, top, right, bottom = mix.regions.T
    assert mix.amounts.min() == 1
    assert mix.regions.min() == 0
    assert mix.regions.max() == 1
    assert (left <= right).all()
    assert (top <= bottom).all()
    inside = (left > 0) & (right < 1)
    assert np.allclose((right - left)[inside & (top > 0) & (bottom < 1)].max(), 1.0, atol=0.2)
    np.testing.assert_allclose((right - left)[inside & (top > 0) & (bottom < 1)],
                               (bottom - top)[inside & (top > 0) & (bottom < 1)], atol=1e-6)  # fmt: skip


def test_with_both_half_of_the_images_are_cut_and_half_are_added() -> None:
    mix = Mixing(mixup=0.4, cutmix=1.0).draw([20_000], seed=0, epoch=0)
    is_whole = (mix.regions == [0, 0, 1, 1]).all(axis=1)
    assert is_whole.mean() == pytest.approx(0.5, abs=0.02)
    assert (mix.amounts[~is_whole] == 1).all()


@pytest.mark.parametrize("shape", [(3,), (2, 2, 3)])
def test_mixup_adds_each_image_times_its_share(shape: tuple[int, ...]) -> None:
    inputs = np.stack([np.zeros(shape, np.float32), np.full(shape, 10, np.float32)])
    mixed, shares = mix_inputs(inputs, SWAPPED, floats(0.25, 0.1), NOWHERE)
    np.testing.assert_allclose(mixed, np.stack([np.full(shape, 2.5), np.full(shape, 9)]), rtol=1e-6)
    np.testing.assert_allclose(shares, [0.75, 0.9])


def test_cutmix_pastes_whole_pixels_and_counts_them() -> None:
    inputs = np.stack([np.zeros((4, 8, 3), np.float32), np.full((4, 8, 3), 10, np.float32)])
    regions = floats([0.25, 0.5, 0.76, 1.0], [0.0, 0.0, 0.0, 0.0])
    mixed, shares = mix_inputs(inputs, SWAPPED, floats(1, 1), regions)
    expected = np.zeros((4, 8, 3))
    expected[2:4, 2:6] = 10
    np.testing.assert_array_equal(mixed[0], expected)
    np.testing.assert_array_equal(mixed[1], inputs[1])
    np.testing.assert_allclose(shares, [1 - 8 / 32, 1.0])


def test_a_mixture_of_classes_costs_the_losses_of_both_by_share_and_weight() -> None:
    logits, answers, weights = floats([2, -1, 0], [0, 1, 3]), np.array([0, 2], np.int32), floats(0.5, 2)
    mixed = mix_answers(find_task(CLASSIFICATION), answers, weights, SWAPPED, floats(0.7, 0.2))
    losses = sum(find_task(CLASSIFICATION).compute_losses(answer, logits) * weight for answer, weight in mixed.terms)
    own, other = (find_task(CLASSIFICATION).compute_losses(truth, logits) for truth in (answers, answers[::-1]))
    np.testing.assert_allclose(
        losses, floats(0.7, 0.2) * weights * own + floats(0.3, 0.8) * weights[::-1] * other, rtol=1e-6
    )
    assert np.asarray(mixed.counted).tolist() == [0, 0]  # the larger share of both is that of the first image


def test_a_mixture_of_labels_is_counted_by_those_of_the_larger_share() -> None:
    labels = floats([1, 0, 0], [0, 1, 1])
    mixed = mix_answers(find_task(MULTILABEL), labels, floats(1, 1), SWAPPED, floats(0.7, 0.6))
    np.testing.assert_array_equal(mixed.counted, labels)
    assert len(mixed.terms) == 2


def test_values_are_themselves_mixed() -> None:
    mixed = mix_answers(find_task(REGRESSION), floats([0], [10]), floats(1, 2), SWAPPED, floats(0.75, 0.9))
    ((values, weights),) = mixed.terms
    np.testing.assert_allclose(values, floats([2.5], [9]), rtol=1e-6)
    np.testing.assert_array_equal(weights, [1, 2])
    np.testing.assert_array_equal(mixed.counted, values)


def test_metadata_are_mixed_by_the_shares_of_the_images() -> None:
    np.testing.assert_allclose(
        blend(floats([0, 1], [10, 1]), SWAPPED, floats(0.75, 0.9)), floats([2.5, 1], [9, 1]), rtol=1e-6
    )


def test_a_step_that_does_not_mix_has_nothing_of_it_in_its_graph() -> None:
    given = []

    def step(*arrays: Any) -> dict[str, Any]:
        given.append(len(arrays))
        return {"loss": tf.constant(0.0)}

    nothing, ones = np.zeros((4, 0), np.float32), np.ones(4, np.float32)
    for mixing in (Mixing(), Mixing(mixup=0.4)):
        plan = EpochPlan(4, batch_size=2, num_views=1, seed=0, mixing=mixing)
        batches = Batches(plan, HeldInputs(tf.zeros((4, 3)), 1), FixedTargets(np.zeros(4, np.int32)), nothing, ones)
        (block,) = batches.epoch(0)
        CompiledSteps(step, ("loss",))(block, slice(0, 2), [0.0, 0.0])
    assert given == [7, 10]


def test_metadata_alone_are_learnt_unmixed() -> None:
    """What goes before the first stage sees no pictures that could be cut."""
    num_images = 8
    labels = np.arange(num_images, dtype=np.int32) % 2
    metadata = labels.reshape(-1, 1).astype(np.float32)
    best = []
    for mixing in (Mixing(), Mixing(cutmix=1.0)):
        plan = EpochPlan(num_images, batch_size=8, num_views=0, seed=0, mixing=mixing)
        inputs = HeldInputs(keras.ops.zeros((num_images, 4, 4, 3)), 1)
        batches = Batches(plan, inputs, FixedTargets(labels), metadata, np.ones(num_images, np.float32))
        outputs = Outputs(CLASSIFICATION, 2)
        head = build_head("linear", feature_shape=(3,), outputs=outputs, metadata_width=1, dropout=0.0, units=1)
        best.append(fit_metadata(head, StageData(batches, batches, outputs), TrainingSettings()).best)
    assert best[0] == best[1]
    assert best[0]["accuracy"] == 1.0
