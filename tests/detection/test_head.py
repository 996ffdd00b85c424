"""The dense head's layers: shapes for maps of any size, an untrained answer, and weights that survive."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tlkit.detection.grid import Grid
from tlkit.detection.head import PRIOR, build_detector, make_grid

ODD = ((39, 39, 6), (19, 19, 8), (9, 9, 10))


def build(shapes: tuple[tuple[int, int, int], ...], *, num_classes: int = 3) -> tuple[keras.Model, Grid]:
    """Return a small head on maps of these shapes, and its locations."""
    maps = [keras.Input(shape) for shape in shapes]
    return keras.Model(maps, build_detector(maps, num_classes=num_classes, units=4, dropout=0.5)), make_grid(maps)


@pytest.mark.parametrize(
    "shapes",
    [
        ((8, 8, 6), (4, 4, 8), (2, 2, 10)),
        ODD,
        ((38, 38, 6), (19, 19, 8), (10, 10, 10)),
        ((7, 12, 4), (4, 6, 4)),
        ((5, 5, 4),),
    ],
)
def test_there_is_an_answer_at_each_location_of_maps_of_any_size(shapes: tuple[tuple[int, int, int], ...]) -> None:
    model, grid = build(shapes)
    assert grid.map_sizes == tuple(shape[:2] for shape in shapes)
    assert model.output.shape == (None, grid.num_locations, 7)
    assert model.output.dtype == "float32"


def test_an_untrained_head_finds_next_to_nothing_and_has_no_preference() -> None:
    model, grid = build(((8, 8, 6), (4, 4, 8)))
    rng = np.random.default_rng(0)
    answers = np.asarray(model([rng.normal(0, 9, (2, 8, 8, 6)), rng.normal(0, 9, (2, 4, 4, 8))]))
    np.testing.assert_allclose(1 / (1 + np.exp(-answers[..., 4:])), PRIOR, rtol=1e-5)
    assert not answers[..., :4].any()
    assert answers.shape == (2, grid.num_locations, 7)


def test_names_of_weights_are_the_same_for_every_head_and_unique() -> None:
    first, second = (build(ODD)[0] for _ in range(2))
    names = [weight.path for weight in first.weights]
    assert names == [weight.path for weight in second.weights]
    assert len(set(names)) == len(names)


def test_answers_follow_what_is_seen_and_where() -> None:
    model, grid = build(((8, 8, 6), (4, 4, 8)))
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        if "kernel" in weight.path:
            weight.assign(np.abs(rng.normal(size=weight.shape)))  # so that no ReLU hides a change
    maps = [np.zeros((1, 8, 8, 6), np.float32), np.zeros((1, 4, 4, 8), np.float32)]
    still = np.asarray(model(maps))
    maps[0][0, 0, 0] = 1.0
    moved = np.abs(np.asarray(model(maps)) - still).max(axis=-1)[0]
    assert moved[0] > 0
    far = (grid.centres > 0.7).any(axis=1)
    assert not moved[far & (grid.levels == 0)].any()
    maps = [np.zeros((1, 8, 8, 6), np.float32), np.zeros((1, 4, 4, 8), np.float32)]
    maps[1][0, 0, 0] = 1.0
    moved = np.abs(np.asarray(model(maps)) - still).max(axis=-1)[0]
    assert moved[0] > 0, "the finest level knows what the coarser map shows"
