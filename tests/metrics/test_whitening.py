"""Whitening against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.metrics.ridge import fit_standardiser
from tlkit.metrics.whitening import ROWS_AT_ONCE, Moments, compute_whitening
from tlkit.metrics.whitenings import Whitening


def draw_rows(num_rows: int, width: int = 5) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(num_rows, width)) @ rng.normal(size=(width, width)) + 300.0


def test_moments_of_parts_are_those_of_all_rows() -> None:
    rows = draw_rows(ROWS_AT_ONCE + 10).astype(np.float32)
    moments = Moments()
    for part in np.split(rows, [3, 100]):
        moments.add(part)
    mean, covariance = moments.read()
    assert moments.num_rows == len(rows)
    np.testing.assert_allclose(mean, rows.mean(axis=0, dtype=np.float64), rtol=1e-7)
    np.testing.assert_allclose(covariance, np.cov(rows.T, bias=True), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["pca", "zca"])
def test_white_inputs_have_variance_1_and_those_below_the_floor_less(kind: str) -> None:
    covariance = np.cov(draw_rows(200).T, bias=True)
    values, vectors = np.linalg.eigh(covariance)
    floor = float(values[2] / values[-1] * 0.99)  # the two smallest of five lie below it

    whitening = compute_whitening(covariance, kind, floor=floor)

    white = whitening.T @ covariance @ whitening
    left = np.minimum(values / (floor * values[-1]), 1.0)
    if kind == "pca":
        np.testing.assert_allclose(white, np.diag(left[::-1]), atol=1e-9)
    else:
        np.testing.assert_allclose(white, (vectors * left) @ vectors.T, atol=1e-9)
        np.testing.assert_allclose(whitening, whitening.T, atol=1e-9)
    assert left[:2].max() < 0.99


def test_a_covariance_of_nothing_changes_nothing() -> None:
    assert np.isfinite(compute_whitening(np.zeros((3, 3)), "pca", floor=0.1)).all()


@pytest.mark.parametrize("num_rows", [40, 6], ids=["more rows than inputs", "fewer"])
def test_a_ridge_regression_has_white_inputs_of_the_same_total_spread(num_rows: int) -> None:
    rows = draw_rows(num_rows, width=10)
    rows[:, 3] = 7.0  # constant
    inputs = fit_standardiser(rows, Whitening("pca", 1e-6)).apply(rows)
    products = inputs.T @ inputs
    assert np.trace(products) == pytest.approx(num_rows)
    np.testing.assert_allclose(products, np.eye(len(products)) * num_rows / len(products), atol=1e-6)
    same = fit_standardiser(rows, Whitening("zca", 1.0)).apply(
        rows
    )  # the highest floor lifts every variance to the largest
    standard = fit_standardiser(rows).apply(rows)
    np.testing.assert_allclose(same @ same.T, standard @ standard.T, atol=1e-9)
    centred = fit_standardiser(rows, Whitening("centre")).apply(rows)
    assert np.square(centred).sum() == pytest.approx(num_rows)
    assert np.corrcoef(centred[:, 0], rows[:, 0])[0, 1] == pytest.approx(1.0)
