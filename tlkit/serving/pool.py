"""A pool of threads with a bounded queue: what does not fit is refused at once, so that nobody waits in vain."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

FIRST_GUESS_SECONDS = 0.1
"""How long an image is assumed to take before one has been measured."""
SMOOTHING = 0.1


class QueueFull(Exception):  # noqa: N818 - a state, not an error
    """There is no room in the queue; `seconds` is when there probably will be."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"the queue is full for about {seconds} s")
        self.seconds = seconds


class WorkerPool:
    """Threads that work off a bounded queue.

    Args:
        num_threads: Number of threads.
        max_waiting: The most jobs that wait for a thread.
    """

    def __init__(self, num_threads: int, max_waiting: int) -> None:
        self.num_threads = num_threads
        self.max_waiting = max_waiting
        self._threads = ThreadPoolExecutor(num_threads, thread_name_prefix="serve")
        self._lock = threading.Lock()
        self._num_jobs = 0
        self._seconds = FIRST_GUESS_SECONDS

    @property
    def num_waiting(self) -> int:
        """Number of jobs that wait for a thread."""
        return max(0, self._num_jobs - self.num_threads)

    @property
    def num_running(self) -> int:
        """Number of threads at work."""
        return min(self._num_jobs, self.num_threads)

    def submit(self, jobs: Sequence[Callable[[], Result]]) -> list[Future[Result]]:
        """Add all of the jobs to the queue, or none.

        Raises:
            QueueFull: There is no room for all of them.
        """
        with self._lock:
            if self._num_jobs + len(jobs) > self.num_threads + self.max_waiting:
                raise QueueFull(self._estimate_seconds())
            self._num_jobs += len(jobs)
        futures = [self._threads.submit(self._run, job) for job in jobs]
        for future in futures:
            future.add_done_callback(self._count_done)
        return futures

    def close(self) -> None:
        """Drop what waits, and wait for what runs."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _run(self, job: Callable[[], Result]) -> Result:
        start = time.perf_counter()
        try:
            return job()
        finally:
            with self._lock:
                self._seconds += SMOOTHING * (time.perf_counter() - start - self._seconds)

    def _count_done(self, _: Future[Result]) -> None:
        with self._lock:
            self._num_jobs -= 1

    def _estimate_seconds(self) -> int:
        return max(1, math.ceil(self._num_jobs * self._seconds / self.num_threads))
