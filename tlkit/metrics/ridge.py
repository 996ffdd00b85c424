"""Ridge regression that tries all strengths with one decomposition, judged by exact leave-one-out errors.

With X the standardised inputs of n training images, and M those of a second block times a multiplier m, let
K = X Xᵀ + m² M Mᵀ and G = K + λI. The intercept is not penalized. The leave-one-out prediction of image i is

    yᵢ - λ [G⁻¹ y]ᵢ / (λ [G⁻¹]ᵢᵢ - 1/n)          (Golub, Heath and Wahba 1979; 1/n is what the intercept adds)

X Xᵀ is decomposed once, via Xᵀ X if there are fewer inputs than images; then each λ costs one matrix product. M is
added by the Woodbury identity, at a cost that grows with its number of columns. The means and scales of the inputs are
those of all n images. Each block is scaled so that X Xᵀ and M Mᵀ have trace n, so λ and m do not depend on the widths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.whitenings import CENTRE, STANDARDISED, WITH_MATRIX, Whitening

Matrix = NDArray[np.float64]

STRENGTHS = np.logspace(3, -3, 9)
"""Values of λ to try, as multiples of the mean eigenvalue of X Xᵀ, strongest first."""
MULTIPLIERS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Values of m to try; 0 ignores the second block."""
_MIN_SPREAD = 1e-6
_MIN_EIGENVALUE = 1e-10
_MIN_FREEDOM = 1e-9


@dataclass(frozen=True, eq=False)
class Standardiser:
    """(value - mean) * weight, float64 (width,) each, times a matrix; constant inputs have weight 0.

    Attributes:
        mean: Float64 (width,).
        weight: Float64 (width,).
        matrix: Float64 (width, new width); None for no change.
    """

    mean: Matrix
    weight: Matrix
    matrix: Matrix | None = None

    def apply(self, block: NDArray[np.floating[Any]]) -> Matrix:
        """Return float64 (n, width), or (n, new width)."""
        inputs: Matrix = (block.astype(np.float64) - self.mean) * self.weight
        return inputs if self.matrix is None else inputs @ self.matrix


def fit_standardiser(block: NDArray[np.floating[Any]], whitening: Whitening = STANDARDISED) -> Standardiser:
    """Fit means and weights that give all inputs the same spread, and X Xᵀ a trace of n; or whiten the inputs.

    Args:
        block: Float (n, width).
        whitening: none is standard. A ridge regression makes no difference between pca and zca.
    """
    values = block.astype(np.float64)
    mean, spread = values.mean(axis=0), values.std(axis=0)
    varies = spread > _MIN_SPREAD * np.abs(values).max(axis=0, initial=0.0)
    weight = np.zeros_like(spread)
    if whitening.kind == CENTRE:
        weight[varies] = 1.0 / np.sqrt(np.square(spread[varies]).sum())
    else:
        weight[varies] = 1.0 / (spread[varies] * np.sqrt(varies.sum()))
    standardiser = Standardiser(mean, weight)
    if whitening.kind not in WITH_MATRIX or not varies.any():
        return standardiser
    inputs = standardiser.apply(block)
    values, vectors = _decompose(inputs)
    directions, variances = (inputs.T @ vectors) / np.sqrt(values), values / len(block)
    lowered = np.maximum(variances, whitening.floor * variances.max())
    total = float((variances / lowered).sum())
    return Standardiser(mean, weight, directions / np.sqrt(lowered * total))


@dataclass(frozen=True, eq=False)
class RidgeFit:
    """The fit for one strength and one multiplier.

    Attributes:
        strength: λ.
        multiplier: m.
        left_out: Leave-one-out predictions of the training images, float64 (n, outputs).
        duals: G⁻¹ y, float64 (n, outputs).
    """

    strength: float
    multiplier: float
    left_out: Matrix
    duals: Matrix


@dataclass(frozen=True, eq=False)
class _FirstSolution:
    """The solution of the first block alone for one λ.

    Attributes:
        strength: λ.
        weights: (X Xᵀ + λI)⁻¹ has these on the eigenvectors, and 1/λ on all that they do not span: float64 (r,).
        duals: (X Xᵀ + λI)⁻¹ y, float64 (n, outputs).
        diagonal: Diagonal of (X Xᵀ + λI)⁻¹, float64 (n,).
    """

    strength: float
    weights: Matrix
    duals: Matrix
    diagonal: Matrix


class RidgePath:
    """The decomposed first block of a fold, ready to be fitted alone or with any second block.

    Args:
        block: Float (n, d), n >= 1, d >= 1: the inputs of the training images.
        targets: Float (n, outputs).
        whitening: What is made of the block; none is standard.
    """

    def __init__(
        self,
        block: NDArray[np.floating[Any]],
        targets: NDArray[np.floating[Any]],
        whitening: Whitening = STANDARDISED,
    ) -> None:
        self.standardiser = fit_standardiser(block, whitening)
        self.inputs = self.standardiser.apply(block)
        self.intercept: Matrix = targets.astype(np.float64).mean(axis=0)
        self._centred = targets - self.intercept
        num_varying = max(1, int((self.standardiser.weight > 0).sum()))
        self._values, self._vectors = _decompose(self.inputs)
        self._first_solutions = self._solve_first(STRENGTHS * max(1.0, len(block) / num_varying))

    def fit(
        self,
        choose: Callable[[Matrix], tuple[float, ...]],
        second: NDArray[np.floating[Any]] | None = None,
    ) -> Ridge:
        """Return the candidate whose leave-one-out predictions `choose` ranks highest; the strongest wins ties.

        Args:
            choose: Takes predictions, float64 (n, outputs), and returns a sort key; higher is better.
            second: Float (n, w): the second block's inputs of the same images.
        """
        standardiser = None if second is None else fit_standardiser(second)
        inputs = None if second is None or standardiser is None else standardiser.apply(second)
        best = max(self.iterate_candidates(inputs), key=lambda candidate: choose(candidate.left_out))
        coefficients = self.inputs.T @ best.duals
        others = None if inputs is None else best.multiplier**2 * (inputs.T @ best.duals)
        return Ridge(self.intercept, self.standardiser, coefficients, standardiser, others)

    def iterate_candidates(self, second: Matrix | None = None) -> Iterator[RidgeFit]:
        """Yield all strengths, strongest first, and with a standardised `second`, all its multipliers."""
        if second is not None:
            second = second[:, second.any(axis=0)]
            seen = self._vectors.T @ second
        for first in self._first_solutions:
            yield self._judge(first.strength, 0.0, first.duals, first.diagonal)
            if second is not None and second.shape[1]:
                solved = self._vectors @ (first.weights[:, None] * seen) + second / first.strength
                inner, turned = np.linalg.eigh(second.T @ solved)
                solved = solved @ turned
                squared, pulls = solved**2, solved.T @ self._centred
                for multiplier in MULTIPLIERS[1:]:
                    shares = 1.0 / (multiplier**-2 + np.maximum(inner, 0.0))
                    duals = first.duals - solved @ (shares[:, None] * pulls)
                    yield self._judge(first.strength, multiplier, duals, first.diagonal - squared @ shares)

    def _solve_first(self, strengths: Matrix) -> list[_FirstSolution]:
        seen, squared = self._vectors.T @ self._centred, self._vectors**2
        solutions: list[_FirstSolution] = []
        for strength in strengths.tolist():
            weights = 1.0 / (self._values + strength) - 1.0 / strength
            duals = self._vectors @ (weights[:, None] * seen) + self._centred / strength
            solutions.append(_FirstSolution(strength, weights, duals, squared @ weights + 1.0 / strength))
        return solutions

    def _judge(self, strength: float, multiplier: float, duals: Matrix, diagonal: Matrix) -> RidgeFit:
        freedom = np.maximum(strength * diagonal - 1.0 / len(diagonal), _MIN_FREEDOM)
        left_out = self._centred + self.intercept - strength * duals / freedom[:, None]
        return RidgeFit(float(strength), multiplier, left_out, duals)


@dataclass(frozen=True, eq=False)
class Ridge:
    """A fitted regression on one block or two.

    Attributes:
        intercept: Float64 (outputs,).
        standardiser: Standardiser of the first block.
        coefficients: Float64 (d, outputs), of the standardised inputs.
        second_standardiser: Standardiser of the second block, if there is one.
        second_coefficients: Float64 (w, outputs), likewise.
    """

    intercept: Matrix
    standardiser: Standardiser
    coefficients: Matrix
    second_standardiser: Standardiser | None = None
    second_coefficients: Matrix | None = None

    def predict(self, block: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]] | None = None) -> Matrix:
        """Predict float64 (n, outputs) from float (n, d) and, if fitted with a second block, float (n, w)."""
        outputs: Matrix = self.standardiser.apply(block) @ self.coefficients + self.intercept
        if second is not None and self.second_standardiser is not None and self.second_coefficients is not None:
            outputs += self.second_standardiser.apply(second) @ self.second_coefficients
        return outputs


def _decompose(inputs: Matrix) -> tuple[Matrix, Matrix]:
    """Return the nonzero eigenvalues, (r,), and eigenvectors, (n, r), of X Xᵀ."""
    num_images, width = inputs.shape
    if width >= num_images:
        values, vectors = np.linalg.eigh(inputs @ inputs.T)
        kept = values > _MIN_EIGENVALUE * num_images
        return values[kept], vectors[:, kept]
    values, turned = np.linalg.eigh(inputs.T @ inputs)
    kept = values > _MIN_EIGENVALUE * num_images
    return values[kept], (inputs @ turned[:, kept]) / np.sqrt(values[kept])
