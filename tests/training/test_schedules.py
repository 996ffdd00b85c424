"""The course of the rate."""

from __future__ import annotations

import pytest

from tlkit.training.schedules import compute_rate_factor


def test_constant_stays_at_one() -> None:
    assert {compute_rate_factor("constant", step=step, num_steps=10) for step in range(10)} == {1.0}


def test_cosine_rises_over_a_twentieth_and_falls_to_nearly_nothing() -> None:
    factors = [compute_rate_factor("cosine", step=step, num_steps=100) for step in range(100)]
    assert factors[:5] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6])
    assert factors[5] == 1.0
    assert factors[5:] == sorted(factors[5:], reverse=True)
    assert 0 < factors[-1] < 0.001


def test_a_short_stage_begins_at_the_full_rate() -> None:
    assert compute_rate_factor("cosine", step=0, num_steps=4) == 1.0
