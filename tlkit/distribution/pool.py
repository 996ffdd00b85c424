"""What the queue of work asks of whatever runs the workers: Ray, or a fake in tests.

A worker is a process on a node. It is made from a job, and then answers batches of items.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Compute = Callable[[Sequence[Any]], Sequence[Any]]
"""From the items of a batch to one answer each, in order."""


class Job(Protocol):
    """The work of one run; it is pickled and sent to every worker."""

    @property
    def rows_of_item(self) -> int:
        """Most rows that an item makes."""

    def open(self) -> tuple[Compute, int]:
        """Prepare the work in a worker's process; return what does it, and the number of rows it does at a time."""


@dataclass(frozen=True)
class Node:
    """A machine of the cluster, or what Ray takes for one.

    Attributes:
        identity: Its name for Ray.
        name: Its name for people.
        num_processors: Processors that a worker may use there, at least 1.
    """

    identity: str
    name: str
    num_processors: int


@dataclass(frozen=True)
class Ready:
    """What a worker tells once it has started.

    Attributes:
        rows_at_a_time: Number of rows that it computes at the same time.
        versions: Versions of the packages that results depend on, by name.
    """

    rows_at_a_time: int
    versions: dict[str, str]


@dataclass(frozen=True)
class Done:
    """A ticket's result: `Ready` for a start, the answers for a batch."""

    value: Any


@dataclass(frozen=True)
class Unusable:
    """A worker's answer for an item of which there are no rows.

    Attributes:
        reason: Why, in a few words, without a full stop.
        host: The host that could not read the file; empty if it was read, and is no usable image.
    """

    reason: str
    host: str = ""


@dataclass(frozen=True)
class Lost:
    """There is no result, because the worker or its node is gone, or too little memory or disk was left.

    Attributes:
        reason: Why, in a few words.
    """

    reason: str


@dataclass(frozen=True)
class Refused:
    """There is no result, and another worker would do no better.

    Attributes:
        error: To be raised.
    """

    error: Exception


Outcome = Done | Lost | Refused


class WorkerPool(Protocol):
    """Starts workers on nodes, and gives them batches."""

    def list_nodes(self) -> Sequence[Node]:
        """Return the nodes that are there now.

        Raises:
            ClusterError: The cluster does not answer.
        """

    def start(self, node: Node) -> tuple[Hashable, Hashable]:
        """Begin to start a worker; return the worker, and a ticket for its `Ready`."""

    def submit(self, worker: Hashable, items: Sequence[Any]) -> Hashable:
        """Give a worker a batch, and return a ticket for the answers."""

    def wait(self, tickets: Collection[Hashable], seconds: float) -> Sequence[tuple[Hashable, Outcome]]:
        """Wait until one of the tickets has an outcome, at most so long; return those that have one.

        Raises:
            ClusterError: The cluster does not answer.
        """

    def stop(self, worker: Hashable) -> None:
        """End a worker at once."""
