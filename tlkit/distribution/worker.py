"""A worker: what runs in a process of the cluster. Nothing heavy is imported before its job is opened."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tlkit.distribution.pool import Job, Ready
from tlkit.errors import TlkitError
from tlkit.runtime import limit_processors, read_versions


@dataclass(frozen=True)
class Refusal:
    """An error for the user, as data: exceptions with keyword arguments do not survive pickling."""

    kind: type[TlkitError]
    found: str
    expected: str
    fix: str

    def to_error(self) -> TlkitError:
        """Return the error."""
        return self.kind(self.found, expected=self.expected, fix=self.fix)


class Worker:
    """Opens a job, and answers batches.

    Args:
        job: The work.
        num_processors: Number of processors that it may use.
    """

    def __init__(self, job: Job, num_processors: int) -> None:
        limit_processors(num_processors)
        self._job = job
        self._compute: Callable[[Sequence[Any]], Sequence[Any]] | None = None
        self._lock = threading.Lock()

    def open(self) -> Ready | Refusal:
        """Prepare the work; call it first, once."""
        with self._lock:
            try:
                self._compute, rows_at_a_time = self._job.open()
            except TlkitError as error:
                return _refuse(error)
        return Ready(rows_at_a_time, read_versions())

    def answer(self, items: Sequence[Any]) -> Sequence[Any] | Refusal:
        """Return one answer for each item; any thread may call this."""
        if self._compute is None:
            raise RuntimeError("Expected a worker whose job is open.")
        try:
            return self._compute(items)
        except TlkitError as error:
            return _refuse(error)


def _refuse(error: TlkitError) -> Refusal:
    return Refusal(type(error), error.found, error.expected, error.fix)
