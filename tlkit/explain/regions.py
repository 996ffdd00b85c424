"""The regions of a mask, as something to be explained: where each class is found, and where the model hesitates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.models.spec import BundleSpec

MAX_REGIONS = 3
"""Classes of a photo that are explained, the largest first."""


@dataclass(frozen=True, eq=False)
class Region:
    """Where a class is found.

    Attributes:
        label: The class, without background: 0 for the first.
        places: Cells of the answer, row by row, int64 (k,).
        is_found: Whether the class is the likeliest there.
    """

    label: int
    places: NDArray[np.int64]
    is_found: bool


def choose_regions(shares: NDArray[np.floating[Any]], spec: BundleSpec, label: int | None) -> list[Region]:
    """Return the regions of a photo to explain.

    Args:
        shares: Probability of each class at each cell, background first, flattened: float (values,), 0..1.
        spec: The model's.
        label: Only this class; None: at most 3 that are found, the largest first.

    Returns:
        Where no class is found, the cell with the highest probability of one.
    """
    by_cell = shares.reshape(-1, spec.outputs.num_answers)
    likeliest = by_cell.argmax(axis=1)
    labels = range(len(spec.class_names)) if label is None else [label]
    found = [Region(each, np.flatnonzero(likeliest == each + 1), is_found=True) for each in labels]
    regions = sorted((region for region in found if len(region.places)), key=lambda region: -len(region.places))
    if regions:
        return regions[:MAX_REGIONS]
    best = max(labels, key=lambda each: float(by_cell[:, each + 1].max()))
    return [Region(best, np.array([int(by_cell[:, best + 1].argmax())]), is_found=False)]


def map_uncertainty(shares: NDArray[np.floating[Any]], spec: BundleSpec) -> NDArray[np.float32]:
    """Return the entropy of the classes at each cell, as a share of the largest possible: 0..1, float32 (h, w).

    Args:
        shares: As for `choose_regions`.
        spec: The model's.
    """
    by_cell = shares.reshape(spec.outputs.answer_shape).astype(np.float32)
    entropy = -(by_cell * np.log(np.maximum(by_cell, np.finfo(np.float32).tiny))).sum(axis=-1)
    uncertainty: NDArray[np.float32] = (entropy / np.log(by_cell.shape[-1])).astype(np.float32)
    return uncertainty
