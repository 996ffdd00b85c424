"""The course of the rate."""

from __future__ import annotations

from typing import Any

import pytest

from tlkit.recipes import ResolvedStage
from tlkit.training.schedules import Course


def draw(schedule: str, *, epochs: int, steps: int = 10, **settings: Any) -> list[float]:
    course = Course(ResolvedStage(schedule=schedule, epochs=epochs, **settings), steps)
    return [course.factor(step) for step in range(course.num_steps)]


def test_constant_stays_at_one() -> None:
    assert set(draw("constant", epochs=3)) == {1.0}


def test_cosine_rises_over_a_twentieth_and_falls_to_nearly_nothing() -> None:
    factors = draw("cosine", epochs=10)
    assert factors[:5] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6])
    assert factors[5] == 1.0
    assert factors[5:] == sorted(factors[5:], reverse=True)
    assert 0 < factors[-1] < 0.001


def test_a_short_stage_begins_at_the_full_rate() -> None:
    assert draw("cosine", epochs=1, steps=4)[0] == 1.0


def test_step_takes_a_tenth_at_half_and_at_three_quarters() -> None:
    assert draw("step", epochs=4, steps=1) == [1.0, 1.0, 0.1, 0.01]


def test_restarts_begin_each_cycle_at_the_full_rate_and_end_it_at_nearly_nothing() -> None:
    factors = draw("restarts", epochs=7, cycle_len=1, cycle_mult=2)
    starts = [step for step, factor in enumerate(factors) if factor == 1.0]
    assert starts == [0, 10, 30]
    for end in (9, 29, 69):
        assert factors[end] < 0.03
        assert factors[end] < factors[end - 1]


def test_a_cycle_that_the_stage_does_not_finish_is_cut_off() -> None:
    whole, cut = (draw("restarts", epochs=epochs, cycle_len=2, cycle_mult=2) for epochs in (6, 4))
    assert cut == whole[:40]


def test_one_cycle_rises_for_three_tenths_and_falls_to_the_end() -> None:
    factors = draw("one-cycle", epochs=10)
    peak = factors.index(max(factors))
    assert peak == 30
    assert factors[0] == pytest.approx(0.04)
    assert factors[:30] == sorted(factors[:30])
    assert factors[30:] == sorted(factors[30:], reverse=True)
    assert factors[-1] < 0.001


@pytest.mark.parametrize("schedule", ["constant", "step", "cosine", "restarts", "one-cycle"])
def test_a_warm_up_goes_before_any_of_them(schedule: str) -> None:
    factors = draw(schedule, epochs=4, warmup=0.5)
    assert factors[:5] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6])
    assert min(factors) > 0
    assert max(factors) <= 1


def test_no_warm_up_can_be_asked_for() -> None:
    assert draw("cosine", epochs=10, warmup=0.0)[0] == 1.0
