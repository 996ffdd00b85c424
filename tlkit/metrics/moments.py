"""Ridge regression from sums over rows, which are added up part by part: any parts together give a fit without the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Moments:
    """Weighted sums over rows of inputs x and targets y.

    Attributes:
        sums: Of the products of (1, x) with (1, x, y), float64 (1 + inputs, 1 + inputs + targets).
    """

    sums: NDArray[np.float64]

    @classmethod
    def start(cls, num_inputs: int, num_targets: int) -> Self:
        """Return the moments of no rows."""
        return cls(np.zeros((1 + num_inputs, 1 + num_inputs + num_targets)))

    @classmethod
    def total(cls, parts: Sequence[Self]) -> Self:
        """Return the moments of the rows of all parts, at least one."""
        return cls(np.sum([part.sums for part in parts], axis=0))

    def add(self, x: NDArray[np.float32], y: NDArray[np.float32], weights: NDArray[np.float32]) -> None:
        """Add rows: float32 (n, inputs), (n, targets) and (n,); the weights are 0 or more."""
        inputs = np.concatenate([np.ones((len(x), 1), np.float32), x], axis=1)
        weighted = inputs * weights[:, None]
        self.sums[:] += weighted.T @ np.concatenate([inputs, y], axis=1)

    def solve(self, strength: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the coefficients and the intercept of a ridge regression, float32 (inputs, targets) and (targets,).

        Without rows all are 0.

        Args:
            strength: The penalty, above 0, as a multiple of the mean variance of the inputs.
        """
        means = self.sums / (self.sums[0, 0] or 1.0)
        num_inputs = len(means) - 1
        mean_x, mean_y = means[0, 1 : num_inputs + 1], means[0, num_inputs + 1 :]
        spread = means[1:, 1 : num_inputs + 1] - np.outer(mean_x, mean_x)
        shared = means[1:, num_inputs + 1 :] - np.outer(mean_x, mean_y)
        spread[np.diag_indices_from(spread)] += strength * max(float(np.trace(spread)) / num_inputs, _TINY)
        coefficients = np.linalg.solve(spread, shared)
        return coefficients.astype(np.float32), (mean_y - mean_x @ coefficients).astype(np.float32)
