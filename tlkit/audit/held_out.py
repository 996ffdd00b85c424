"""What the other images say about each: ridge regression, each group of images left out exactly, in blocks.

Features are compressed by a signed square root and scaled to unit length. Two regressions look at them: a linear one, and
one on the Gaussian kernel, spanned by landmarks (Nyström; Williams and Seeger 2000). With Φ the centred inputs of all n
images, A = (ΦᵀΦ + λI)⁻¹ and H = ΦAΦᵀ + 11ᵀ/n, the residuals e of a group g, when the regression is fitted without it, are

    (I - H_gg)⁻¹ e_g

so that copies of one picture do not vouch for each other, at the price of one decomposition for all groups and all λ.
Memory does not grow with the number of images, but for the outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Rows = NDArray[np.floating[Any]]
Advance = Callable[[int], None]

STRENGTHS = np.logspace(1, -4, 11)
"""Values of λ to try, as multiples of the trace of ΦᵀΦ over n, strongest first."""
MAX_LANDMARKS = 1000
SHARPNESS = 2.0
"""The kernel of unit rows at an angle with the cosine c is exp(SHARPNESS (c - 1))."""
NUM_PASSES = 7
"""How often each image is read, for progress."""
_BLOCK_ROWS = 4096
_TINY = 1e-9


@dataclass(frozen=True, eq=False)
class _Inputs:
    """The inputs of a regression, made of features in blocks; `landmarks` and `root` are None for the linear one.

    Attributes:
        centre: Mean of the unit rows, float32 (c,).
        landmarks: Unit rows, float32 (m, c).
        root: K⁻½ of the landmarks, float32 (m, r).
    """

    centre: NDArray[np.float32]
    landmarks: NDArray[np.float32] | None = None
    root: NDArray[np.float32] | None = None

    def apply(self, features: Rows) -> NDArray[np.float32]:
        """Return the inputs, float32 (n, d), of features, float (n, c)."""
        rows = _compress(features) - self.centre
        if self.landmarks is None or self.root is None:
            return rows
        cosines = _scale(rows) @ self.landmarks.T
        inputs: NDArray[np.float32] = np.exp(SHARPNESS * (cosines - 1.0)) @ self.root
        return inputs


def predict_held_out(
    features: Rows,
    targets: Rows,
    groups: NDArray[np.int64],
    *,
    seed: int = 0,
    advance: Advance = lambda count: None,
) -> list[NDArray[np.float32]]:
    """Predict the targets of each image from all images that are not in its group.

    Args:
        features: Float (n, c), finite, n >= 2; a memory map will do.
        targets: Float (n, k): one-hot classes, labels of 0 and 1, or values.
        groups: Group of each image, int64 (n,); -1 for an image on its own. A group of more than half of the images is
            left out image by image.
        seed: Chooses the landmarks.
        advance: Called with the number of images read since the last call; NUM_PASSES times n in all.

    Returns:
        The predictions of each regression, float32 (n, k), in the units of the targets.
    """
    centre = _average(features, _compress, advance)
    kinds = _Inputs(centre), _choose_landmarks(features, centre, seed)
    return [_Regression(features, inputs, targets, advance).predict(groups, advance) for inputs in kinds]


class _Regression:
    """A ridge regression with the strength that leaves the smallest leave-one-out error."""

    def __init__(self, features: Rows, inputs: _Inputs, targets: Rows, advance: Advance) -> None:
        self._features, self._inputs = features, inputs
        self._targets = targets
        self._intercept: Matrix = np.asarray(targets, np.float64).mean(axis=0)
        self._mean, gram, pulls = self._add_up(advance)
        values, self._directions = np.linalg.eigh(gram)
        self._values = np.maximum(values, 0.0)
        self._pulls = self._directions.T @ pulls
        self._choose_strength(advance)

    def predict(self, groups: NDArray[np.int64], advance: Advance) -> NDArray[np.float32]:
        """Return the predictions with the group of each image left out, float32 (n, k)."""
        predicted = np.empty(self._targets.shape, np.float32)
        alone = _find_single_rows(groups)
        for part, block in self._iterate():
            fitted, freedom = self._fit(block, self._strength)
            truth = self._targets[part]
            left_out = truth - (truth - fitted) / np.where(alone[part], freedom, 1.0)[:, None]
            predicted[part] = left_out
            advance(len(block))
        for members in _iterate_groups(groups, alone):
            fitted = predicted[members].astype(np.float64)
            residuals = self._targets[members] - fitted
            predicted[members] = self._targets[members] - self._leave_out(members, residuals)
        return predicted

    def _add_up(self, advance: Advance) -> tuple[Matrix, Matrix, Matrix]:
        """Return the mean of the inputs, (d,), their centred products, (d, d), and those with the targets, (d, k)."""
        total: Any = 0.0
        gram: Any = 0.0
        pulls: Any = 0.0
        for start in range(0, len(self._features), _BLOCK_ROWS):
            part = slice(start, start + _BLOCK_ROWS)
            block = self._inputs.apply(self._features[part])
            total = total + block.sum(axis=0, dtype=np.float64)
            gram = gram + (block.T @ block).astype(np.float64)
            pulls = pulls + block.T.astype(np.float64) @ (self._targets[part] - self._intercept)
            advance(len(block))
        mean = total / len(self._features)
        return mean, gram - len(self._features) * np.outer(mean, mean), pulls

    def _iterate(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yield blocks of rows in the basis of the directions, centred, float32 (b, d)."""
        for start in range(0, len(self._features), _BLOCK_ROWS):
            part = slice(start, start + _BLOCK_ROWS)
            yield part, self._turn(self._features[part])

    def _turn(self, features: Rows) -> NDArray[np.float32]:
        block = self._inputs.apply(features) - self._mean.astype(np.float32)
        turned: NDArray[np.float32] = block @ self._directions.astype(np.float32)
        return turned

    def _choose_strength(self, advance: Advance) -> None:
        # With fewer images than inputs, some eigenvalues are 0, and λ is relative to the mean of all of them.
        strengths = STRENGTHS * max(float(self._values.sum()) / len(self._features), _TINY)
        errors = np.zeros(len(strengths))
        for part, block in self._iterate():
            for place, strength in enumerate(strengths):
                fitted, freedom = self._fit(block, strength)
                errors[place] += float((((self._targets[part] - fitted) / freedom[:, None]) ** 2).sum())
            advance(len(block))
        self._strength = float(strengths[int(errors.argmin())])

    def _fit(self, block: NDArray[np.float32], strength: float) -> tuple[Matrix, Matrix]:
        """Return the fitted values of rows, (b, k), and the part of each residual that is its own, (b,)."""
        weights = 1.0 / (self._values + strength)
        fitted = block @ (weights[:, None] * self._pulls).astype(np.float32) + self._intercept
        leverage = block**2 @ weights.astype(np.float32)
        return fitted, np.maximum(1.0 - leverage - 1.0 / len(self._features), _TINY)

    def _leave_out(self, members: NDArray[np.int64], residuals: Matrix) -> Matrix:
        """Return the residuals of a group, (s, k), when it is left out as a whole."""
        block = self._turn(self._features[members]).astype(np.float64)
        sides = np.sqrt(1.0 / (self._values + self._strength))
        roots = np.column_stack([block * sides, np.full(len(block), len(self._features) ** -0.5)])
        if len(members) <= roots.shape[1]:
            return np.asarray(np.linalg.solve(_identity_minus(roots @ roots.T), residuals), np.float64)
        inner = np.linalg.solve(_identity_minus(roots.T @ roots), roots.T @ residuals)
        return np.asarray(residuals + roots @ inner, np.float64)


def _identity_minus(matrix: Matrix) -> Matrix:
    """Return I - M for a symmetric M with eigenvalues in 0..1, kept from being singular."""
    return (1.0 + _TINY) * np.eye(len(matrix)) - matrix


def _find_single_rows(groups: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether each image is left out by itself: bool (n,)."""
    names, places, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    alone: NDArray[np.bool_] = (names < 0) | (sizes == 1) | (2 * sizes > len(groups))
    return alone[places]


def _iterate_groups(groups: NDArray[np.int64], alone: NDArray[np.bool_]) -> Iterator[NDArray[np.int64]]:
    """Yield the members of each group that is left out as a whole."""
    order = np.argsort(groups, kind="stable")
    order = order[~alone[order]]
    if len(order):
        yield from np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)


def _compress(features: Rows) -> NDArray[np.float32]:
    rows = features.astype(np.float32)
    return _scale(np.sign(rows) * np.sqrt(np.abs(rows)))


def _scale(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0), np.float32)


def _average(features: Rows, change: Callable[[Rows], NDArray[np.float32]], advance: Advance) -> NDArray[np.float32]:
    total = np.zeros(features.shape[1])
    for start in range(0, len(features), _BLOCK_ROWS):
        block = change(features[start : start + _BLOCK_ROWS])
        total += block.sum(axis=0, dtype=np.float64)
        advance(len(block))
    return (total / len(features)).astype(np.float32)


def _choose_landmarks(features: Rows, centre: NDArray[np.float32], seed: int) -> _Inputs:
    number = min(MAX_LANDMARKS, len(features))
    places = np.sort(np.random.default_rng(seed).permutation(len(features))[:number])
    landmarks = _scale(_compress(features[places]) - centre)
    values, vectors = np.linalg.eigh(np.exp(SHARPNESS * (landmarks @ landmarks.T - 1.0)).astype(np.float64))
    kept = values > 1e-6 * values[-1]
    root = vectors[:, kept] / np.sqrt(values[kept])
    return _Inputs(centre, landmarks, root.astype(np.float32))
