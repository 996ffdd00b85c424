"""Sums over rows, in parts, give the regression that the rows give."""

from __future__ import annotations

import numpy as np

from tlkit.metrics.moments import Moments

RNG = np.random.default_rng(0)
X = RNG.normal(2.0, 1.0, (60, 4)).astype(np.float32)
Y = (X @ RNG.normal(size=(4, 2)) + 3.0 + RNG.normal(0, 0.1, (60, 2))).astype(np.float32)
WEIGHTS = RNG.integers(0, 3, 60).astype(np.float32)


def sum_up(rows: slice, weights: np.ndarray = WEIGHTS) -> Moments:
    moments = Moments.start(4, 2)
    moments.add(X[rows], Y[rows], weights[rows])
    return moments


def test_parts_together_give_the_ridge_regression_of_their_weighted_rows() -> None:
    coefficients, intercept = Moments.total([sum_up(slice(0, 25)), sum_up(slice(25, 60))]).solve(0.3)
    times = WEIGHTS.astype(int)
    x, y = np.repeat(X, times, axis=0).astype(np.float64), np.repeat(Y, times, axis=0).astype(np.float64)
    centred, spread = x - x.mean(axis=0), np.cov(x.T, bias=True)
    penalty = 0.3 * np.trace(spread) / 4 * np.eye(4)
    expected = np.linalg.solve(centred.T @ centred / len(x) + penalty, centred.T @ (y - y.mean(axis=0)) / len(x))
    np.testing.assert_allclose(coefficients, expected, atol=1e-5)
    np.testing.assert_allclose(intercept, y.mean(axis=0) - x.mean(axis=0) @ expected, atol=1e-4)


def test_a_part_is_not_changed_by_the_total() -> None:
    part = sum_up(slice(0, 25))
    before = part.sums.copy()
    Moments.total([part, sum_up(slice(25, 60))])
    np.testing.assert_array_equal(part.sums, before)


def test_without_rows_nothing_is_predicted() -> None:
    coefficients, intercept = Moments.start(4, 2).solve(0.3)
    assert not coefficients.any()
    assert not intercept.any()
    assert (coefficients.shape, intercept.shape) == ((4, 2), (2,))
