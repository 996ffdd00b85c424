"""Heads of segmentation: their grid, names of layers, and that they learn places."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from tlkit.segmentation.head import build_conv_segmenter, build_linear_segmenter
from tlkit.segmentation.losses import compute_segmentation_losses

BUILDERS = {"linear": build_linear_segmenter, "conv": build_conv_segmenter}
SHAPES = ((8, 8, 4), (4, 4, 6), (2, 2, 8))


def build(kind: str, shapes: tuple[tuple[int, int, int], ...] = SHAPES, **settings: Any) -> keras.Model:
    """Return a head on maps as a model."""
    keras.utils.set_random_seed(0)
    maps = [keras.Input(shape) for shape in shapes]
    answer = BUILDERS[kind](maps, **({"num_outputs": 3, "units": 8, "dropout": 0.0} | settings))
    return keras.Model(maps, answer)


@pytest.mark.parametrize("kind", BUILDERS)
@pytest.mark.parametrize("sizes", [((8, 8), (4, 4)), ((13, 13), (7, 7), (4, 4)), ((25, 30), (12, 15)), ((5, 5),)])
def test_the_answer_has_the_places_of_the_finest_map(kind: str, sizes: tuple[tuple[int, int], ...]) -> None:
    head = build(kind, tuple((*size, 4) for size in sizes))
    assert head.output.shape == (None, *sizes[0], 3)
    assert head.output.dtype == "float32"


@pytest.mark.parametrize("kind", BUILDERS)
def test_an_untrained_head_has_no_preference(kind: str) -> None:
    maps = [np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32) for shape in SHAPES]
    assert (np.asarray(build(kind)(maps)) == 0).all()


@pytest.mark.parametrize("kind", BUILDERS)
def test_a_head_learns_what_maps_of_different_strides_know(kind: str) -> None:
    rng = np.random.default_rng(0)
    fine = rng.integers(0, 2, (16, 8, 8, 1))
    coarse = rng.integers(0, 2, (16, 2, 2, 1))
    maps = [np.tile(fine, (1, 1, 1, 4)), np.zeros((16, 4, 4, 6)), np.tile(coarse, (1, 1, 1, 8))]
    maps = [each.astype(np.float32) for each in maps]
    masks = (fine * (1 + coarse.repeat(4, axis=1).repeat(4, axis=2)))[..., 0].astype(np.uint8)
    head = build(kind)
    head.compile(keras.optimizers.Adam(0.05), loss=lambda true, given: compute_segmentation_losses(true, given))
    head.fit(maps, masks, epochs=40, batch_size=16, verbose=0)
    found = head.predict(maps, verbose=0).argmax(axis=-1)
    # Bilinear enlargement blurs the coarse map by half a cell at the edges of its cells.
    assert (found == masks)[:, [0, 1, 6, 7]][:, :, [0, 1, 6, 7]].mean() > 0.97


def test_a_head_can_be_finer_than_the_finest_map() -> None:
    assert build("conv", finer=2).output.shape == (None, 16, 16, 3)
