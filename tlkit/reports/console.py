"""Console output of a run: lines, tables, progress and one JSON object at the end.

Messages go to standard output, or to standard error with `--json`, when standard output carries only the JSON object.
Warnings and progress go to standard error. Pipes and files get plain text: no colours, redrawn lines or shortened
tables. File and class names are data, so their control characters are escaped and never reach the terminal.
"""

from __future__ import annotations

import copy
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

from tlkit.places.copies import show_path, show_text
from tlkit.reports.printed_table import is_terminal, printable, write_line, write_table
from tlkit.waiting import find_long_wait

SECONDS_BETWEEN_LINES = 10.0
SECONDS_OF_SILENCE = 20.0
"""How long a command waits before it reports what it waits for."""


class Advance(Protocol):
    """Updates a progress line."""

    def __call__(self, count: int = 1) -> None:
        """Count `count` more units as done; may be called from any thread."""


class Console:
    """The output of a command.

    Args:
        verbosity: -1 for warnings and results only (`-q`), 0 for messages, 1 for details too (`-v`).
        json: Write messages to standard error, and one JSON object to standard output by `result`.
        command: The command line as typed; None from Python.

    Attributes:
        message_verbosity: The verbosity from which messages and tables are written.
    """

    def __init__(self, *, verbosity: int = 0, json: bool = False, command: str | None = None) -> None:
        self.verbosity = verbosity
        self.json = json
        self.command = command
        self._warnings: set[str] = set()
        self.message_verbosity = 0

    def for_details(self) -> Console:
        """Return a console for a side step: its messages are details; warnings and progress stay."""
        console = copy.copy(self)
        console.message_verbosity = 1
        return console

    def say(self, text: str) -> None:
        """Write a message, except with `-q`."""
        if self.verbosity >= self.message_verbosity:
            write_line(self._story_stream(), text)

    def detail(self, text: str) -> None:
        """Write a message only with `-v`."""
        if self.verbosity >= 1:
            write_line(self._story_stream(), text)

    def warn(self, text: str) -> None:
        """Write a warning to standard error, each distinct one once."""
        if text not in self._warnings:
            self._warnings.add(text)
            write_line(sys.stderr, f"Warning: {text}")

    @contextmanager
    def disk_warning(self, failure: str) -> Iterator[None]:
        """Turn a disk error in the block into a warning, for files that the run does not need."""
        try:
            yield
        except OSError as error:
            self.warn(f"{failure}: {error.strerror or error}.")

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Write a table, except with `-q`; numeric columns are right-aligned."""
        if self.verbosity >= self.message_verbosity:
            write_table(self._story_stream(), title, columns, rows)

    @contextmanager
    def progress(
        self,
        description: str,
        total: int | None,
        unit: str = "images",
        *,
        closes: bool = True,
        note: Callable[[], str] | None = None,
    ) -> Iterator[Advance]:
        """Show the progress of a long step on standard error, except with `-q`.

        A terminal shows a line with a bar, the rate and the remaining time; otherwise a plain line is written every ten
        seconds.

        Args:
            description: Name of the step, such as "Features".
            total: Total number of units; None if unknown.
            unit: Name of the units, plural.
            closes: Whether to end with a line of the count and the time; otherwise a quick step prints nothing.
            note: Returns what else to say of the step in progress, such as "3 workers".

        Yields:
            The function to call when units are done.
        """
        meter = Meter(description, total, unit, note=note)
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
        """Write the result as one JSON object to standard output, with `--json`."""
        if self.json:
            sys.stdout.write(json.dumps(to_json(payload), allow_nan=False) + "\n")
            sys.stdout.flush()

    def _story_stream(self) -> TextIO:
        return sys.stderr if self.json else sys.stdout


@functools.cache
def announce_waits() -> None:
    """From now on, report long waits on standard error; for the command line."""
    threading.Thread(target=_announce_waits, args=(threading.Event(),), name="waits", daemon=True).start()


def _announce_waits(ended: threading.Event) -> None:
    while not ended.wait(SECONDS_OF_SILENCE / 2):
        if wait := find_long_wait(SECONDS_OF_SILENCE):
            with suppress(OSError, ValueError):  # standard error is closed
                write_line(sys.stderr, f"Waiting for {wait[0]}: {format_duration(wait[1])} so far.")


class Meter:
    """Counts the units of a long step, and formats rate and remaining time.

    Args:
        description: Name of the step.
        total: Total number of units; None if unknown.
        unit: Name of the units, plural.
        note: Returns what else to say of a step in progress.
        clock: Returns the time in seconds.
    """

    def __init__(
        self,
        description: str,
        total: int | None,
        unit: str,
        *,
        note: Callable[[], str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.description = description
        self.total = total
        self.unit = unit
        self.done = 0
        self._note = note
        self._clock = clock
        self._start = clock()
        self._lock = threading.Lock()

    def advance(self, count: int = 1) -> None:
        """Count `count` more units as done."""
        with self._lock:
            self.done += count

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._start

    def status(self) -> str:
        """Return the line for a step in progress: `Features: 320 of 900 images, 35.2 a second, 16 s left`.

        A note follows the images: `Features: 320 of 900 images, 3 workers, 35.2 a second`.
        """
        of_total = "" if self.total is None else f" of {self.total:,}"
        text = f"{self.description}: {self.done:,}{of_total} {self.unit}"
        if note := self._note and self._note():
            text += f", {note}"
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
    """Format a rate with about three digits: 0.52, 35.2, 1,290."""
    return f"{rate:.2f}" if rate < 10 else f"{rate:.1f}" if rate < 100 else f"{rate:,.0f}"


def format_duration(seconds: float) -> str:
    """Format a duration: 0.4 s, 45 s, 3 min 20 s, 1 h 05 min."""
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
    """Redraw a bar and the meter's status on standard error until the step ends, then erase it."""
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, Progress, ProgressColumn, Task
    from rich.text import Text

    class StatusColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            progress.update(task.id, completed=meter.done)
            return Text(printable(meter.status()))

    console = RichConsole(file=sys.stderr, highlight=False)
    # If standard output is a file and standard error a terminal, rich would print its lines on the terminal.
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
    """Return an `advance` that also writes the status to standard error about every ten seconds."""
    last_line_at = 0.0

    def advance(count: int = 1) -> None:
        nonlocal last_line_at
        meter.advance(count)
        if meter.done != meter.total and meter.seconds - last_line_at >= SECONDS_BETWEEN_LINES:
            last_line_at = meter.seconds
            write_line(sys.stderr, meter.status())

    return advance


def to_json(value: Any) -> Any:
    """Convert `value` to JSON types: paths to text, NumPy numbers to numbers, NaN and infinity to null."""
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, os.PathLike):
        return show_path(value)
    if isinstance(value, str):
        return show_text(value)
    if hasattr(value, "tolist"):
        return to_json(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
