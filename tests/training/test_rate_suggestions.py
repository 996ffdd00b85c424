"""Which rate follows from a sweep, by three rules, on curves whose answer is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from tlkit.training.rate_finder import HIGHEST_RATE, LOWEST_RATE, NUM_STEPS, Sweep
from tlkit.training.rate_suggestions import CHOSEN, STEEPEST, TENTH, VALLEY, suggest_rates

RATES = np.geomspace(LOWEST_RATE, HIGHEST_RATE, NUM_STEPS)


def make_sweep(loss: Callable[[float], float], *, noise: float = 0.0) -> Sweep:
    """Return a sweep whose loss is a function of the rate's logarithm to base 10."""
    generator = np.random.default_rng(0)
    smoothed = np.array([loss(math.log10(rate)) for rate in RATES])
    losses = smoothed + noise * generator.normal(size=NUM_STEPS)
    return Sweep(tuple(RATES.tolist()), tuple(losses.tolist()), tuple(smoothed.tolist()), diverged=False)


def fall_once(place: float) -> float:
    """Return a loss that falls from 1e-5 to 1e-1, fastest at 1e-3, and rises after that."""
    if place <= -5:
        return 2.0
    return 1 + math.cos(math.pi * (place + 5) / 4) if place < -1 else 2 * (place + 1)


def test_each_rule_finds_its_place() -> None:
    found = suggest_rates(make_sweep(fall_once))
    assert found is not None
    assert {rule: math.log10(rate) for rule, rate in found.by_rule.items()} == {
        STEEPEST: pytest.approx(-3, abs=0.06),
        VALLEY: pytest.approx(-3, abs=0.06),
        TENTH: pytest.approx(-2, abs=0.06),
    }
    assert found.chosen == float(f"{found.by_rule[CHOSEN]:.1e}")


def test_rules_that_differ_by_ten_times_are_said_to() -> None:
    agreed = suggest_rates(make_sweep(lambda place: fall_once(place) if place < -2 else fall_once(-2) + place + 2))
    apart = suggest_rates(make_sweep(lambda place: fall_once(place) - place / 100))
    assert agreed is not None
    assert apart is not None
    assert (agreed.are_far_apart, apart.are_far_apart) == (False, True)


@pytest.mark.parametrize(
    "sweep",
    [
        make_sweep(lambda place: 2.0, noise=0.1),
        make_sweep(lambda place: 2.0 - 0.01 * (place > -4), noise=0.5),
        make_sweep(lambda place: 2.0 + max(0.0, place + 4), noise=0.1),
        Sweep((1e-7,), (2.0,), (2.0,), diverged=True),
    ],
    ids=["flat", "a fall smaller than the noise", "it only rises", "one step"],
)
def test_where_the_loss_falls_at_no_rate_none_is_suggested(sweep: Sweep) -> None:
    assert suggest_rates(sweep) is None
