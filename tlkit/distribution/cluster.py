"""The cluster of a command: `--ray`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tlkit.devices import AllDevices, as_word
from tlkit.distribution.pool import Job
from tlkit.distribution.queue import WorkQueue
from tlkit.distribution.ray_pool import LOCAL, RayPool, check_ray, connected
from tlkit.errors import SettingError

Item = TypeVar("Item")


class Cluster:
    """Where jobs run; a cluster on this machine is started when the first one does.

    Args:
        where: The value of `--ray`, checked.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self._queue: WorkQueue[object] | None = None

    @contextlib.contextmanager
    def open_queue(
        self, job: Job, items: Iterable[Item], *, warn: Callable[[str], None], max_ahead: int | None = None
    ) -> Iterator[WorkQueue[Item]]:
        """Yield a queue of a job's work; its workers are ended with the block.

        Args:
            job: What each worker does.
            items: The items, read lazily.
            warn: Called with a sentence about what went wrong and is made good.
            max_ahead: As in `WorkQueue`.

        Raises:
            ClusterError: The cluster cannot be reached.
        """
        with connected(self.where):
            queue = WorkQueue(RayPool(job), items, job.rows_of_item, warn, max_ahead)
            self._queue = queue  # type: ignore[assignment]
            try:
                yield queue
            finally:
                self._queue = None
                queue.nodes.stop_all()

    def describe(self) -> str:
        """Return how many workers there are now, such as "3 workers"; empty before the first one is started."""
        return self._queue.nodes.describe() if self._queue else ""


def check_cluster(where: str | None, devices: int | AllDevices = 1) -> None:
    """Check the value of `--ray`, and that Ray is installed; nothing heavy is imported. None is fine.

    Args:
        where: The value.
        devices: How many devices are asked for.

    Raises:
        ClusterError: Ray is not installed.
        SettingError: The value is wrong, or several devices are asked for.
    """
    if where is None:
        return
    if devices != 1:
        raise SettingError(
            f"--devices {as_word(devices)} has no effect with --ray: each node has one worker, which computes on one device.",
            expected="only one of the two",
            fix="leave out --devices, or --ray.",
        )
    check_ray(where)


@contextlib.contextmanager
def opened_cluster(where: str | None) -> Iterator[Cluster | None]:
    """Yield the cluster of `--ray`, to which this process is connected; None without `--ray`.

    Raises:
        ClusterError: Ray is not installed, or there is no such cluster.
        SettingError: The value is wrong.
    """
    if where is None:
        yield None
        return
    check_ray(where)
    with connected(where) if where != LOCAL else contextlib.nullcontext():
        yield Cluster(where)
