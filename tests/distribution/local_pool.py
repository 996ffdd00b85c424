"""A pool of workers in this process, one after the other: what Ray does, without other processes."""

from __future__ import annotations

import contextlib
import itertools
import pickle
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from typing import Any

import pytest

from tlkit.distribution import worker
from tlkit.distribution.cluster import Cluster
from tlkit.distribution.pool import Done, Job, Node, Outcome, Refused
from tlkit.distribution.queue import WorkQueue
from tlkit.distribution.worker import Refusal, Worker


class LocalPool:
    """Two nodes whose workers run when they are waited for. Whatever goes to a worker or comes from it is pickled."""

    def __init__(self, job: Job) -> None:
        self._job = pickle.dumps(job)
        self._numbers = itertools.count()
        self._calls: dict[int, Callable[[], Any]] = {}
        self.num_batches = 0

    def list_nodes(self) -> list[Node]:
        return [Node("1", "one", 1), Node("2", "two", 1)]

    def start(self, node: Node) -> tuple[Hashable, Hashable]:
        started = Worker(pickle.loads(self._job), node.num_processors)
        return started, self._call(started.open)

    def submit(self, worker: Hashable, items: Sequence[Any]) -> Hashable:
        assert isinstance(worker, Worker)
        self.num_batches += 1
        sent = pickle.dumps(list(items))
        return self._call(lambda: worker.answer(pickle.loads(sent)))

    def _call(self, call: Callable[[], Any]) -> int:
        ticket = next(self._numbers)
        self._calls[ticket] = call
        return ticket

    def wait(self, tickets: Collection[Hashable], seconds: float) -> list[tuple[Hashable, Outcome]]:
        ticket = next(iter(tickets))
        assert isinstance(ticket, int)
        value = pickle.loads(pickle.dumps(self._calls.pop(ticket)()))
        return [(ticket, Refused(value.to_error()) if isinstance(value, Refusal) else Done(value))]

    def stop(self, worker: Hashable) -> None:
        pass


class LocalCluster(Cluster):
    """A cluster of a `LocalPool`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__("local")
        monkeypatch.setattr(worker, "limit_processors", lambda number: None)

    @contextlib.contextmanager
    def open_queue(
        self, job: Job, items: Iterable[Any], *, warn: Callable[[str], None], max_ahead: int | None = None
    ) -> Iterator[WorkQueue[Any]]:
        self.pool = LocalPool(job)
        yield WorkQueue(self.pool, items, job.rows_of_item, warn, max_ahead)
