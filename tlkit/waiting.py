"""What the process waits for, noted while it does, so that a long silence can be explained.

Whoever waits for what may take long (a disk, another process, an engine) says so here. Nothing is printed here: the
command line's console looks now and then whether a wait has become long.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

_waits: list[tuple[str, float]] = []


@contextmanager
def waiting_for(what: str) -> Iterator[None]:
    """Note what the block waits for, in words that follow "Waiting for". Costs about a microsecond; any thread may."""
    wait = (what, time.monotonic())
    _waits.append(wait)
    try:
        yield
    finally:
        _waits.remove(wait)


def find_long_wait(min_seconds: float) -> tuple[str, float] | None:
    """Return what has been waited for for so long, and for how many seconds; the latest of several, None if nothing."""
    now = time.monotonic()
    long_waits = [(what, now - since) for what, since in list(_waits) if now - since >= min_seconds]
    return long_waits[-1] if long_waits else None
