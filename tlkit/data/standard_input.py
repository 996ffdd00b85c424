"""Read lines from standard input as they arrive, without waiting for its end."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from queue import Empty, Queue
from typing import BinaryIO

from tlkit.errors import DataError

MAX_LINES_AT_ONCE = 1024
MAX_LINE_BYTES = 2**20
CHUNK_BYTES = 2**16

_Item = str | Exception | None


def read_lines(stdin: BinaryIO) -> Iterator[list[str]]:
    """Yield groups of available lines, without line ends; wait only if there is none.

    A program that writes one line and waits for the result gets it, and thousands of lines written at once are
    processed in batches.

    Args:
        stdin: A raw stream, since a buffered one waits for more data.

    Raises:
        DataError: It cannot be read, or a line is longer than 1 MiB.
    """
    waiting: Queue[_Item] = Queue(maxsize=MAX_LINES_AT_ONCE)
    # A daemon thread, since it may still be waiting for a line when the process ends.
    threading.Thread(target=_read, args=(stdin, waiting), name="standard input", daemon=True).start()
    item = waiting.get()
    while item is not None:
        lines: list[str] = []
        while isinstance(item, str):
            lines.append(item)
            if len(lines) == MAX_LINES_AT_ONCE:
                break
            try:
                item = waiting.get_nowait()
            except Empty:
                break
        if lines:
            yield lines
        if isinstance(item, OSError):
            raise DataError(
                f"standard input cannot be read: {item.strerror or item}.",
                expected="one path per line, of at most 1 MiB",
                fix="check the program that writes the paths.",
            ) from item
        if isinstance(item, Exception):
            raise item
        if item is not None:
            item = waiting.get()


def _read(stdin: BinaryIO, waiting: Queue[_Item]) -> None:
    """Put each line into the queue, and None at the end."""
    rest = b""
    try:
        while content := stdin.read(CHUNK_BYTES):
            *lines, rest = (rest + content).split(b"\n")
            for line in lines:
                waiting.put(os.fsdecode(line.removesuffix(b"\r")))
            if len(rest) > MAX_LINE_BYTES:
                raise OSError(f"a line of more than {MAX_LINE_BYTES:,} bytes")
        if rest:
            waiting.put(os.fsdecode(rest.removesuffix(b"\r")))
        waiting.put(None)
    except Exception as error:  # noqa: BLE001 - raised by the thread that waits, which would wait for ever
        waiting.put(error)
