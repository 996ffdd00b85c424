from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tlkit.audit import held_out
from tlkit.audit.held_out import NUM_PASSES, predict_held_out

NUM_IMAGES = 60


@pytest.fixture
def rows() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(NUM_IMAGES, 12)), rng.normal(size=(NUM_IMAGES, 2))


@pytest.mark.parametrize("size", [1, 3, 25])
def test_a_prediction_is_that_of_a_regression_fitted_without_the_group(
    rows: tuple[NDArray[np.float64], NDArray[np.float64]], size: int
) -> None:
    features, targets = rows
    groups = np.full(NUM_IMAGES, -1)
    members = np.arange(size)
    groups[members] = 7 if size > 1 else -1
    predicted = predict_held_out(features, targets, groups)[0]

    unit = np.sign(features) * np.sqrt(np.abs(features))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    inputs = held_out._Inputs(unit.mean(axis=0).astype(np.float32))
    strength = held_out._Regression(features, inputs, targets, lambda count: None)._strength
    others = np.arange(size, NUM_IMAGES)
    centred = unit[others] - unit[others].mean(axis=0)
    pulls = centred.T @ (targets[others] - targets[others].mean(axis=0))
    weights = np.linalg.solve(centred.T @ centred + strength * np.eye(12), pulls)
    expected = (unit[members] - unit[others].mean(axis=0)) @ weights + targets[others].mean(axis=0)
    np.testing.assert_allclose(predicted[members], expected, atol=1e-5)


def test_blocks_change_nothing(
    rows: tuple[NDArray[np.float64], NDArray[np.float64]], monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = np.arange(NUM_IMAGES) // 2
    whole = predict_held_out(*rows, groups)
    monkeypatch.setattr(held_out, "_BLOCK_ROWS", 7)
    seen: list[int] = []
    for part, expected in zip(predict_held_out(*rows, groups, advance=seen.append), whole, strict=True):
        np.testing.assert_allclose(part, expected, atol=1e-5)
    assert sum(seen) == NUM_PASSES * NUM_IMAGES


def test_copies_with_a_wrong_label_do_not_vouch_for_each_other() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], 40)
    features = rng.normal(size=(80, 30)) + 0.8 * labels[:, None]
    copies = np.arange(3)
    features[copies] = features[0]
    targets = np.eye(2)[labels]
    targets[copies] = [0.0, 1.0]
    groups = np.full(80, -1)
    alone = predict_held_out(features, targets, groups)[0]
    groups[copies] = 0
    together = predict_held_out(features, targets, groups)[0]
    assert (together[copies, 1] < alone[copies, 1] - 0.05).all()


def test_equal_features_predict_the_mean_of_the_others() -> None:
    targets = np.array([[0.0], [0.0], [1.0], [1.0]])
    for part in predict_held_out(np.ones((4, 3)), targets, np.full(4, -1)):
        np.testing.assert_allclose(part[:, 0], [2 / 3, 2 / 3, 1 / 3, 1 / 3], atol=1e-5)
