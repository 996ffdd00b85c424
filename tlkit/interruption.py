"""Handle Ctrl-C and SIGTERM: stop and report what is kept; on a second signal, exit immediately.

The first signal raises `KeyboardInterrupt` in the main thread, so files that are written aside are removed and shards
that were collected are kept. From then on further signals raise nothing: cleaning up is not interrupted. One that comes
half a second later or more ends the process from a thread of its own, since the main thread may be deep in C++; what
lies on the disk stays whole, because no file is ever written in place.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SECONDS_OF_GRACE = 0.5
"""A second signal within this time counts as the first: some supervisors send two at once."""

SHOW_CURSOR = "\x1b[?25h"

_notes: list[str] = []
_received: list[int] = []


class Terminated(KeyboardInterrupt):
    """The process was asked to end by SIGTERM."""


@contextmanager
def kept_if_interrupted(note: str) -> Iterator[None]:
    """Report what is kept, and how to continue, if the block is interrupted.

    Of blocks within each other the outermost speaks: it knows the command.

    Args:
        note: Sentences that follow "Interrupted.", such as "Run the same command again to go on."
    """
    _notes.append(note)
    try:
        yield
    except Exception:  # an interruption keeps its note, for `describe_interruption`
        _notes.remove(note)
        raise
    _notes.remove(note)


def handle_signals() -> None:
    """Turn SIGINT and SIGTERM into an orderly end; call it once, in the main thread of a process of tlkit's own.

    A signal that the parent process has switched off (`nohup`, a job in the background of a script) stays off.
    """
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(read_end,), name="signals", daemon=True).start()
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _raise_once)


def is_interrupted() -> bool:
    """Return whether a signal has come; what fails after it fails because of it."""
    return bool(_received)


def describe_interruption(error: BaseException | None = None) -> tuple[str, int]:
    """Return the line that ends an interrupted process, and its exit code: 130 after Ctrl-C, 143 after SIGTERM.

    Args:
        error: What ended the work, where no signal came (a test, a library that raises `KeyboardInterrupt`).
    """
    number = _received[0] if _received else signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT
    verb = "Terminated." if number == signal.SIGTERM else "Interrupted."
    note = _notes[0] if _notes else "Nothing is left half-written."
    _notes.clear()
    return f"{verb} {note}", 128 + number


def _raise_once(number: int, frame: FrameType | None) -> None:
    if not _received:
        _received.append(number)
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def _watch(read_end: int) -> None:
    """End the process at the second signal; Python writes each signal's number to the pipe as soon as it comes."""
    first_at: float | None = None
    while True:
        for number in os.read(read_end, 1):
            if number not in SIGNALS or signal.getsignal(number) is signal.SIG_IGN:
                continue
            if first_at is None:
                first_at = time.monotonic()
            elif time.monotonic() - first_at >= SECONDS_OF_GRACE:
                _end_at_once(number)


def _end_at_once(number: int) -> None:
    if not _received:
        _received.append(number)
    text, exit_code = describe_interruption()
    with suppress(OSError):
        cursor = SHOW_CURSOR if os.isatty(2) else ""
        os.write(2, f"{cursor}\n{text}\n".encode(sys.getfilesystemencoding(), "backslashreplace"))
    os._exit(exit_code)
