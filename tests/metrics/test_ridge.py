"""The closed form of leave-one-out against regressions that are fitted anew for each image."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.metrics.ridge import RidgePath, fit_standardiser


def make_case(num_images: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(width)
    block = rng.normal(3.0, 2.0, (num_images, width))
    second = rng.normal(size=(num_images, 3))
    targets = block[:, :1] * [1.0, -1.0] + second[:, :1] + rng.normal(size=(num_images, 2)) + 5.0
    return block, second, targets


def solve(inputs: np.ndarray, targets: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients and intercept of a ridge regression by its normal equations."""
    mean, middle = inputs.mean(axis=0), targets.mean(axis=0)
    centred = inputs - mean
    coefficients = np.linalg.solve(
        centred.T @ centred + strength * np.eye(inputs.shape[1]), centred.T @ (targets - middle)
    )
    return coefficients, middle - mean @ coefficients


@pytest.mark.parametrize("width", [4, 30], ids=["fewer inputs than images", "more inputs than images"])
def test_leave_one_out_in_closed_form_equals_brute_force(width: int) -> None:
    block, second, targets = make_case(12, width)
    path = RidgePath(block, targets)
    others = fit_standardiser(second).apply(second)
    candidates = list(path.iterate_candidates(others))
    assert len(candidates) == 9 * 6
    for candidate in candidates:
        inputs = np.concatenate([path.inputs, candidate.multiplier * others], axis=1)
        for left in range(12):
            kept = np.arange(12) != left
            coefficients, intercept = solve(inputs[kept], targets[kept], candidate.strength)
            np.testing.assert_allclose(
                candidate.left_out[left], inputs[left] @ coefficients + intercept, rtol=1e-6, atol=1e-6
            )


@pytest.mark.parametrize("width", [4, 30])
def test_predictions_are_those_of_the_normal_equations(width: int) -> None:
    block, second, targets = make_case(12, width)
    path = RidgePath(block, targets)
    others = fit_standardiser(second)

    chosen = list(path.iterate_candidates(others.apply(second)))[4 * 6 + 3]
    ridge = path.fit(lambda left_out: (float(np.array_equal(left_out, chosen.left_out)),), second)
    inputs = np.concatenate([path.inputs, chosen.multiplier * others.apply(second)], axis=1)
    coefficients, intercept = solve(inputs, targets, chosen.strength)

    new_block, new_second, _ = make_case(12, width)
    new_inputs = np.concatenate(
        [path.standardiser.apply(new_block + 1), chosen.multiplier * others.apply(new_second - 1)], axis=1
    )
    np.testing.assert_allclose(
        ridge.predict(new_block + 1, new_second - 1), new_inputs @ coefficients + intercept, rtol=1e-6
    )


def test_inputs_that_never_change_are_not_looked_at() -> None:
    block, _, targets = make_case(12, 4)
    constant = np.concatenate([block, np.full((12, 2), 0.1, np.float32)], axis=1)
    new = np.concatenate([block, np.full((12, 2), 9.9)], axis=1)
    plain = RidgePath(block, targets).fit(lambda left_out: (-float(((left_out - targets) ** 2).sum()),))
    other = RidgePath(constant, targets).fit(lambda left_out: (-float(((left_out - targets) ** 2).sum()),))
    np.testing.assert_allclose(other.predict(new), plain.predict(block))


def test_a_block_without_information_predicts_the_mean() -> None:
    targets = np.arange(6.0)[:, None]
    ridge = RidgePath(np.ones((6, 3)), targets).fit(lambda left_out: (-float(((left_out - targets) ** 2).sum()),))
    np.testing.assert_allclose(ridge.predict(np.zeros((2, 3))), 2.5)


def test_each_block_weighs_the_same_whatever_its_width() -> None:
    for width in (1, 7, 50):
        block, _, _ = make_case(20, width)
        assert np.square(fit_standardiser(block).apply(block)).sum() == pytest.approx(20)
