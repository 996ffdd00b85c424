from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from tlkit.similarity import alignment
from tlkit.similarity.alignment import align_pairs
from tlkit.similarity.pictures import blur_matrix

DrawPhoto = Callable[[int], Image.Image]
Shrink = Callable[[list[Image.Image]], np.ndarray]


def test_a_pair_lies_the_same_alone_and_among_others(draw_photo: DrawPhoto, shrink: Shrink) -> None:
    num_pairs = alignment._PAIRS_AT_ONCE + 3
    photos = [draw_photo(seed) for seed in range(8)]
    parts = [photo.crop((20, 6, 156, 108)) for photo in photos]
    wholes = shrink(photos)[np.arange(num_pairs) % 8]
    others = shrink([*parts, *photos[::-1]])[np.arange(num_pairs) % 16]
    done: list[int] = []
    together = align_pairs(wholes, others, done.append)
    assert done == [num_pairs - 3, 3]
    for number in (0, 9, num_pairs - 1):
        alone = align_pairs(wholes[number : number + 1], others[number : number + 1])
        np.testing.assert_allclose(alone.agreement[0], together.agreement[number], atol=1e-4)
        np.testing.assert_allclose(alone.scale[0], together.scale[number], atol=1e-3)


def test_a_part_that_was_turned_is_laid_on_its_whole(draw_photo: DrawPhoto, shrink: Shrink) -> None:
    photo = draw_photo(3)
    part = photo.crop((10, 12, 146, 114)).transpose(Image.Transpose.ROTATE_270)
    found = align_pairs(shrink([photo]), shrink([part]))
    assert found.agreement[0] > 0.95
    assert (found.orientation[0], found.part_is_first[0]) == (1, False)
    np.testing.assert_allclose(found.scale[0], 0.85, atol=0.02)


def test_no_weight_of_a_blur_is_so_small_that_it_slows_products() -> None:
    """Denormal numbers take ten times as long."""
    weights = blur_matrix(64, 0.8)
    assert weights[weights > 0].min() > np.finfo(np.float32).tiny
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
