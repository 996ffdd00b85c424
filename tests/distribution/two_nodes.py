"""A program: run a command line of tlkit on a Ray cluster of two nodes on this machine, each with one processor.

    python -m tests.distribution.two_nodes [--kill-worker] WORDS...

RAY_ADDRESS names the cluster. With --kill-worker, one worker is killed as soon as it computes a batch.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

LOOPBACK = "127.0.0.1"


def find_workers() -> list[int]:
    """Return the processes of workers that compute a batch, on Linux."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            is_worker = folder.name.isdigit() and b"ray::Worker.answer" in (folder / "cmdline").read_bytes()
            is_own = is_worker and os.environ["RAY_ADDRESS"].encode() in (folder / "environ").read_bytes()
        except OSError:
            continue
        if is_own:
            found.append(int(folder.name))
    return found


def kill_a_worker() -> None:
    """Kill one worker when it computes."""
    while not (workers := find_workers()):
        time.sleep(0.01)
    os.kill(workers[0], signal.SIGKILL)
    sys.stderr.write("A worker is killed.\n")


def main(words: list[str]) -> None:
    """Start the nodes, and run the command line; this does not return."""
    import ray._private.services
    import ray.util
    from ray.cluster_utils import Cluster

    # Ray takes the machine's address in place of the loopback's, where nodes may not reach each other.
    ray._private.services.get_node_ip_address = ray.util.get_node_ip_address = lambda *_: LOOPBACK
    node = {"num_cpus": 1, "node_ip_address": LOOPBACK, "object_store_memory": 100 * 2**20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    os.environ["RAY_ADDRESS"] = cluster.address
    cluster.add_node(**node)
    if words[0] == "--kill-worker":
        threading.Thread(target=kill_a_worker, daemon=True).start()
        words = words[1:]
    from tlkit.cli.main import main as run

    try:
        exit_code = run(words)
    finally:
        cluster.shutdown()
    sys.exit(exit_code)


if __name__ == "__main__":
    main(sys.argv[1:])
