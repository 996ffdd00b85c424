"""How steps are shared out to calls."""

from __future__ import annotations

from typing import Any

import pytest

from tlkit.training.call_sizes import SAVING_SHARE, SECONDS_OF_A_CALL, CallSizer, SaveTimer


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        """Return the time, in seconds."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that stands in for the real one."""
    clock = Clock()
    monkeypatch.setattr("tlkit.training.call_sizes.time", clock)
    return clock


def split_steps(sizer: CallSizer, num_steps: int, clock: Clock, *, seconds_a_step: float) -> list[int]:
    """Return how many steps went into each call, where a step takes so long."""
    sizes: list[int] = []
    expected = 0
    for part in sizer.split_steps(num_steps):
        assert part.start == expected
        expected = part.stop
        sizes.append(part.stop - part.start)
        clock.now += sizes[-1] * seconds_a_step
    assert expected == num_steps
    return sizes


def test_calls_grow_until_they_take_half_a_second(clock: Clock) -> None:
    sizer = CallSizer()
    sizes = split_steps(sizer, 2000, clock, seconds_a_step=0.001)
    assert sizes[:3] == [1, 16, 256]
    assert all(499 <= size <= 501 for size in sizes[3:-1])
    assert split_steps(sizer, 400, clock, seconds_a_step=0.001) == [400]


def test_slow_steps_go_one_by_one(clock: Clock) -> None:
    assert split_steps(CallSizer(), 3, clock, seconds_a_step=2 * SECONDS_OF_A_CALL) == [1, 1, 1]


def test_a_slow_first_call_is_forgotten(clock: Clock) -> None:
    sizer = CallSizer()
    assert split_steps(sizer, 1, clock, seconds_a_step=20.0) == [1]
    sizes: Any = split_steps(sizer, 300, clock, seconds_a_step=0.001)
    assert sizes == [1, 16, 256, 27]


def test_saving_takes_a_twentieth_of_the_time_at_most(clock: Clock) -> None:
    saving = SaveTimer()
    saved = []
    for epoch in range(100):
        clock.now += 1.0
        if saving.is_due:
            with saving.measured():
                clock.now += 0.5
            saved.append(epoch)
    assert saved[:3] == [4, 14, 24], "five seconds are worth saving"
    assert 0.5 * len(saved) / clock.now <= 1 / SAVING_SHARE
