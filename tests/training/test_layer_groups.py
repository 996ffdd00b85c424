"""Rates by layer group, and an optimizer that really uses them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from tlkit.training.layer_groups import GroupedAdamW, compute_group_rates


def test_rates_fall_geometrically_from_the_head_to_the_lowest_group() -> None:
    rates = compute_group_rates(["conv3", "conv4", "conv5"], lr=1e-3, lr_ratio=1000, group_lr={})
    assert rates == pytest.approx({"conv3": 1e-6, "conv4": 1e-5, "conv5": 1e-4, "head": 1e-3})


def test_one_unfrozen_group_gets_the_head_s_rate_by_the_ratio() -> None:
    assert compute_group_rates(["conv5"], lr=1e-3, lr_ratio=10, group_lr={}) == pytest.approx(
        {"conv5": 1e-4, "head": 1e-3}
    )


def test_the_head_alone_gets_the_rate_whatever_the_ratio() -> None:
    assert compute_group_rates([], lr=1e-3, lr_ratio=10, group_lr={}) == {"head": 1e-3}


def test_a_given_rate_replaces_the_computed_one() -> None:
    rates = compute_group_rates(["conv4", "conv5"], lr=1.0, lr_ratio=100, group_lr={"conv4": 0.5, "head": 2.0})
    assert rates == pytest.approx({"conv4": 0.5, "conv5": 0.1, "head": 2.0})


def make_variables() -> list[Any]:
    """Return a matrix, a bias and another matrix with the same values every time."""
    rng = np.random.default_rng(0)
    return [keras.Variable(rng.normal(size=shape).astype(np.float32)) for shape in [(4, 3), (3,), (3, 2)]]


def take_steps(optimizer: Any, variables: list[Any], factors: list[float]) -> list[np.ndarray[Any, Any]]:
    """Apply steps with seeded gradients and return the variables' values."""
    rng = np.random.default_rng(1)
    for factor in factors:
        optimizer.learning_rate = factor
        gradients = [keras.ops.convert_to_tensor(rng.normal(size=v.shape).astype(np.float32)) for v in variables]
        optimizer.apply(gradients, variables)
    return [variable.numpy() for variable in variables]


def test_each_variable_moves_as_plain_adamw_would_move_it_at_its_own_rate() -> None:
    rates = [1e-2, 3e-2, 1e-4]
    grouped = GroupedAdamW(rates, weight_decay=0.1)
    variables = make_variables()
    grouped.build(variables)
    moved = take_steps(grouped, variables, [1.0, 0.5, 0.25])
    for number, rate in enumerate(rates):
        plain = keras.optimizers.AdamW(learning_rate=rate, weight_decay=0.1)
        others = make_variables()
        plain.build(others)
        if len(others[number].shape) < 2:
            plain.weight_decay = 0.0
        expected = take_steps(plain, others, [rate, rate * 0.5, rate * 0.25])
        np.testing.assert_allclose(moved[number], expected[number], rtol=1e-6, atol=1e-7)


def test_a_rate_of_zero_moves_nothing() -> None:
    optimizer = GroupedAdamW([0.0, 0.1, 0.1], weight_decay=0.5)
    variables = make_variables()
    optimizer.build(variables)
    before = np.array(variables[0].numpy())
    moved = take_steps(optimizer, variables, [1.0, 1.0])
    np.testing.assert_array_equal(moved[0], before)
    assert np.abs(moved[2] - make_variables()[2].numpy()).max() > 0.01


def test_the_factor_leaves_a_held_rate_alone() -> None:
    optimizer = GroupedAdamW([0.1, 0.1, 0.1], weight_decay=0.0, held=[0])
    variables, before = make_variables(), make_variables()
    optimizer.build(variables)
    moved = take_steps(optimizer, variables, [0.0])
    assert np.abs(moved[0] - before[0].numpy()).max() > 0.05
    np.testing.assert_array_equal(moved[2], before[2].numpy())


def test_rates_and_variables_must_be_as_many() -> None:
    with pytest.raises(ValueError, match=r"^2 rates for 3 variables$"):
        GroupedAdamW([0.1, 0.1], weight_decay=0.0).build(make_variables())
