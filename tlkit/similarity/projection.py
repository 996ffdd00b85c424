"""A map of features: t-SNE, which puts images whose features are alike beside each other in the plane.

The method: features of unit length on their first principal components; for each image its nearest neighbours, with
similarities whose perplexity is given (van der Maaten and Hinton 2008, "Visualizing Data using t-SNE"); positions that
begin at the first two components, and a step that grows with the number of images (Kobak and Berens 2019, "The art of
using t-SNE for single-cell transcriptomics"; Belkina et al. 2019, "Automated optimized parameters for t-SNE").
The same features and seed give the same map. Distances between far groups, and their sizes, mean little.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.interruption import is_interrupted
from tlkit.similarity.repulsion import MAX_EXACT_POINTS, GridRepulsion, Points, compute_repulsion
from tlkit.similarity.search import Rows, find_neighbours, measure_lengths, scale_rows

MAX_LAID_OUT = 20_000
PERPLEXITY = 15.0
_NUM_COMPONENTS = 100
_NEIGHBOURS_PER_PERPLEXITY = 3
_EXAGGERATION = 12.0
_STEPS_EXAGGERATED, _STEPS = 250, 350
NUM_STEPS = _STEPS_EXAGGERATED + _STEPS
_NUM_PLACED_BY = 10
_NUM_HALVINGS = 30


def project_features(
    features: Rows, *, seed: int = 0, advance: Callable[[int], None] | None = None
) -> NDArray[np.float32]:
    """Lay features out in the plane: float32 (n, 2), centred, so that neighbours stay neighbours.

    20,000 rows take about a minute; of more, 20,000 are laid out and each of the others is placed among
    its nearest ones.

    Args:
        features: Float (n, channels), finite, n >= 0; only their directions count.
        seed: Chooses the sample.
        advance: Called with the number of steps done since the last call; there are `NUM_STEPS`.

    Raises:
        KeyboardInterrupt: The process was interrupted.
    """
    num_rows = len(features)
    chosen = np.arange(num_rows)
    if num_rows > MAX_LAID_OUT:
        chosen = np.sort(np.random.default_rng(seed).permutation(num_rows)[:MAX_LAID_OUT])
    components = compute_components(features[chosen], seed=seed)
    laid_out = _lay_out(components, advance or (lambda _: None))
    if len(chosen) == num_rows:
        return laid_out
    points = np.empty((num_rows, 2), np.float32)
    points[chosen] = laid_out
    others = np.setdiff1d(np.arange(num_rows), chosen)
    points[others] = _place_by_neighbours(features[others], features[chosen], laid_out)
    return points


def compute_components(rows: Rows, *, seed: int = 0) -> NDArray[np.float32]:
    """Return the first 100 principal components of rows scaled to unit length: float32 (n, <= 100), the largest first.

    Computed by a few multiplications with a random start (Halko, Martinsson and Tropp 2011, "Finding Structure with
    Randomness"); the sign of each is such that its largest entry is positive.
    """
    scaled = scale_rows(rows, measure_lengths(rows))
    scaled -= scaled.mean(axis=0) if len(rows) else 0
    width = min(_NUM_COMPONENTS + 10, *rows.shape)
    if width < 1:
        return np.zeros((len(rows), 1), np.float32)
    start = np.random.default_rng(seed).standard_normal((rows.shape[1], width), np.float32)
    for _ in range(4):
        start = np.linalg.qr(scaled.T @ np.linalg.qr(scaled @ start)[0])[0]
    left, lengths, _ = np.linalg.svd(scaled @ start, full_matrices=False)
    left *= np.where(left[np.abs(left).argmax(axis=0), np.arange(left.shape[1])] < 0, -1, 1)
    components: NDArray[np.float32] = (left * lengths)[:, :_NUM_COMPONENTS].astype(np.float32)
    return components


@dataclass(frozen=True, eq=False)
class _Attraction:
    """The pull of neighbours.

    Attributes:
        neighbours: Int64 (n, k).
        strengths: Float32 (n, k): how similar each is; they add up to 1/2, and count in both directions.
    """

    neighbours: NDArray[np.int64]
    strengths: NDArray[np.float32]

    def compute(self, points: Points) -> Points:
        """Return the sum of the pulls at each point, away from its neighbours: float32 (n, 2)."""
        pulls = np.empty_like(points)
        gaps = [points[:, axis, None] - points[self.neighbours, axis] for axis in (0, 1)]
        weights = self.strengths / (1 + gaps[0] ** 2 + gaps[1] ** 2)
        flat = self.neighbours.ravel()
        for axis in (0, 1):
            along = weights * gaps[axis]
            pulls[:, axis] = along.sum(axis=1) - np.bincount(flat, along.ravel(), len(points))
        return pulls


def _lay_out(components: NDArray[np.float32], advance: Callable[[int], None]) -> Points:
    num_rows = len(components)
    points = _start(components)
    if num_rows < 4:
        return points
    attraction = _find_attraction(components)
    grid = GridRepulsion()
    repel = compute_repulsion if num_rows <= MAX_EXACT_POINTS else grid.compute
    gains, velocity = np.ones_like(points), np.zeros_like(points)
    with ThreadPoolExecutor(1, thread_name_prefix="repel") as pool:
        for step in range(NUM_STEPS):
            if is_interrupted():
                raise KeyboardInterrupt
            is_early = step < _STEPS_EXAGGERATED
            exaggeration, momentum = (_EXAGGERATION, 0.5) if is_early else (1.0, 0.8)
            rate = num_rows / _EXAGGERATION if is_early else max(200.0, num_rows / _EXAGGERATION)
            pushes = pool.submit(repel, points)
            pulls = attraction.compute(points)
            gradient = 4 * (exaggeration * pulls - pushes.result())
            gains = np.maximum(np.where((gradient > 0) != (velocity > 0), gains + 0.2, gains * 0.8), 0.01)
            velocity = (momentum * velocity - rate * gains * gradient).astype(np.float32)
            points = points + velocity
            points -= points.mean(axis=0)
            advance(1)
    return points


def _start(components: NDArray[np.float32]) -> Points:
    """Return the first two components, so small that all points still attract each other, and never quite equal."""
    points = np.zeros((len(components), 2), np.float32)
    points[:, : components.shape[1]] = components[:, :2]
    scale = float(points[:, 0].std()) if len(points) else 0.0
    noise = np.random.default_rng(0).standard_normal(points.shape, np.float32)
    return (points / scale if scale > 1e-6 else points) * np.float32(1e-4) + noise * np.float32(1e-6)


def _find_attraction(components: NDArray[np.float32]) -> _Attraction:
    num_rows = len(components)
    perplexity = min(PERPLEXITY, (num_rows - 1) / _NEIGHBOURS_PER_PERPLEXITY)
    k = min(num_rows - 1, int(_NEIGHBOURS_PER_PERPLEXITY * perplexity))
    neighbours, cosines = find_neighbours(components, components, k, exclude_self=True)
    strengths = calibrate_similarities(1 - cosines, perplexity) / (2 * num_rows)
    return _Attraction(neighbours, strengths.astype(np.float32))


def calibrate_similarities(distances: NDArray[np.floating[Any]], perplexity: float) -> NDArray[np.float32]:
    """Return similarities exp(-b d) whose perplexity, row by row, is the one given, by bisection of b.

    Args:
        distances: Float (n, k), at least 0.
        perplexity: The effective number of neighbours, 1..k.

    Returns:
        Float32 (n, k); each row adds up to 1.
    """
    gaps = (distances - distances.min(axis=1, keepdims=True)).astype(np.float32)
    scales = gaps.mean(axis=1, keepdims=True)
    gaps /= np.where(scales > 0, scales, 1)
    low, high = np.full((len(gaps), 1), -7.0, np.float32), np.full((len(gaps), 1), 14.0, np.float32)
    for _ in range(_NUM_HALVINGS):
        middle = (low + high) / 2
        weights = np.exp(-np.exp(middle) * gaps)
        sums = weights.sum(axis=1, keepdims=True)
        entropy = np.log(sums) + np.exp(middle) * (weights * gaps).sum(axis=1, keepdims=True) / sums
        is_wide = entropy > np.log(perplexity)
        low, high = np.where(is_wide, middle, low), np.where(is_wide, high, middle)
    weights = np.exp(-np.exp((low + high) / 2) * gaps)
    similarities: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return similarities


def _place_by_neighbours(rows: Rows, base: Rows, points: Points) -> Points:
    """Return the median place of each row's nearest neighbours in the base: float32 (n, 2)."""
    neighbours, _ = find_neighbours(rows, base, _NUM_PLACED_BY)
    placed: Points = np.median(points[neighbours], axis=1).astype(np.float32)
    return placed
