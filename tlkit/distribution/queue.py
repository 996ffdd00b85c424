"""The queue of work: it stays in the process of the command, and survives the workers.

A worker has at most two batches. When it ends, another takes its place, and the batches that it had are suspects: each is
tried again at the end, alone, so that it is known which one is at fault. A suspect that goes on ending workers is split,
and at last the one file that does is set aside, with a reason. Batches of a node that left are not suspects.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, Generic, TypeVar

from tlkit.distribution.nodes import Limits, Nodes, Worker
from tlkit.distribution.pool import Done, Outcome, Refused, WorkerPool
from tlkit.errors import ClusterError
from tlkit.waiting import waiting_for

Item = TypeVar("Item")

NUM_PARTS = 4
"""Number of batches into which one is split that ends its workers."""
BATCHES_IN_TURN = 8
"""A batch has this many times the rows that a worker computes at a time, so that little time passes between batches."""
MAX_ROWS = 4096


@dataclass(frozen=True)
class SetAside:
    """The answer for an item that ended every worker."""

    reason: str


@dataclass(frozen=True, eq=False)
class Part(Generic[Item]):
    """Neighbouring items with their answers.

    Attributes:
        first: Place of the first item among all.
        items: The items.
        answers: One per item, from a worker, or `SetAside`.
    """

    first: int
    items: Sequence[Item]
    answers: Sequence[Any]


@dataclass(eq=False)
class _Batch(Generic[Item]):
    """Items that are computed together; `num_ends` workers have ended with them."""

    first: int
    items: Sequence[Item]
    num_ends: int = 0


@dataclass(eq=False)
class WorkQueue(Generic[Item]):
    """Has a pool's workers answer all items, each once.

    Args:
        pool: Starts the workers.
        items: The items, read lazily.
        rows_of_item: Most rows that an item makes.
        warn: Called with a sentence about what went wrong and is made good.
        max_ahead: Number of items from the first one without an answer to the last that may be begun; None for no limit.
        limits: How often and how long to try.
        clock: Returns the time in seconds.
    """

    pool: WorkerPool
    items: Iterable[Item]
    rows_of_item: int = 1
    warn: Callable[[str], None] = lambda _: None
    max_ahead: int | None = None
    limits: Limits = field(default_factory=Limits)
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.nodes = Nodes(self.pool, self.limits, self.warn, self.clock)
        self._remaining = iter(self.items)
        self._next = 0
        self._returned: deque[_Batch[Item]] = deque()
        self._suspects: deque[_Batch[Item]] = deque()
        self._flying: dict[Hashable, tuple[Worker, _Batch[Item]]] = {}
        self._num_answered = self._num_set_aside = 0
        self._wait, self._is_waiting = ExitStack(), False

    def run(self) -> Generator[Part[Item]]:
        """Yield the answers in the order in which they come; workers are ended at the end, or when this is closed.

        Raises:
            ClusterError: There is no worker for long, the cluster does not answer, or too many items end their worker.
            Exception: Whatever a worker refused the work with.
        """
        try:
            while self._has_work():
                for worker in self.nodes.look():
                    self._take_back(worker)
                self._hand_out()
                yield from self._collect()
                for worker in self.nodes.find_silent():
                    yield from self._lose(worker, "it does not answer")
        finally:
            self._wait.close()
            self.nodes.stop_all()

    def run_in_order(self) -> Iterator[tuple[Item, Any]]:
        """Yield each item with its answer, in order; otherwise as `run`."""
        held: dict[int, Part[Item]] = {}
        place = 0
        for part in self.run():
            held[part.first] = part
            while place in held:
                ready = held.pop(place)
                place += len(ready.items)
                yield from zip(ready.items, ready.answers, strict=True)

    def _has_work(self) -> bool:
        if self._flying or self._returned or self._suspects:
            return True
        first = list(islice(self._remaining, 1))
        self._remaining = chain(first, self._remaining)
        return bool(first)

    def _hand_out(self) -> None:
        """Give every worker as much as it may have."""
        for worker in self.nodes.list_free():
            while len(worker.tickets) < self.limits.max_batches and (batch := self._take(worker)):
                ticket = self.pool.submit(worker.handle, batch.items)
                self._flying[ticket] = worker, batch
                worker.tickets.append(ticket)
                worker.since = self.clock()

    def _take(self, worker: Worker) -> _Batch[Item] | None:
        """Return the next batch for a worker; None if it may have none."""
        if any(self._flying[ticket][1].num_ends for ticket in worker.tickets):
            return None
        if self._returned:
            return self._returned.popleft()
        return self._draw(worker) or (self._suspects.popleft() if self._suspects and not worker.tickets else None)

    def _draw(self, worker: Worker) -> _Batch[Item] | None:
        """Return a batch of new items, of the size for a worker."""
        started = [batch.first for _, batch in self._flying.values()] + [batch.first for batch in self._suspects]
        if self.max_ahead is not None and started and self._next - min(started) >= self.max_ahead:
            return None
        num_rows = min(MAX_ROWS, BATCHES_IN_TURN * worker.rows_at_a_time)
        items = list(islice(self._remaining, max(1, num_rows // self.rows_of_item)))
        if not items:
            return None
        self._next += len(items)
        return _Batch(self._next - len(items), items)

    def _collect(self) -> Iterator[Part[Item]]:
        """Wait a little, and yield what has been answered."""
        tickets = [*self._flying, *self.nodes.list_starting()]
        outcomes = self.pool.wait(tickets, self.limits.seconds_between_looks)
        if outcomes:
            self._wait.close()
        elif not self._is_waiting:
            self._wait.enter_context(waiting_for("the cluster's answers"))
        self._is_waiting = not outcomes
        for ticket, outcome in outcomes:
            if ticket in self._flying:
                yield from self._finish(ticket, outcome)
            else:
                self.nodes.note_start(ticket, outcome)

    def _finish(self, ticket: Hashable, outcome: Outcome) -> Iterator[Part[Item]]:
        worker, batch = self._flying[ticket]
        if isinstance(outcome, Refused):
            raise outcome.error
        if not isinstance(outcome, Done):
            yield from self._lose(worker, outcome.reason)
            return
        del self._flying[ticket]
        worker.tickets.remove(ticket)
        self.nodes.note_answer(worker)
        self._num_answered += len(batch.items)
        yield Part(batch.first, batch.items, outcome.value)

    def _lose(self, worker: Worker, reason: str) -> Iterator[Part[Item]]:
        """Make good the end of a worker; yield what is set aside because of it."""
        if self.nodes.note_end(worker, reason):
            self._take_back(worker)
            return
        for ticket in worker.tickets:
            yield from self._suspect(self._flying.pop(ticket)[1], reason)
        worker.tickets.clear()

    def _take_back(self, worker: Worker) -> None:
        """Put what a worker had at the front of the queue."""
        for ticket in reversed(worker.tickets):
            _, batch = self._flying.pop(ticket)
            (self._suspects if batch.num_ends else self._returned).appendleft(batch)
        worker.tickets.clear()

    def _suspect(self, batch: _Batch[Item], reason: str) -> Iterator[Part[Item]]:
        """Count that a worker ended with a batch; split it after the third time, or set its one item aside."""
        batch.num_ends += 1
        if batch.num_ends < self.limits.max_ends:
            self._suspects.append(batch)
        elif len(batch.items) > 1:
            size = -(-len(batch.items) // NUM_PARTS)
            for start in range(0, len(batch.items), size):
                # A part is split again when it ends one more worker; a single item has three ends of its own.
                num_ends = self.limits.max_ends - 1 if size > 1 else 0
                part = _Batch(batch.first + start, batch.items[start : start + size], num_ends)
                (self._suspects if num_ends else self._returned).append(part)
        else:
            self._num_set_aside += 1
            if self._num_set_aside > self.limits.max_set_aside + self._num_answered // 100:
                raise _too_many_set_aside(self._num_set_aside, batch.num_ends, reason)
            yield Part(
                batch.first, batch.items, [SetAside(f"{batch.num_ends} worker processes ended with it: {reason}")]
            )


def _too_many_set_aside(number: int, num_ends: int, reason: str) -> ClusterError:
    return ClusterError(
        f"{number} files have ended {num_ends} worker processes each. The last end: {reason}.",
        expected="workers that end seldom, such as at one damaged file in thousands",
        fix="give the nodes more memory, or leave out --ray to see the cause in one process. What is computed is kept.",
    )
