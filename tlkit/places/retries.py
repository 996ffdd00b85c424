"""Try a request again: with growing pauses, a limit, and only where another try can help."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

MAX_TRIES = 8
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0

Result = TypeVar("Result")


class PassingError(Exception):
    """A request failed in a way that another try may not: the server is busy, or the connection broke."""


def pause_before(attempt: int) -> float:
    """Return the seconds to wait before a further try: doubled each time, up to a limit, and between half and all of it.

    Args:
        attempt: 1 for the second try.
    """
    longest = min(FIRST_PAUSE_SECONDS * 2.0 ** (attempt - 1), LONGEST_PAUSE_SECONDS)
    return longest * random.uniform(0.5, 1.0)


def try_again(request: Callable[[], Result], *, is_cancelled: Callable[[], bool] = lambda: False) -> Result:
    """Return the result of a request, tried at most MAX_TRIES times.

    Args:
        request: Sends it; raises `PassingError` for what may pass.
        is_cancelled: Whether no further try is wanted.

    Raises:
        PassingError: The last try failed, too.
    """
    for attempt in range(1, MAX_TRIES):
        try:
            return request()
        except PassingError:
            if is_cancelled():
                raise
            time.sleep(pause_before(attempt))
    return request()
