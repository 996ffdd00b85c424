"""Cached feature maps of several resolutions as inputs of linear models at every place.

Each map is standardised, and reduced to its principal components: a thousand channels have more freedom than the objects
of a hundred images can fix, and cost more than they tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.maps import MapLayout
from tlkit.probes.folds import Fold

MAX_COMPONENTS = 192
"""Principal components of a map."""
NUM_SAMPLED = 64
"""Images from which means, scales and components are taken."""
_PLACES_SAMPLED = 6_000
_AT_ONCE = 16
_MIN_SPREAD = 1e-6

Maps = list[NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class PlaceMaps:
    """The maps of some images.

    Attributes:
        read: Returns features by position: float16 or float32 (n, *).
        layout: How the maps lie in a feature.
        shifts: The mean of each map's channels, float32 (channels,).
        projections: What takes a map's channels less their means to its components, float32 (channels, components).
    """

    read: Callable[[NDArray[np.int64]], NDArray[Any]]
    layout: MapLayout
    shifts: tuple[NDArray[np.float32], ...]
    projections: tuple[NDArray[np.float32], ...]

    @classmethod
    def fit(
        cls, read: Callable[[NDArray[np.int64]], NDArray[Any]], layout: MapLayout, *, num_images: int, seed: int
    ) -> Self:
        """Take means, scales and components from some of the images; no answers are used.

        Args:
            read: As above.
            layout: As above.
            num_images: Number of images, at least 1.
            seed: Seed of the sample.
        """
        random = np.random.default_rng(seed)
        sample = np.sort(random.permutation(num_images)[:NUM_SAMPLED])
        shifts, projections = [], []
        for number, part in enumerate(layout.parts):
            channels = layout.shapes[number][-1]
            rows = np.concatenate(
                [
                    read(sample[start : start + _AT_ONCE]).reshape(-1, layout.width)[:, part].reshape(-1, channels)
                    for start in range(0, len(sample), _AT_ONCE)
                ]
            )
            rows = rows[random.permutation(len(rows))[:_PLACES_SAMPLED]].astype(np.float32)
            shift, projection = _find_components(rows, random)
            shifts.append(shift)
            projections.append(projection)
        return cls(read, layout, tuple(shifts), tuple(projections))

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of components of each map."""
        return tuple(projection.shape[1] for projection in self.projections)

    def iterate(self, images: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], Maps]]:
        """Yield some of the images, and their maps, float32 (n, height, width, components) each, the finest first."""
        for start in range(0, len(images), _AT_ONCE):
            some = images[start : start + _AT_ONCE]
            vectors = self.read(some).reshape(len(some), -1)
            yield some, [self._reduce(vectors, number) for number in range(len(self.shifts))]

    def _reduce(self, vectors: NDArray[Any], number: int) -> NDArray[np.float32]:
        """Return a map of some images, float32 (n, height, width, components), from their features."""
        values = vectors[:, self.layout.parts[number]].astype(np.float32).reshape(-1, *self.layout.shapes[number])
        reduced = (values - self.shifts[number]) @ self.projections[number]
        return reduced.astype(np.float32, copy=False)


def _find_components(
    rows: NDArray[np.float32], random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the means of the channels, and what takes standardised channels to their principal components.

    The components are found by random projections and one power iteration (Halko, Martinsson and Tropp 2011,
    arXiv:0909.4061). Their scale is such that the variances add up to 1.
    """
    shift, spread = rows.mean(axis=0), rows.std(axis=0)
    scale = np.where(spread > _MIN_SPREAD, 1 / np.maximum(spread, _MIN_SPREAD), 0) / np.sqrt(len(spread))
    scaled = (rows - shift) * scale
    channels = len(shift)
    if channels <= MAX_COMPONENTS:
        return shift, np.diag(scale).astype(np.float32)
    drawn = random.standard_normal((channels, MAX_COMPONENTS + 16)).astype(np.float32)
    basis, _ = np.linalg.qr(scaled.T @ (scaled @ drawn))
    _, _, turned = np.linalg.svd(scaled @ basis, full_matrices=False)
    components = basis @ turned[:MAX_COMPONENTS].T
    return shift, (scale[:, None] * components).astype(np.float32)


def list_fitted(folds: Sequence[Fold]) -> list[NDArray[np.int64]]:
    """Return those images that each fold holds out and that other folds train on, int64 each, ascending."""
    trained = np.unique(np.concatenate([fold.train for fold in folds]))
    return [np.intersect1d(fold.test, trained) for fold in folds]


def nearest_cells(size: int, of: int) -> NDArray[np.int64]:
    """Return which of `of` cells each of `size` cells over the same length lies in, int64 (size,)."""
    return np.minimum(((np.arange(size) + 0.5) * of / size).astype(np.int64), of - 1)
