"""Whitening: inputs without correlations, by a matrix fitted on training images.

Let z be standardised inputs, (n, d), and C = zᵀ z / n = V diag(λ) Vᵀ their covariance. Then, with a floor f,

    W = V diag(1 / √max(λ, f))     PCA whitening: the inputs in the principal directions, each with variance 1
    W Vᵀ                           ZCA whitening: the same turned back, the closest to z (Bell and Sejnowski 1997)

z W has the covariance I, except in directions with λ < f, whose variance is λ / f: they hold little but noise, and with
fewer images than inputs some have no variance at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.whitenings import PCA

Matrix = NDArray[np.float64]
ROWS_AT_ONCE = 8192


@dataclass(eq=False)
class Moments:
    """The mean and covariance of rows that come in parts.

    Attributes:
        num_rows: Rows so far.
    """

    num_rows: int = 0
    _origin: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    _sums: Matrix = field(default_factory=lambda: np.zeros(0))
    _products: Matrix = field(default_factory=lambda: np.zeros((0, 0)))

    def add(self, rows: NDArray[np.floating[Any]]) -> None:
        """Add rows, float (n, d), n >= 1; a covariance costs n d² multiply-adds in float32."""
        if not self.num_rows:
            self._origin = rows.astype(np.float64).mean(axis=0).astype(np.float32)
            self._sums, self._products = np.zeros(rows.shape[1]), np.zeros((rows.shape[1],) * 2)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            # Sums of squared deviations from a value near the mean lose no digits.
            part = rows[start : start + ROWS_AT_ONCE].astype(np.float32) - self._origin
            self._sums += part.sum(axis=0, dtype=np.float64)
            self._products += part.T @ part
        self.num_rows += len(rows)

    def read(self) -> tuple[Matrix, Matrix]:
        """Return the mean, float64 (d,), and the covariance, divided by the number of rows, float64 (d, d)."""
        shift = self._sums / self.num_rows
        return self._origin + shift, self._products / self.num_rows - np.outer(shift, shift)


def compute_whitening(covariance: Matrix, kind: str, *, floor: float) -> Matrix:
    """Return W, float64 (d, d), so that inputs with this covariance times W are white.

    Args:
        covariance: Of the inputs, float64 (d, d).
        kind: pca or zca.
        floor: The lowest eigenvalue that is made 1, as a fraction of the largest one, above 0.
    """
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1], vectors[:, ::-1]
    largest = np.abs(vectors).argmax(axis=0)
    vectors = vectors * np.sign(vectors[largest, np.arange(len(values))])  # otherwise the library chooses the sign
    lowest = floor * values[0]
    whitening: Matrix = vectors / np.sqrt(np.maximum(values, lowest if lowest > 0 else 1.0))
    return whitening if kind == PCA else whitening @ vectors.T
