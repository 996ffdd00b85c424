"""A linear segmenter finds what the maps show, and nothing that they do not."""

from __future__ import annotations

import numpy as np

from tlkit.backbones.maps import MapLayout
from tlkit.probes.folds import make_stratified_folds
from tlkit.probes.mask_probe import probe_masks
from tlkit.probes.place_maps import PlaceMaps
from tlkit.segmentation.confusion import IGNORED, compute_iou, compute_mean_of_classes, count_all_confusions

LAYOUT = MapLayout(((12, 12, 3), (6, 6, 4)))
NUM_IMAGES = 30


def draw_masks() -> tuple[np.ndarray, np.ndarray]:
    """Return features, of which the coarse map tells where something is and the fine one its class; and the masks."""
    rng = np.random.default_rng(0)
    masks = np.zeros((NUM_IMAGES, 12, 12), np.uint8)
    vectors = []
    for image, mask in enumerate(masks):
        top, left = rng.integers(0, 4, 2) * 2
        mask[top : top + 6, left : left + 6] = 1 + image % 2
        fine, coarse = rng.normal(0, 0.1, (12, 12, 3)), rng.normal(0, 0.1, (6, 6, 4))
        fine[..., 1] += np.where(mask == 2, 1.0, 0.0)
        coarse[..., 2] += mask[::2, ::2] > 0
        vectors.append(np.concatenate([fine.ravel(), coarse.ravel()]))
    masks[:, 0] = IGNORED
    return np.array(vectors, np.float32), masks


VECTORS, MASKS = draw_masks()
FOLDS = make_stratified_folds((np.arange(NUM_IMAGES) % 2).tolist(), seed=0)


def probe(masks: np.ndarray) -> np.ndarray:
    maps = PlaceMaps.fit(lambda images: VECTORS[images], LAYOUT, num_images=NUM_IMAGES, seed=0)
    found = np.full(masks.shape, IGNORED, np.uint8)
    for image, scores in probe_masks(maps, masks, FOLDS, num_classes=2, seed=0):
        assert scores.shape == (12, 12, 3)
        found[image] = scores.argmax(axis=-1)
    return found


def score(masks: np.ndarray) -> float:
    return float(compute_mean_of_classes(compute_iou(count_all_confusions(masks, probe(masks), 2).sum(axis=0))))


def test_classes_are_found_in_images_that_were_held_out_and_noise_is_not_learnt() -> None:
    assert score(MASKS) > 0.7
    assert score(np.roll(MASKS, 5, axis=0)) < 0.35


def test_no_image_tells_about_itself() -> None:
    changed = MASKS.copy()
    held_out = FOLDS[0].test
    changed[held_out] = MASKS[held_out][::-1]
    first, other = probe(MASKS), probe(changed)
    np.testing.assert_array_equal(first[held_out], other[held_out])
    assert (first != other).any()
