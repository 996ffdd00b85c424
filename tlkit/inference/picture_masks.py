"""Masks of upright pictures from the answers of a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tlkit.data.mask_views import recover_mask
from tlkit.models.spec import BundleSpec
from tlkit.tasks.mask_text import PLACES


def recover_picture_mask(
    probabilities: NDArray[np.float32],
    picture_size: tuple[int, int],
    spec: BundleSpec,
    mask_size: tuple[int, int] = (PLACES, PLACES),
) -> NDArray[np.uint8]:
    """Return the class at places of the upright image, uint8 (height, width): 0 for background, class + 1.

    Args:
        probabilities: The answer in a row of `Predictor.predict`, float32 (num_row_values,).
        picture_size: (height, width) of the upright image, in pixels.
        spec: The model's description.
        mask_size: (height, width) of the result.
    """
    scores = probabilities.reshape(spec.outputs.answer_shape)
    return recover_mask(
        scores, picture_size=picture_size, image_size=spec.image_size, fit=spec.fit, mask_size=mask_size
    )


def stack_masks(masks: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return masks of `PLACES` x `PLACES` as one array, uint8 (n, PLACES, PLACES); there may be none."""
    return np.stack(masks) if masks else np.zeros((0, PLACES, PLACES), np.uint8)
