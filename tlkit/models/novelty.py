"""How unlike the training images a picture is: the part of its feature that they do not span.

A feature, less the training images' mean, is projected onto the directions in which these vary most. What is left,
relative to the whole, is the sine of the angle between the two: 0 for a feature within their span, 1 for one at right
angles to it. Features of other things point elsewhere, whatever class the head then names (the residual of Wang et al.
2022, "ViM: Out-Of-Distribution with Virtual-logit Matching", here by itself and relative to the feature's length).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_DIRECTIONS = 64
NEVER = 1.0
"""No distance lies above it."""
ROUNDING = 1e-5
"""Features of equal pictures may differ by so much of their length, from batch to batch."""


@dataclass(frozen=True, eq=False)
class Novelty:
    """The training images' span.

    Attributes:
        mean: float32 (channels,): of their features.
        directions: float32 (k, channels): orthonormal rows, k >= 1.
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
    """Learn the span of training images.

    Args:
        features: Float (n, channels), n >= 1, finite. A thousand images are plenty.

    Returns:
        At most 64 directions, and no more than half of the channels or than the images leave; None if the features are
        equal but for rounding, so that there is no direction in which anything could differ.
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
    """Return vectors as they are, and maps, (n, h, w, channels), as their mean over places: (n, channels)."""
    return features.astype(np.float32).mean(axis=(1, 2)) if features.ndim == 4 else features


def choose_unknown_above(distances: NDArray[np.floating[Any]], false_alarms: float) -> float:
    """Return the distance above which a picture counts as unknown.

    Of new pictures like those given, at most the part `false_alarms` lies above it on average, however few were given
    (Vovk, Gammerman and Shafer 2005, "Algorithmic Learning in a Random World"). With too few for that, such as 18 at
    0.05, nothing does.

    Args:
        distances: Float (n,): of pictures of the known kinds that were not learnt from.
        false_alarms: The part, 0..1; at 0 nothing is ever unknown.
    """
    # The product of whole numbers and a fraction may come out a hair above a whole number.
    rank = math.ceil((len(distances) + 1) * (1 - false_alarms) - 1e-9)
    return float(np.sort(distances)[max(rank, 1) - 1]) if rank <= len(distances) else NEVER
