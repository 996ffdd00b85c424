"""A head learns by its loss to find rectangles that are drawn at known places."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tlkit.detection.decoding import decode_answers
from tlkit.detection.head import build_detector, make_grid
from tlkit.detection.losses import compute_detection_losses
from tlkit.detection.overlaps import compute_iou_matrix

EDGE_PX = 48
CELLS_PX = (4, 8)
NUM_STEPS = 260


def draw_scenes(num_scenes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy pictures (n, 48, 48, 3) with up to two rectangles of two colours, and their targets (n, 2, 6)."""
    rng = np.random.default_rng(seed)
    pictures = rng.normal(0, 0.1, (num_scenes, EDGE_PX, EDGE_PX, 3)).astype(np.float32)
    targets = np.zeros((num_scenes, 2, 6), np.float32)
    for picture, rows in zip(pictures, targets, strict=True):
        for half, row in enumerate(rows[: rng.integers(0, 3)]):
            width, height = rng.integers(8, 17, 2)
            left, top = rng.integers(0, 24 - width + 1) + 24 * half, rng.integers(0, EDGE_PX - height + 1)
            label = rng.integers(0, 2)
            picture[top : top + height, left : left + width, label] += 1
            row[:] = (*(np.array([left, top, left + width, top + height]) / EDGE_PX), label + 1, 0)
    return pictures, targets


def make_maps(pictures: np.ndarray) -> list[np.ndarray]:
    """Return the pixels of each cell as channels: maps that lose nothing."""
    maps = []
    for cell in CELLS_PX:
        edge = EDGE_PX // cell
        split = pictures.reshape(-1, edge, cell, edge, cell, 3).transpose(0, 1, 3, 2, 4, 5)
        maps.append(np.ascontiguousarray(split.reshape(-1, edge, edge, cell * cell * 3)))
    return maps


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    """Train a small head for some hundred steps."""
    maps = [keras.Input((EDGE_PX // cell, EDGE_PX // cell, 3 * cell * cell)) for cell in CELLS_PX]
    keras.utils.set_random_seed(0)
    model = keras.Model(maps, build_detector(maps, num_classes=2, units=32, dropout=0.0))
    grid = make_grid(maps)
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(4e-3, NUM_STEPS))

    @tf.function  # type: ignore[untyped-decorator]
    def step(inputs: list[tf.Tensor], targets: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(compute_detection_losses(targets, model(inputs, training=True), grid))
        slopes = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(slopes, model.trainable_variables, strict=True))

    for number in range(NUM_STEPS):
        pictures, targets = draw_scenes(16, number)
        step(make_maps(pictures), targets)
    return model


def test_drawn_rectangles_are_found_to_within_a_pixel(trained: keras.Model) -> None:
    pictures, targets = draw_scenes(60, 10_000)
    grid = make_grid(trained.inputs)
    detections = decode_answers(np.asarray(trained(make_maps(pictures), training=False)), grid, min_score=0.5)
    errors_px, num_missed, num_invented = [], 0, 0
    for found, rows in zip(detections, targets, strict=True):
        found, rows = found[found[:, 4] > 0], rows[rows[:, 4] > 0]
        hits = (compute_iou_matrix(rows, found) > 0.5) & (rows[:, 4:5] - 1 == found[:, 5])
        num_missed += int((~hits.any(axis=1)).sum())
        num_invented += int((~hits.any(axis=0)).sum())
        errors_px += [abs(rows[a, :4] - found[b, :4]).mean() * EDGE_PX for a, b in zip(*np.nonzero(hits), strict=True)]
    assert (num_missed, num_invented) == (0, 0)
    assert max(errors_px) < 1
