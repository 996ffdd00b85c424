"""Rates by layer group, and an optimizer that really uses them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tlkit.recipes.optimizers import OPTIMIZERS
from tlkit.training.checkpoint import Checkpoint, Progress, restore, snapshot
from tlkit.training.layer_groups import GroupedOptimizer, compute_group_rates


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


def take_steps(
    optimizer: Any, variables: list[Any], factors: list[float], *, skipped: int = 0
) -> list[np.ndarray[Any, Any]]:
    """Apply steps with seeded gradients, those that follow the skipped ones, and return the variables' values."""
    for step, factor in enumerate(factors, start=skipped):
        optimizer.learning_rate = factor
        rng = np.random.default_rng([1, step])
        gradients = [keras.ops.convert_to_tensor(rng.normal(size=v.shape).astype(np.float32)) for v in variables]
        optimizer.apply(gradients, variables)
    return [variable.numpy() for variable in variables]


PLAIN: dict[str, Callable[..., Any]] = {
    "sgd": keras.optimizers.SGD,
    "momentum": partial(keras.optimizers.SGD, momentum=0.9),
    "nesterov": partial(keras.optimizers.SGD, momentum=0.9, nesterov=True),
    "adagrad": partial(
        keras.optimizers.Adagrad, initial_accumulator_value=0.0, epsilon=1e-14
    ),  # Keras adds it below the root
    "rmsprop": partial(keras.optimizers.RMSprop, epsilon=1e-14),
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "lion": keras.optimizers.Lion,
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_each_variable_moves_as_the_plain_optimizer_would_move_it_at_its_own_rate(kind: str) -> None:
    rates = [1e-2, 3e-2, 1e-4]
    grouped = GroupedOptimizer(rates, weight_decay=0.1, kind=kind)
    variables = make_variables()
    grouped.build(variables)
    moved = take_steps(grouped, variables, [1.0, 0.5, 0.25])
    for number, rate in enumerate(rates):
        plain = PLAIN[kind](learning_rate=rate, weight_decay=None if kind == "adam" else 0.1)
        others = make_variables()
        plain.build(others)
        if len(others[number].shape) < 2:
            plain.weight_decay = 0.0
        expected = take_steps(plain, others, [rate, rate * 0.5, rate * 0.25])
        np.testing.assert_allclose(moved[number], expected[number], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_state_that_is_written_and_read_again_goes_on_to_the_bit(kind: str, tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "state.safetensors", pytest.fail)
    factors = [1.0, 0.5, 0.25, 0.5]
    moved = []
    for stop in (4, 2):
        optimizer, variables = GroupedOptimizer([1e-2, 3e-2, 1e-3], weight_decay=0.1, kind=kind), make_variables()
        optimizer.build(variables)
        take_steps(optimizer, variables, factors[:stop])
        if stop < len(factors):
            checkpoint.write({**snapshot("model", variables), **snapshot("optimizer", optimizer.variables)}, Progress())
            saved = checkpoint.read()
            assert saved is not None
            arrays, _ = saved
            optimizer, variables = GroupedOptimizer([1e-2, 3e-2, 1e-3], weight_decay=0.1, kind=kind), make_variables()
            optimizer.build(variables)
            restore("model", variables, arrays)
            restore("optimizer", optimizer.variables, arrays)
            take_steps(optimizer, variables, factors[stop:], skipped=stop)
        moved.append([variable.numpy() for variable in variables])
        assert int(optimizer.iterations) == len(factors)
    for whole, resumed in zip(*moved, strict=True):
        np.testing.assert_array_equal(whole, resumed)


def test_a_rate_of_zero_moves_nothing() -> None:
    optimizer = GroupedOptimizer([0.0, 0.1, 0.1], weight_decay=0.5)
    variables = make_variables()
    optimizer.build(variables)
    before = np.array(variables[0].numpy())
    moved = take_steps(optimizer, variables, [1.0, 1.0])
    np.testing.assert_array_equal(moved[0], before)
    assert np.abs(moved[2] - make_variables()[2].numpy()).max() > 0.01


def test_the_factor_leaves_a_held_rate_alone() -> None:
    optimizer = GroupedOptimizer([0.1, 0.1, 0.1], weight_decay=0.0, held=[0])
    variables, before = make_variables(), make_variables()
    optimizer.build(variables)
    moved = take_steps(optimizer, variables, [0.0])
    assert np.abs(moved[0] - before[0].numpy()).max() > 0.05
    np.testing.assert_array_equal(moved[2], before[2].numpy())


def test_rates_and_variables_must_be_as_many() -> None:
    with pytest.raises(ValueError, match=r"^2 rates for 3 variables$"):
        GroupedOptimizer([0.1, 0.1], weight_decay=0.0).build(make_variables())
