"""Find the files that arrive in a folder, once each, when they are complete.

The folder is looked through again and again, which works on network drives, too. A file is complete if its size and time
have not changed between two looks, or if it was last written a while ago: then it was moved here as a whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tlkit.data.signatures import looks_like_image
from tlkit.data.sources import walk_files

SECONDS_BETWEEN_LOOKS = 1.0
SETTLED_SECONDS = 5.0
"""A file that was not written for so long is complete."""
PATIENCE_SECONDS = 10.0
"""A file that cannot be read is tried again for so long: its writer may have paused."""

_Stamp = tuple[int, int]


@dataclass
class _Arrival:
    """A file that is not done: its size and time at the last look, and when it was found (by the clock of the watch)."""

    stamp: _Stamp
    found_at: float


class HotFolder:
    """Watches a folder and its subfolders.

    Args:
        folder: The folder.
        done: Paths that are left alone.
        warn: Receives a sentence if the folder cannot be read.
        seconds: Time between looks.
        wait: Waits so many seconds.
    """

    def __init__(
        self,
        folder: Path,
        done: Iterable[str],
        *,
        warn: Callable[[str], None],
        seconds: float = SECONDS_BETWEEN_LOOKS,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder = folder
        self._done = set(done)
        self._warn = warn
        self._seconds = seconds
        self._wait = wait
        self._arrivals: dict[str, _Arrival] = {}
        self._foreign: dict[str, _Stamp] = {}

    def watch(self) -> Iterator[list[Path]]:
        """Yield complete files, without end."""
        while True:
            found = self.look()
            if found:
                yield found
            else:
                self._wait(self._seconds)

    def look(self) -> list[Path]:
        """Look once, and return the files that have become complete."""
        now = time.monotonic()
        present: dict[str, _Arrival] = {}
        complete = []
        for path, stamp in self._list():
            before = self._arrivals.get(str(path))
            arrival = before or _Arrival(stamp, now)
            is_settled = time.time() - stamp[1] / 1e9 > SETTLED_SECONDS
            if is_settled or (before is not None and before.stamp == stamp):
                complete.append(path)
            arrival.stamp = stamp
            present[str(path)] = arrival
        self._arrivals = present
        return complete

    def is_done(self, path: Path, *, is_readable: bool) -> bool:
        """Return whether a file that was given is done; otherwise it is given again.

        Args:
            path: The file.
            is_readable: Whether it could be read. One that cannot may still be written, or have been taken away.
        """
        arrival = self._arrivals.get(str(path))
        if not is_readable:
            stamp = _read_stamp(path)
            if stamp is None:
                self._arrivals.pop(str(path), None)
                return False
            if arrival is not None and time.monotonic() - arrival.found_at < PATIENCE_SECONDS:
                arrival.stamp = (-1, -1)  # so that the next look waits for it to stay the same
                return False
        self._done.add(str(path))
        self._arrivals.pop(str(path), None)
        return True

    def _list(self) -> Iterator[tuple[Path, _Stamp]]:
        """Yield the files that may be new images, each with its size and time."""
        for file in walk_files(self._folder):
            path = str(file.path)
            if path in self._done:
                continue
            if file.problem is not None:
                self._warn(f"{file.path}: {file.problem}.")
                continue
            stamp = _read_stamp(file.path)
            if stamp is None or not stamp[0] or self._foreign.get(path) == stamp:
                continue
            if looks_like_image(file.path):
                yield file.path, stamp
            else:
                self._foreign[path] = stamp


def _read_stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
