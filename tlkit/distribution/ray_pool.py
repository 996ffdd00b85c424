"""Ray as a pool of workers: actors, one on each node, with the processors that are free there.

Ray restarts and retries nothing here; the queue of work does. Its signal handlers are taken back, so that Ctrl-C ends a
command as ever.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Collection, Hashable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any

from tlkit.distribution.pool import Done, Job, Lost, Node, Outcome, Refused
from tlkit.distribution.worker import Refusal, Worker
from tlkit.errors import ClusterError, SettingError
from tlkit.waiting import waiting_for

AUTO, LOCAL = "auto", "local"
OBJECT_STORE_BYTES = 2**30
"""Shared memory of a cluster on this machine: for the network, and for what workers have answered."""
MAX_CALLS = 2
"""Batches that an actor computes at the same time: one loads its images while the other ends."""
_ADDRESS = re.compile(r"(ray://)?[\w.-]+:\d+|\[[0-9a-fA-F:]+\]:\d+")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LONGEST_REASON = 200
_DIED = "worker process has died"
_SECONDS_TO_CONNECT = 5.0
_SECONDS_WITHOUT_HEAD = 20.0
"""Ray itself gives a head up after a minute, and ends this process."""


def check_ray(where: str) -> None:
    """Check that Ray is installed, and where its cluster is said to be; nothing heavy is imported.

    Raises:
        ClusterError: Ray is not installed.
        SettingError: `where` is neither auto, local nor an address.
    """
    if where not in (AUTO, LOCAL) and not _ADDRESS.fullmatch(where):
        raise SettingError(
            f"--ray {where}: not a place of a Ray cluster.",
            expected="auto, which finds a running cluster; local, which starts one on this machine; or HOST:PORT",
            fix="--ray auto",
        )
    if where.startswith("ray://"):
        raise SettingError(
            f"--ray {where}: Ray Client cannot do this work.",
            expected="HOST:PORT of the cluster's head, on a machine that is one of its nodes",
            fix="run the command on a node, such as with `ray job submit`, with --ray auto.",
        )
    if find_spec("ray") is None:
        raise ClusterError(
            f"--ray {where}: Ray is not installed.",
            expected="the package ray, on this machine and on all nodes of the cluster",
            fix="pip install 'tlkit[ray]'",
        )


@contextlib.contextmanager
def connected(where: str) -> Iterator[None]:
    """Connect this process to a cluster, or start one on this machine, for the block.

    Args:
        where: "auto", "local", or HOST:PORT of the cluster's head.

    Raises:
        ClusterError: There is no such cluster, or it does not answer.
    """
    if "ray" in sys.modules and sys.modules["ray"].is_initialized():  # by a program that uses tlkit as a library
        yield
        return
    address = os.environ.get("RAY_ADDRESS", "") if where == AUTO else where
    if _ADDRESS.fullmatch(address) and not _answers(address):
        raise _no_cluster(where, f"nothing answers at {address}")
    import ray

    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False, "configure_logging": True}
    if where == LOCAL:
        options |= {"address": "local", "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    else:
        options["address"] = where
    try:
        with waiting_for("the Ray cluster"):
            ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise _no_cluster(where, _shorten(error)) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)
    with _hidden_notices():
        try:
            yield
        finally:
            ray.shutdown()


def _no_cluster(where: str, reason: str) -> ClusterError:
    if where == LOCAL:
        return ClusterError(
            f"--ray {where}: {reason}.",
            expected="memory and ports for a cluster on this machine",
            fix="free memory, or leave out --ray.",
        )
    return ClusterError(
        f"--ray {where}: {reason}.",
        expected="a running cluster, of which this machine is a node",
        fix="start it with `ray start --head`, and `ray start --address=HEAD:6379` on the other nodes; or give --ray local.",
    )


@contextlib.contextmanager
def _hidden_notices() -> Iterator[None]:
    """Keep Ray from printing notices of lost workers to standard output, which is for results."""
    from ray._private import worker

    name = "_worker_logs_enabled"
    before = vars(worker).get(name, True)
    vars(worker)[name] = False
    try:
        yield
    finally:
        vars(worker)[name] = before


class RayPool:
    """Workers as actors of a cluster to which this process is connected.

    Args:
        job: What each worker does.
    """

    def __init__(self, job: Job) -> None:
        import ray

        self._ray = ray
        self._job = ray.put(job)
        self._actor = ray.remote(Worker)
        self._heart = _Heart()

    def list_nodes(self) -> list[Node]:
        """Return the nodes that are alive and have processors."""
        self._heart.check()
        with self._explained():
            nodes = [each for each in self._ray.nodes() if each["Alive"] and each["Resources"].get("CPU", 0) >= 1]
        return [Node(each["NodeID"], _name(each, nodes), math.floor(each["Resources"]["CPU"])) for each in nodes]

    def start(self, node: Node) -> tuple[Hashable, Hashable]:
        """Begin to start an actor with all processors of a node that are free."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        number = min(node.num_processors, self._count_free(node))
        with self._explained():
            actor = self._actor.options(
                num_cpus=number,
                max_restarts=0,
                max_task_retries=0,
                max_concurrency=MAX_CALLS,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node.identity, soft=False),
            ).remote(self._job, number)
            return actor, actor.open.remote()

    def submit(self, worker: Any, items: Sequence[Any]) -> Hashable:
        """Give an actor a batch."""
        with self._explained():
            ticket: Hashable = worker.answer.remote(items)
            return ticket

    def wait(self, tickets: Collection[Hashable], seconds: float) -> list[tuple[Hashable, Outcome]]:
        """Wait for one of the tickets; see `WorkerPool.wait`."""
        if not tickets:
            time.sleep(seconds)
            return []
        with self._explained():
            ready, _ = self._ray.wait(list(tickets), num_returns=1, timeout=seconds)
        return [(ticket, self._fetch(ticket)) for ticket in ready]

    def stop(self, worker: Any) -> None:
        """End an actor at once; one that is gone already is no matter."""
        with contextlib.suppress(self._ray.exceptions.RayError, ValueError):
            self._ray.kill(worker, no_restart=True)

    def _fetch(self, ticket: Hashable) -> Outcome:
        exceptions = self._ray.exceptions
        try:
            value = self._ray.get(ticket)
        except exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, (MemoryError, OSError, ImportError)) or not isinstance(cause, Exception):
                return Lost(_shorten(cause))
            cause.add_note(str(error))  # with the traceback of the other process
            return Refused(cause)
        except exceptions.OutOfMemoryError:
            return Lost("the node had too little memory")
        except exceptions.ActorUnavailableError:
            return Lost("it cannot be reached")
        except exceptions.ObjectLostError:
            return Lost("its answer is lost")
        except exceptions.RayError as error:
            has_died = isinstance(error, exceptions.ActorDiedError) and _DIED in str(error)
            return Lost("its process has died" if has_died else _shorten(error))
        return Refused(value.to_error()) if isinstance(value, Refusal) else Done(value)

    def _count_free(self, node: Node) -> int:
        """Return the number of free processors of a node, at least 1."""
        from ray._private.state import available_resources_per_node  # no public function tells

        try:
            free = available_resources_per_node().get(node.identity, {}).get("CPU", 0.0)
        except Exception:  # noqa: BLE001 - another release of Ray may have it otherwise, and all processors will do
            return node.num_processors
        return max(1, int(free))

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (self._ray.exceptions.RayError, ConnectionError) as error:
            raise _unreachable(_shorten(error)) from error


class _Heart:
    """Tells whether the cluster's head and this machine's own node live. Ray would wait, and then end this process."""

    def __init__(self) -> None:
        import ray
        from ray._private.worker import global_worker

        self._head = ray.get_runtime_context().gcs_address
        self._node = str(getattr(global_worker.node, "raylet_socket_name", ""))
        self._last_beat = time.monotonic()

    def check(self) -> None:
        """Check that both answer.

        Raises:
            ClusterError: They do not.
        """
        if self._node.startswith("/") and not _connects(socket.AF_UNIX, self._node):
            raise _unreachable("this machine's own node has ended")
        while not _answers(self._head):
            if time.monotonic() - self._last_beat > _SECONDS_WITHOUT_HEAD:
                raise _unreachable(f"its head {self._head} has ended")
            time.sleep(1)
        self._last_beat = time.monotonic()


def _answers(address: str) -> bool:
    """Return whether anything listens at HOST:PORT."""
    host, _, port = address.rpartition(":")
    return _connects(socket.AF_INET6 if ":" in host else socket.AF_INET, (host.strip("[]"), int(port)))


def _connects(family: int, address: Any) -> bool:
    with socket.socket(family) as connection:
        connection.settimeout(_SECONDS_TO_CONNECT)
        try:
            connection.connect(address)
        except OSError:
            return False
        return True


def _unreachable(reason: str) -> ClusterError:
    return ClusterError(
        f"The Ray cluster does not answer: {reason}.",
        expected="a cluster whose head, and whose node on this machine, run until the command has ended",
        fix="start it again, and then the same command: what is computed is kept.",
    )


def _name(node: dict[str, Any], nodes: Sequence[dict[str, Any]]) -> str:
    """Return the host's name, with the start of the node's own where a host has several."""
    host = node["NodeManagerHostname"]
    is_alone = sum(1 for each in nodes if each["NodeManagerHostname"] == host) == 1
    return host if is_alone else f"{host} ({node['NodeID'][:6]})"


def _shorten(error: BaseException) -> str:
    """Return the first sentence of the line of an error that says most, without its full stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    line = lines[0] if len(lines) == 1 else next((each for each in reversed(lines) if " " in each), lines[-1])
    return re.split(r"(?<=[a-z])\. ", line)[0].rstrip(".")[:_LONGEST_REASON]
