"""The nodes of a cluster and the workers on them: one on each node, another when it ends, none where three starts failed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field

from tlkit.distribution.pool import Done, Node, Outcome, Ready, Refused, WorkerPool
from tlkit.errors import ClusterError
from tlkit.runtime import read_versions


@dataclass(frozen=True)
class Limits:
    """How often and how long the queue of work tries.

    Attributes:
        max_batches: Batches that a worker may have at a time.
        max_ends: After so many ends of workers a batch is split, or its one item set aside.
        max_set_aside: Items that may be set aside, beside one in a hundred.
        max_failed_starts: After so many failed starts in a row, a node gets no more workers.
        seconds_between_starts: Time between two starts on a node; doubled after each that fails.
        seconds_between_looks: Time between two looks at the list of nodes.
        seconds_to_start: After so long, a start has failed.
        seconds_to_answer: After so long, a worker with a batch counts as ended.
        seconds_to_answer_beside_others: The same, while others answer or have nothing to do; 30 times the longest that a
            batch has taken, if that is more.
        seconds_without_worker: After so long without any worker, the work is given up.
    """

    max_batches: int = 2
    max_ends: int = 3
    max_set_aside: int = 10
    max_failed_starts: int = 3
    seconds_between_starts: float = 1.0
    seconds_between_looks: float = 2.0
    seconds_to_start: float = 180.0
    seconds_to_answer: float = 900.0
    seconds_to_answer_beside_others: float = 120.0
    seconds_without_worker: float = 240.0


@dataclass(eq=False)
class Worker:
    """A worker that starts, or works.

    Attributes:
        handle: The worker, for the pool.
        node: Its node.
        start_ticket: The ticket for its `Ready`.
        since: When it was started, or its last batch ended.
        rows_at_a_time: As in `Ready`; 0 until it has started.
        tickets: Those of its batches, in order.
        is_alone_with_suspect: Whether its one batch has ended a worker before.
    """

    handle: Hashable
    node: Node
    start_ticket: Hashable
    since: float
    rows_at_a_time: int = 0
    tickets: list[Hashable] = field(default_factory=list)
    is_alone_with_suspect: bool = False


@dataclass(eq=False)
class _Place:
    """A node, its worker, and how its starts went."""

    node: Node
    worker: Worker | None = None
    num_failed: int = 0
    next_start: float = 0.0


class Nodes:
    """Keeps a worker on every node.

    Args:
        pool: Starts the workers.
        limits: How often and how long to try.
        warn: Called with a sentence about a node or worker that is lost.
        clock: Returns the time in seconds.
    """

    def __init__(
        self, pool: WorkerPool, limits: Limits, warn: Callable[[str], None], clock: Callable[[], float]
    ) -> None:
        self._pool = pool
        self._limits = limits
        self._warn = warn
        self._clock = clock
        self._places: dict[str, _Place] = {}
        self._last_look = -float("inf")
        self._last_alive = self._last_answer = clock()
        self._longest_batch = 0.0
        self._last_reason = "no node has a free processor"

    def look(self) -> list[Worker]:
        """Look at the list of nodes, if it is time; start workers where none is. Return the workers of nodes that left.

        Raises:
            ClusterError: There has been no worker for long, or none can be started anywhere.
        """
        now = self._clock()
        gone: list[Worker] = []
        if now - self._last_look >= self._limits.seconds_between_looks or not self._places:
            self._last_look = now
            gone = self._compare(list(self._pool.list_nodes()))
        for place in self._places.values():
            if place.worker is None and place.num_failed < self._limits.max_failed_starts and now >= place.next_start:
                handle, ticket = self._pool.start(place.node)
                place.worker = Worker(handle, place.node, ticket, now)
        self._check(now)
        return gone

    def list_free(self) -> list[Worker]:
        """Return the workers that have started, those with fewest batches first."""
        return sorted((each for each in self._workers() if each.rows_at_a_time), key=lambda each: len(each.tickets))

    def list_starting(self) -> list[Hashable]:
        """Return the tickets of the workers that start."""
        return [worker.start_ticket for worker in self._workers() if not worker.rows_at_a_time]

    def describe(self) -> str:
        """Return how many workers there are, such as "3 workers"."""
        number = len(self.list_free())
        return f"{number} worker{'' if number == 1 else 's'}"

    def find_silent(self) -> list[Worker]:
        """Return the workers that have not answered for too long; those that have not started for too long are ended."""
        now = self._clock()
        for worker in list(self._workers()):
            if not worker.rows_at_a_time and now - worker.since > self._limits.seconds_to_start:
                self._fail(worker, "it did not start: its processors are in use, or the node is overloaded")
        workers = self.list_free()
        limit = longest = self._limits.seconds_to_answer
        beside_others = min(longest, max(self._limits.seconds_to_answer_beside_others, 30 * self._longest_batch))
        if now - self._last_answer < beside_others / 2 or any(not each.tickets for each in workers):
            limit = beside_others
        return [each for each in workers if each.tickets and now - each.since > limit]

    def note_answer(self, worker: Worker) -> None:
        """Take in that a worker has answered a batch."""
        now = self._clock()
        self._longest_batch = max(self._longest_batch, now - worker.since)
        self._last_answer = worker.since = now

    def note_start(self, ticket: Hashable, outcome: Outcome) -> None:
        """Take in whether a worker started.

        Raises:
            ClusterError: It has another version of tlkit.
            Exception: The job refuses to work.
        """
        worker = next((each for each in self._workers() if each.start_ticket == ticket), None)
        if worker is None:
            return
        if isinstance(outcome, Refused):
            raise outcome.error
        if not isinstance(outcome, Done):
            self._fail(worker, outcome.reason)
            return
        ready: Ready = outcome.value
        self._compare_versions(worker.node, ready.versions)
        worker.rows_at_a_time = ready.rows_at_a_time
        worker.since = self._last_alive = self._clock()
        self._places[worker.node.identity].num_failed = 0

    def note_end(self, worker: Worker, reason: str) -> bool:
        """End a worker for good, and return whether its whole node is gone."""
        self._pool.stop(worker.handle)
        place = self._places.get(worker.node.identity)
        if place is not None and place.worker is worker:
            place.worker = None
            place.next_start = self._clock() + self._limits.seconds_between_starts
        self._last_reason = reason
        is_gone = worker.node.identity not in {node.identity for node in self._pool.list_nodes()}
        if not is_gone:
            self._warn(f"A worker on {worker.node.name} ended ({reason}); its work is done again.")
        return is_gone

    def stop_all(self) -> None:
        """End all workers."""
        for place in self._places.values():
            if place.worker is not None:
                self._pool.stop(place.worker.handle)
                place.worker = None

    def _workers(self) -> Iterator[Worker]:
        return (place.worker for place in self._places.values() if place.worker is not None)

    def _compare(self, nodes: list[Node]) -> list[Worker]:
        """Add the nodes that joined, remove those that left, and return the workers of the latter."""
        present = {node.identity: node for node in nodes}
        gone = []
        for identity in self._places.keys() - present.keys():
            place = self._places.pop(identity)
            self._last_reason = f"{place.node.name} left"
            self._warn(f"The node {place.node.name} left the cluster; its work is done elsewhere.")
            if place.worker is not None:
                self._pool.stop(place.worker.handle)
                gone.append(place.worker)
        for identity, node in present.items():
            self._places.setdefault(identity, _Place(node)).node = node
        return gone

    def _fail(self, worker: Worker, reason: str) -> None:
        """Count a failed start."""
        self._pool.stop(worker.handle)
        place = self._places[worker.node.identity]
        place.worker = None
        place.num_failed += 1
        place.next_start = self._clock() + self._limits.seconds_between_starts * 2**place.num_failed
        self._last_reason = f"{worker.node.name}: {reason}"
        if place.num_failed >= self._limits.max_failed_starts:
            self._warn(f"No worker starts on {worker.node.name}, which is left out: {reason}.")

    def _check(self, now: float) -> None:
        """Check that there is a worker, or hope of one.

        Raises:
            ClusterError: There is none.
        """
        if self.list_free():
            self._last_alive = now
            return
        has_hope = not self._places or any(
            place.num_failed < self._limits.max_failed_starts for place in self._places.values()
        )
        if has_hope and now - self._last_alive <= self._limits.seconds_without_worker:
            return
        raise ClusterError(
            f"The cluster has no worker: {self._last_reason}.",
            expected="at least one node on which a worker starts, with tlkit installed as on this machine",
            fix="look at the nodes with `ray status`, and start the same command again: what is computed is kept.",
        )

    def _compare_versions(self, node: Node, versions: dict[str, str]) -> None:
        """Warn of packages that are others on a node.

        Raises:
            ClusterError: tlkit is.
        """
        own = read_versions()
        other = {name: version for name, version in versions.items() if own.get(name) != version}
        if "tlkit" in other:
            raise ClusterError(
                f"{node.name} has tlkit {other['tlkit']}; this machine has {own['tlkit']}.",
                expected="the same tlkit on all nodes",
                fix=f"install tlkit {own['tlkit']} on {node.name}.",
            )
        if other:
            names = ", ".join(f"{name} {version} (here {own.get(name, 'none')})" for name, version in other.items())
            self._warn(f"{node.name} has {names}: its numbers may differ in the last digits.")
