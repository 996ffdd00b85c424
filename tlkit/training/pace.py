"""How many training steps go into one call: few enough that somebody who watches sees it move, and can stop it."""

from __future__ import annotations

import time
from collections.abc import Iterator

SECONDS_OF_A_CALL = 0.5
_MOST_GROWTH = 16


class Pace:
    """Shares steps out to calls that take about half a second each, by what the calls before took.

    A run's result does not depend on it.
    """

    def __init__(self) -> None:
        self._num_steps = 1

    def share_out(self, num_steps: int) -> Iterator[slice]:
        """Yield which of some steps, counted from 0, go into each call; a call lasts until the next is asked for."""
        done = 0
        while done < num_steps:
            calls = slice(done, min(done + self._num_steps, num_steps))
            started = time.perf_counter()
            yield calls
            seconds = max(time.perf_counter() - started, 1e-6)
            wanted = int(SECONDS_OF_A_CALL / seconds * (calls.stop - calls.start))
            self._num_steps = max(1, min(wanted, _MOST_GROWTH * self._num_steps))
            done = calls.stop
