"""What a run says while it works: lines, tables, progress and one JSON object at the end.

Standard output carries the story, or nothing but the JSON object when a script asked for one; warnings and progress go
to standard error. Pipes and files get plain text: no colours, no redrawn lines, no shortened tables. Names of files and
classes are data, so control characters in them are shown as escapes and never reach the terminal.
"""

from __future__ import annotations

import functools
import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TextIO

from tlkit.reports.printed_table import write_table
from tlkit.reports.terminal import is_terminal, printable, write_line
from tlkit.waiting import find_long_wait

SECONDS_BETWEEN_LINES = 10.0
SECONDS_OF_SILENCE = 20.0
"""For so long a command waits before it says what for."""


class Advance(Protocol):
    """Tells a progress line how many more units are done."""

    def __call__(self, count: int = 1) -> None:
        """Count `count` more units as done; may be called from any thread."""


class Console:
    """Where a workflow says what it does.

    Args:
        verbosity: -1 says only warnings and results (`-q`), 0 the story, 1 the details too (`-v`).
        json: The story goes to standard error, and `result` writes one JSON object to standard output.
    """

    def __init__(self, *, verbosity: int = 0, json: bool = False) -> None:
        self.verbosity = verbosity
        self.json = json
        self._warnings: set[str] = set()

    def say(self, text: str) -> None:
        """Write a line of the story, unless under `-q`."""
        if self.verbosity >= 0:
            write_line(self._story_stream(), text)

    def detail(self, text: str) -> None:
        """Write a line that only `-v` shows."""
        if self.verbosity >= 1:
            write_line(self._story_stream(), text)

    def warn(self, text: str) -> None:
        """Write a warning to standard error, always, but the same one only once."""
        if text not in self._warnings:
            self._warnings.add(text)
            write_line(sys.stderr, f"Warning: {text}")

    @contextmanager
    def disk_warning(self, failure: str) -> Iterator[None]:
        """Turn what the disk refuses in a block into a warning, where the run can do without."""
        try:
            yield
        except OSError as error:
            self.warn(f"{failure}: {error.strerror or error}.")

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Write a table, unless under `-q`; columns whose cells are all numbers are aligned to the right."""
        if self.verbosity >= 0:
            write_table(self._story_stream(), title, columns, rows)

    @contextmanager
    def progress(
        self, description: str, total: int | None, unit: str = "images", *, closes: bool = True
    ) -> Iterator[Advance]:
        """Show how far a long step has come, on standard error, unless under `-q`.

        A terminal shows one line with a bar, the rate and the time left; anything else gets a plain line every ten
        seconds.

        Args:
            description: What is being done, such as "Features".
            total: Number of units in all; None where it is not known.
            unit: What is counted, in the plural.
            closes: Whether a line with the count and the time ends the step; without it a quick step says nothing.

        Yields:
            The function to call when units are done.
        """
        meter = Meter(description, total, unit)
        if self.verbosity < 0:
            yield meter.advance
            return
        if is_terminal(sys.stderr):
            with _live_bar(meter):
                yield meter.advance
        else:
            yield _report_now_and_then(meter)
        if closes:
            write_line(sys.stderr, meter.summary())

    def result(self, payload: Mapping[str, object]) -> None:
        """Write the result as one JSON object on standard output, if a script asked for it."""
        if self.json:
            sys.stdout.write(json.dumps(_to_json(payload), allow_nan=False) + "\n")
            sys.stdout.flush()

    def _story_stream(self) -> TextIO:
        return sys.stderr if self.json else sys.stdout


@functools.cache
def announce_waits() -> None:
    """From now on say on standard error what the process waits for, whenever that takes long; for the command line."""
    threading.Thread(target=_announce_waits, args=(threading.Event(),), name="waits", daemon=True).start()


def _announce_waits(ended: threading.Event) -> None:
    while not ended.wait(SECONDS_OF_SILENCE / 2):
        if wait := find_long_wait(SECONDS_OF_SILENCE):
            with suppress(OSError, ValueError):  # nobody reads standard error any more
                write_line(sys.stderr, f"Waiting for {wait[0]}: {format_duration(wait[1])} so far.")


class Meter:
    """The count of a long step, and what it says about rate and time left.

    Args:
        description: What is being done.
        total: Number of units in all; None where it is not known.
        unit: What is counted, in the plural.
        clock: Returns the time in seconds.
    """

    def __init__(
        self, description: str, total: int | None, unit: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.description = description
        self.total = total
        self.unit = unit
        self.done = 0
        self._clock = clock
        self._start = clock()
        self._lock = threading.Lock()

    def advance(self, count: int = 1) -> None:
        """Count `count` more units as done."""
        with self._lock:
            self.done += count

    @property
    def seconds(self) -> float:
        """Seconds since the step began."""
        return self._clock() - self._start

    def status(self) -> str:
        """Return the line for a step under way: `Features: 320 of 900 images, 35.2 a second, 16 s left`."""
        of_total = "" if self.total is None else f" of {self.total:,}"
        text = f"{self.description}: {self.done:,}{of_total} {self.unit}"
        if not self.done or self.seconds <= 0:
            return text
        rate = self.done / self.seconds
        left = "" if self.total is None else f", {format_duration(max(self.total - self.done, 0) / rate)} left"
        return f"{text}, {format_rate(rate)} a second{left}"

    def summary(self) -> str:
        """Return the line for a finished step: `Features: 900 images in 25 s (36.0 a second)`."""
        seconds = self.seconds
        rate = f" ({format_rate(self.done / seconds)} a second)" if self.done and seconds > 0 else ""
        return f"{self.description}: {self.done:,} {self.unit} in {format_duration(seconds)}{rate}"


def format_rate(rate: float) -> str:
    """Return a rate with three figures or so: 0.52, 35.2, 1,290."""
    return f"{rate:.2f}" if rate < 10 else f"{rate:.1f}" if rate < 100 else f"{rate:,.0f}"


def format_duration(seconds: float) -> str:
    """Return a duration as people say it: 0.4 s, 45 s, 3 min 20 s, 1 h 05 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


@contextmanager
def _live_bar(meter: Meter) -> Iterator[None]:
    """Redraw a bar and the meter's status on standard error until the step ends, then wipe it."""
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, Progress, ProgressColumn, Task
    from rich.text import Text

    class StatusColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            progress.update(task.id, completed=meter.done)
            return Text(printable(meter.status()))

    console = RichConsole(file=sys.stderr, highlight=False)
    # Standard output may be a file while standard error is a terminal: rich would send its lines to the terminal.
    progress = Progress(
        BarColumn(bar_width=20),
        StatusColumn(),
        console=console,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
        refresh_per_second=4,
    )
    progress.add_task("", total=meter.total)
    with progress:
        yield


def _report_now_and_then(meter: Meter) -> Advance:
    """Return an `advance` that also writes the meter's status to standard error every ten seconds or so."""
    last_line_at = 0.0

    def advance(count: int = 1) -> None:
        nonlocal last_line_at
        meter.advance(count)
        if meter.done != meter.total and meter.seconds - last_line_at >= SECONDS_BETWEEN_LINES:
            last_line_at = meter.seconds
            write_line(sys.stderr, meter.status())

    return advance


def _to_json(value: Any) -> Any:
    """Return `value` in JSON's own types: paths as text, NumPy numbers as numbers, NaN and infinity as null."""
    if isinstance(value, Mapping):
        return {str(key): _to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):
        return _to_json(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
