"""A linear detector finds what the maps show, and nothing that they do not."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.backbones.maps import MapLayout
from tlkit.detection.grid import Grid
from tlkit.metrics.detection_precision import compute_map50
from tlkit.probes.folds import Fold, make_stratified_folds
from tlkit.probes.object_probe import EMPTY, IGNORED, find_wanted, probe_objects
from tlkit.probes.place_maps import PlaceMaps

LAYOUT = MapLayout(((16, 16, 6), (8, 8, 6)))
NUM_IMAGES, EDGE = 60, 0.2


def draw_scenes() -> tuple[np.ndarray, np.ndarray]:
    """Return features in which one channel is high within objects of the first class and another in the second, and a
    third says how far across each place lies from the centre; and the objects, one in most images.
    """
    rng = np.random.default_rng(0)
    objects = np.zeros((NUM_IMAGES, 1, 6), np.float32)
    vectors = []
    for image in range(NUM_IMAGES):
        centre, label = rng.uniform(0.2, 0.8, 2), image % 3
        if label < 2:
            objects[image, 0] = (*(centre - EDGE / 2), *(centre + EDGE / 2), label + 1, 0)
        maps = []
        for height, width, channels in LAYOUT.shapes:
            values = rng.normal(0, 0.1, (height, width, channels))
            across, down = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
            x, y = np.meshgrid(across - centre[0], down - centre[1])
            inside = np.maximum(np.abs(x), np.abs(y)) < EDGE / 2
            if label < 2:
                values[..., label] += np.exp(-(x**2 + y**2) * 400)
                values[..., 2] += np.where(inside, x, 0) * 10
                values[..., 3] += np.where(inside, y, 0) * 10
            maps.append(values.ravel())
        vectors.append(np.concatenate(maps))
    return np.array(vectors, np.float32), objects


VECTORS, OBJECTS = draw_scenes()
FOLDS = make_stratified_folds(OBJECTS[:, 0, 4].tolist(), seed=0)


def probe(vectors: np.ndarray, objects: np.ndarray, folds: tuple[Fold, ...] = FOLDS) -> float:
    """Return the AP50 of a probe."""
    maps = PlaceMaps.fit(lambda images: vectors[images], LAYOUT, num_images=len(vectors), seed=0)
    found = probe_objects(maps, objects, folds, num_classes=2, seed=0)
    assert found.shape == (len(vectors), 100, 6)
    return compute_map50(objects, found)


def test_objects_are_found_in_images_that_were_held_out_and_noise_is_not_learnt() -> None:
    assert probe(VECTORS, OBJECTS) > 0.9
    assert probe(VECTORS, np.roll(OBJECTS, 7, axis=0)) < 0.1


def test_no_image_tells_about_itself() -> None:
    """The first fold predicts the same, whatever objects its own images have."""
    maps = PlaceMaps.fit(lambda images: VECTORS[images], LAYOUT, num_images=NUM_IMAGES, seed=0)
    held_out = FOLDS[0].test
    changed = OBJECTS.copy()
    changed[held_out] = OBJECTS[held_out][::-1]
    first, other = (probe_objects(maps, each, FOLDS, num_classes=2, seed=0) for each in (OBJECTS, changed))
    np.testing.assert_allclose(first[held_out], other[held_out], atol=1e-5)
    assert np.abs(first - other).max() > 1e-3


def test_without_any_object_nothing_is_found() -> None:
    maps = PlaceMaps.fit(lambda images: VECTORS[images], LAYOUT, num_images=NUM_IMAGES, seed=0)
    assert probe_objects(maps, np.zeros_like(OBJECTS), FOLDS, num_classes=2, seed=0)[..., 4].max() == pytest.approx(0)


def test_locations_are_to_answer_as_a_head_learns_it(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = np.array([[[0.4, 0.4, 0.6, 0.6, 2, 0], [0.0, 0.0, 0.3, 0.3, 1, 1]], np.zeros((2, 6))], np.float32)
    wanted = find_wanted(objects, Grid(LAYOUT.sizes))
    assert wanted.labels.shape == (2, 320)
    assert set(wanted.labels[0].tolist()) == {EMPTY, IGNORED, 1}
    np.testing.assert_allclose(wanted.boxes[0][wanted.labels[0] == 1], [[0.4, 0.4, 0.6, 0.6]] * 16)
    assert set(wanted.labels[1].tolist()) == {EMPTY}
    monkeypatch.setattr("tlkit.probes.object_probe._PAIRS_AT_ONCE", 1)
    np.testing.assert_array_equal(find_wanted(objects, Grid(LAYOUT.sizes)).labels, wanted.labels)
