"""The map of a picture, computed in blocks, is that of one pass over the whole."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers
from numpy.typing import NDArray

from tlkit.backbones.reach import find_reach, free_size
from tlkit.explain.strips import Block, compute_strips, plan_blocks

STEP, FIRST, LAST = 8, -2, 16
"""Of the trunk below: with even edges TensorFlow pads the end alone of what a stride of two halves."""


@pytest.fixture(scope="module")
def trunk() -> keras.Model:
    keras.utils.set_random_seed(1)
    x = inputs = keras.Input((64, 64, 3))
    for strides in (2, 1, 2):
        x = layers.Conv2D(4, 3, strides=strides, padding="same", activation="relu")(x)
    return keras.Model(inputs, layers.MaxPooling2D(3, strides=2, padding="same")(x))


def plan(trunk: keras.Model, length_px: int, core_px: int) -> list[Block]:
    return plan_blocks(length_px, lambda edge: find_reach(trunk, (edge, edge), name="trunk")[0], core_px=core_px)


@pytest.mark.parametrize("length_px", [50, 88, 89, 96, 400, 403])
def test_each_feature_is_taken_once_from_a_block_with_all_its_pixels(trunk: keras.Model, length_px: int) -> None:
    blocks = plan(trunk, length_px, 64)
    taken = [block.start_px // STEP + place for block in blocks for place in block.kept]
    total_px = -(-length_px // STEP) * STEP
    assert taken == list(range(total_px // STEP))
    for block in blocks:
        end_px = block.start_px + block.length_px
        assert end_px <= total_px
        for place in block.kept:
            assert block.start_px == 0 or place * STEP + FIRST >= 0
            assert end_px == total_px or place * STEP + LAST < block.length_px


def test_strips_are_the_map_of_one_pass(trunk: keras.Model) -> None:
    free = free_size(trunk)
    pixels = np.random.default_rng(1).integers(0, 256, (120, 96, 3), np.uint8)
    sizes = []

    def compute(block: NDArray[np.uint8]) -> NDArray[np.float32]:
        sizes.append(block.shape[:2])
        features: NDArray[np.float32] = np.asarray(free(block[np.newaxis].astype(np.float32), training=False))[0]
        return features

    rows, columns = (plan(trunk, edge, 16) for edge in (120, 96))
    strips = list(
        compute_strips(
            compute, lambda top, left, height, width: pixels[top : top + height, left : left + width], rows, columns
        )
    )
    assert len(sizes) == len(rows) * len(columns) == 30
    assert set(sizes) == {(40, 40)}
    expected = compute(pixels)
    np.testing.assert_allclose(np.concatenate(strips), expected, atol=1e-4 * np.abs(expected).max())
