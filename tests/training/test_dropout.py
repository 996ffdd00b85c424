"""Masks of dropout from shared random words."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from tlkit.heads import build_head
from tlkit.outputs import CLASSIFICATION
from tlkit.tasks import Outputs
from tlkit.training.dropout import STEPS_OF_A_DRAW, BitDropout, GivenDropout, count_bits, give_masks

NUM_IMAGES = 32
UNITS = 512


def make_dropout(rate: float, *, seed: int = 0) -> BitDropout:
    layer = keras.layers.Dropout(rate)
    layer(keras.Input((UNITS,)))
    return BitDropout((GivenDropout(layer),), seed)


def read_mask(dropout: BitDropout, step: int, *, first: int = 0, num_steps: int = 16) -> NDArray[np.bool]:
    """Return the mask of a step, bool (images, units), of words that begin with the step `first`."""
    words = [keras.ops.convert_to_tensor(each) for each in dropout.draw(first, num_steps, NUM_IMAGES)]
    with dropout.masks(words, keras.ops.convert_to_tensor(step - first), NUM_IMAGES):
        mask: NDArray[np.bool] = dropout.layers[0].keep.numpy()
    return mask


@pytest.mark.parametrize(
    ("rate", "bits"), [(0.5, 1), (0.25, 2), (0.75, 2), (0.125, 4), (0.0625, 4), (0.3125, 4), (1 / 256, 8), (0.3, 16)]
)
def test_as_few_bits_as_state_the_rate_make_masks_of_that_rate(rate: float, bits: int) -> None:
    assert count_bits(rate) == bits
    dropout = make_dropout(rate)
    masks = np.stack([read_mask(dropout, step) for step in range(STEPS_OF_A_DRAW)])
    error = np.sqrt(rate * (1 - rate) / masks.size)
    assert 1 - masks.mean() == pytest.approx(rate, abs=4 * error)


def test_masks_of_steps_that_share_words_are_independent() -> None:
    for rate in (0.5, 0.25, 0.125, 0.3):
        dropout = make_dropout(rate)
        masks = np.stack([read_mask(dropout, step) for step in range(2 * STEPS_OF_A_DRAW)]).astype(np.float64)
        by_step = masks.reshape(len(masks), -1)
        correlations = np.atleast_2d(np.corrcoef(by_step))[np.triu_indices(len(masks), k=1)]
        assert np.abs(correlations).max() < 5 / np.sqrt(by_step.shape[1])
        by_row = np.atleast_2d(np.corrcoef(masks[0]))[np.triu_indices(NUM_IMAGES, k=1)]
        assert np.abs(by_row).max() < 5 / np.sqrt(UNITS)


def test_a_mask_depends_on_seed_and_step_alone() -> None:
    dropout = make_dropout(0.5)
    mask = read_mask(dropout, 9)
    assert np.array_equal(mask, read_mask(dropout, 9, first=8, num_steps=2))
    assert not np.array_equal(mask, read_mask(dropout, 10))
    assert not np.array_equal(mask, read_mask(make_dropout(0.5, seed=1), 9))
    ((fewer,), (more,)) = (dropout.draw(8, 2, num_images) for num_images in (5, NUM_IMAGES))
    assert np.array_equal(fewer, more[:, :5])


@pytest.mark.parametrize(("kind", "rate"), [("linear", 0.5), ("flat", 0.3), ("conv", 0.5)])
def test_a_head_drops_what_its_own_dropout_would(kind: str, rate: float) -> None:
    shape = (16,) if kind == "linear" else (4, 4, 16)
    head = build_head(kind, feature_shape=shape, outputs=Outputs(CLASSIFICATION, 2), dropout=rate, units=8)
    masked, dropout = give_masks(head, 0)
    assert masked.trainable_variables == head.trainable_variables
    (layer,) = dropout.layers
    given = keras.ops.ones((NUM_IMAGES, *head.get_layer("dropout").input.shape[1:]))
    words = [keras.ops.convert_to_tensor(each) for each in dropout.draw(0, 8, NUM_IMAGES)]
    with dropout.masks(words, 3, NUM_IMAGES):
        dropped = layer(given).numpy()
    np.testing.assert_allclose(np.unique(dropped), [0.0, 1 / (1 - rate)], rtol=1e-6)
    if kind == "conv":  # whole channels
        assert np.array_equal(dropped, np.broadcast_to(dropped[:, :1, :1], dropped.shape))


def test_a_head_without_dropout_is_left_as_it_is() -> None:
    head = build_head("linear", feature_shape=(4,), outputs=Outputs(CLASSIFICATION, 2), dropout=0.0, units=1)
    masked, dropout = give_masks(head, 0)
    assert masked is head
    assert dropout.layers == ()
