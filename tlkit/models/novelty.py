"""Measure how unlike the training images an image is: the part of its feature outside their span.

The centred feature is projected onto the principal directions of the training images. The relative length of the
residual is the sine of the angle to their span: 0 for a feature within it, 1 for an orthogonal one. Features of other
things lie outside, whatever class is predicted (the residual of Wang et al. 2022, "ViM: Out-Of-Distribution with
Virtual-logit Matching", used alone and relative to the feature's length).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_DIRECTIONS = 64
NEVER = 1.0
"""No distance is above it."""
ROUNDING = 1e-5
"""Features of equal images may differ by this fraction of their length between batches."""


@dataclass(frozen=True, eq=False)
class Novelty:
    """The training images' span.

    Attributes:
        mean: Mean of their features, float32 (channels,).
        directions: Orthonormal rows, float32 (k, channels), k >= 1.
    """

    mean: NDArray[np.float32]
    directions: NDArray[np.float32]

    def measure(self, features: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Return the distance of each feature, float (n, channels): float32 (n,), 0..1."""
        centred = features.astype(np.float64) - self.mean
        whole = (centred**2).sum(axis=1)
        within = ((centred @ self.directions.T.astype(np.float64)) ** 2).sum(axis=1)
        outside = np.divide(whole - within, whole, out=np.zeros_like(whole), where=whole > 0)
        distances: NDArray[np.float32] = np.sqrt(np.clip(outside, 0.0, 1.0)).astype(np.float32)
        return distances


def fit_novelty(features: NDArray[np.floating[Any]]) -> Novelty | None:
    """Fit the span of training images.

    Args:
        features: Float (n, channels), n >= 1, finite. A thousand images are plenty.

    Returns:
        At most 64 directions, limited also by half of the channels and by the number of images; None if all features
        are equal except for rounding.
    """
    values = features.astype(np.float64)
    mean = values.mean(axis=0)
    _, lengths, directions = np.linalg.svd(values - mean, full_matrices=False)
    number = min(MAX_DIRECTIONS, values.shape[1] // 2, max(0, len(values) - 1))
    if not number or lengths[0] <= ROUNDING * np.linalg.norm(values):
        return None
    varies = lengths[:number] > 1e-6 * lengths[0]
    return Novelty(mean.astype(np.float32), directions[:number][varies].astype(np.float32))


def pool_features(features: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return vectors unchanged, and the spatial mean of maps, (n, h, w, channels): (n, channels)."""
    return features.astype(np.float32).mean(axis=(1, 2)) if features.ndim == 4 else features


def choose_unknown_above(distances: NDArray[np.floating[Any]], false_alarms: float) -> float:
    """Return the distance above which an image counts as unknown.

    On average, at most the fraction `false_alarms` of new images like the given ones is above it, for any number of
    given images (conformal prediction: Vovk, Gammerman and Shafer 2005, "Algorithmic Learning in a Random World"). If
    there are too few, such as 18 for 0.05, no image is.

    Args:
        distances: Distances of held-out images of the known kinds, float (n,).
        false_alarms: The fraction, 0..1; with 0 nothing is ever unknown.
    """
    # Rounding errors may put the product slightly above an integer.
    rank = math.ceil((len(distances) + 1) * (1 - false_alarms) - 1e-9)
    return float(np.sort(distances)[max(rank, 1) - 1]) if rank <= len(distances) else NEVER
