"""The repulsion of t-SNE: every point pushes every other away, by q² (yᵢ - yⱼ) / Z with q = 1 / (1 + |yᵢ - yⱼ|²).

Up to 1,000 points the sums are taken as they stand. For more, the points' charges are spread onto a regular grid,
where the sums are convolutions, done by the fast Fourier transform, and read off again at the points (Linderman et al.
2019, "Fast interpolation-based t-SNE for improved visualization of single-cell RNA-seq data"). Its time grows with the
area of the map, not with the square of the number of points.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]

MAX_EXACT_POINTS = 1000
"""Of so few points, the exact sums take less time than the grid."""
_ROWS_AT_ONCE = 128
"""Rows whose distances stay in the processor's cache."""
_SPACING = 0.4
"""Distance between the nodes of the grid; the kernel's own width is 1."""
_MIN_NODES, _MAX_NODES = 32, 640
_STENCIL = np.arange(-1, 3)
"""Offsets of the four nodes around a point along one axis, for cubic interpolation."""


def compute_repulsion(points: Points) -> Points:
    """Return the sum of the pushes at each point, exactly: float32 (n, 2).

    Args:
        points: Float32 (n, 2), n >= 2.
    """
    across, down = np.ascontiguousarray(points.T)
    pushes = np.empty_like(points)
    total = -float(len(points))
    for start in range(0, len(points), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        gaps = across[rows, None] - across, down[rows, None] - down
        nearness = 1 / (1 + gaps[0] * gaps[0] + gaps[1] * gaps[1])
        total += float(nearness.sum())
        nearness *= nearness
        for axis in (0, 1):
            pushes[rows, axis] = np.einsum("ij,ij->i", nearness, gaps[axis])
    return pushes / np.float32(total)


class GridRepulsion:
    """The same by interpolation, for many points. The kernels' transforms are kept while the size of the grid stays."""

    def __init__(self) -> None:
        self._size = 0
        self._spacing = 0.0
        self._kernels: list[NDArray[np.complex64]] = []
        self._within = np.zeros((16, 16), np.float32)

    def compute(self, points: Points) -> Points:
        """Return the sum of the pushes at each point: float32 (n, 2), within about a twentieth of the exact ones."""
        low = points.min(axis=0)
        span = float((points.max(axis=0) - low).max())
        spacing = max(_SPACING, span / (_MAX_NODES - 4))
        num_nodes = math.ceil(span / spacing) + 4
        self._choose_grid(num_nodes, spacing)
        places = (points - low) / self._spacing + 1
        whole = np.floor(places).astype(np.int32)
        weights = _weigh_cubic(places - whole)
        size = 2 * self._size
        nodes = ((whole[:, 0, None] + _STENCIL) * size)[:, :, None] + (whole[:, 1, None] + _STENCIL)[:, None, :]
        shares = weights[:, 0, :, None] * weights[:, 1, None, :]
        nodes, shares = nodes.reshape(len(points), 16), shares.reshape(len(points), 16)
        charges = np.bincount(nodes.ravel(), shares.ravel(), size * size).astype(np.float32)
        spectrum = np.fft.rfft2(charges.reshape(size, size))
        potential, across, down = (
            np.einsum("ij,ij->i", np.fft.irfft2(spectrum * kernel, s=(size, size)).ravel()[nodes], shares)
            for kernel in self._kernels
        )
        # What a point's spread charge does to itself is near 1, and no part of the sum.
        total = max(
            float(potential.sum() - np.einsum("ij,jk,ik->", shares, self._within, shares, optimize=True)), 1e-12
        )
        pushes: Points = (np.stack([across, down], axis=1) / total).astype(np.float32)
        return pushes

    def _choose_grid(self, num_nodes: int, spacing: float) -> None:
        size = _round_up(max(num_nodes, _MIN_NODES))
        if size == self._size and spacing == self._spacing:
            return
        self._size, self._spacing = size, spacing
        steps = np.fft.fftfreq(2 * size, 1 / (2 * size)).astype(np.float32) * spacing
        nearness = 1 / (1 + steps[:, None] ** 2 + steps[None, :] ** 2)
        offsets = np.stack(np.meshgrid(_STENCIL, _STENCIL, indexing="ij"), axis=2).reshape(16, 2) * spacing
        self._within = 1 / (1 + ((offsets[:, None] - offsets[None]) ** 2).sum(axis=2)).astype(np.float32)
        squared = nearness**2
        kernels = [nearness, squared * steps[:, None], squared * steps[None, :]]
        self._kernels = [np.fft.rfft2(kernel.astype(np.float32)).astype(np.complex64) for kernel in kernels]


def _weigh_cubic(rest: Points) -> Points:
    """Return Lagrange's weights of the four nodes around places, float32 (n, 2) in 0..1: (n, 2, 4)."""
    t = rest
    return np.stack(
        [
            -t * (t - 1) * (t - 2) / 6,
            (t + 1) * (t - 1) * (t - 2) / 2,
            -(t + 1) * t * (t - 2) / 2,
            (t + 1) * t * (t - 1) / 6,
        ],
        axis=2,
    )


def _round_up(number: int) -> int:
    """Return the next number of the form 2^a, 3·2^a or 5·2^a: transforms of such lengths are fast."""
    power: int = 2 ** math.ceil(math.log2(number))
    return min(candidate for candidate in (power, power * 3 // 4, power * 5 // 8) if candidate >= number)
