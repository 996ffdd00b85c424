"""How often a stage returns to Python, to show progress and to save checkpoints.

Nothing here changes a run's result.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS_OF_A_CALL = 0.5
SAVING_SHARE = 20
"""Saving may take at most 1 / SAVING_SHARE of the time."""
SECONDS_WORTH_SAVING = 5.0
"""Shorter training is not worth saving."""
_MAX_GROWTH = 16


class CallSizer:
    """Divides steps into calls of about half a second each, based on the duration of earlier calls."""

    def __init__(self) -> None:
        self._num_steps = 1

    def split_steps(self, num_steps: int) -> Iterator[slice]:
        """Yield the steps of each call, counted from 0; a call lasts until the next one is requested."""
        done = 0
        while done < num_steps:
            calls = slice(done, min(done + self._num_steps, num_steps))
            started = time.perf_counter()
            yield calls
            seconds = max(time.perf_counter() - started, 1e-6)
            num_fitting = int(SECONDS_OF_A_CALL / seconds * (calls.stop - calls.start))
            self._num_steps = max(1, min(num_fitting, _MAX_GROWTH * self._num_steps))
            done = calls.stop


class SaveTimer:
    """Decides when to save: writing the state of a large head can take longer than training an epoch."""

    def __init__(self) -> None:
        self._due = time.perf_counter() + SECONDS_WORTH_SAVING

    @property
    def is_due(self) -> bool:
        """Whether enough time has passed since the last save, relative to its duration."""
        return time.perf_counter() >= self._due

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measure the duration of the save inside."""
        started = time.perf_counter()
        yield
        stopped = time.perf_counter()
        self._due = stopped + SAVING_SHARE * (stopped - started)
