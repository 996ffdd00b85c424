"""Run one piece of work in a process of its own: how long it took, the memory it needed at most, what it said."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TLKIT = str(Path(sys.executable).with_name("tlkit"))
_SECONDS_BETWEEN_LOOKS = 0.005
_LAST_CHARACTERS = 2_000
# Linux gives kilobytes, macOS bytes.
_BYTES_OF_A_UNIT = 1 if sys.platform == "darwin" else 1024


class JobFailed(Exception):  # noqa: N818
    """A process that ended with an error; the message is its command and the end of what it wrote, `reason` one line."""

    def __init__(self, words: Sequence[str], exit_code: int, text: str) -> None:
        super().__init__(f"{' '.join(words)} ended with {exit_code}:\n{text[-_LAST_CHARACTERS:]}")
        lines = [line for line in text.splitlines() if line.strip()] or [""]
        self.reason = next((line for line in lines if line.startswith("Error: ")), lines[-1])


@dataclass(frozen=True)
class Finished:
    """A process that has come to its end.

    Attributes:
        seconds: From its start to its end.
        peak_bytes: The most memory that it held.
        output: The JSON object on the last line of its output; empty if there is none.
    """

    seconds: float
    peak_bytes: int
    output: dict[str, Any]


@dataclass
class EpochWatch:
    """Looks at a run's `history.csv` while tlkit writes it, and notes when each epoch came.

    Attributes:
        history: The file.
        epochs: The rows so far, each with `arrived`, seconds since the process started.
    """

    history: Path
    epochs: list[dict[str, str | float]] = field(default_factory=list)
    _last_change: int = 0

    def look(self, seconds: float) -> None:
        """Take in the rows that are new."""
        try:
            changed = self.history.stat().st_mtime_ns
        except FileNotFoundError:
            return
        if changed != self._last_change:
            self._last_change = changed
            with self.history.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            self.epochs += [{**row, "arrived": seconds} for row in rows[len(self.epochs) :]]

    def seconds_per_epoch(self) -> float:
        """Return what an epoch of the last stage took after its first: all that happens between two of them counts."""
        stage = [float(row["arrived"]) for row in self.epochs if row["stage"] == self.epochs[-1]["stage"]]
        return (stage[-1] - stage[0]) / (len(stage) - 1)


def run_process(
    words: Sequence[str], *, environment: dict[str, str] | None = None, watch: EpochWatch | None = None
) -> Finished:
    """Run a command in the checkout's root, wait for its end and return what it took.

    Raises:
        JobFailed: It ended with an error.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            words, cwd=ROOT, env=_complete(environment or {}), stdin=subprocess.DEVNULL, stdout=output, stderr=errors
        )
        look = (lambda: watch.look(time.perf_counter() - start)) if watch else None
        status, usage = _wait(process.pid, look)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if watch:
            watch.look(seconds)
        text, complaint = _read(output), _read(errors)
    if process.returncode:
        raise JobFailed(words, process.returncode, text + complaint)
    return Finished(seconds, usage.ru_maxrss * _BYTES_OF_A_UNIT, _read_last_line(text))


def run_module(
    name: str, *, python: str = sys.executable, environment: dict[str, str] | None = None, **arguments: Any
) -> Finished:
    """Run a program below `benchmarks` (see `job.run_job`) with these arguments."""
    words = [python, "-m", f"benchmarks.{name}", json.dumps(arguments, default=str)]
    return run_process(words, environment=environment)


def _complete(environment: dict[str, str]) -> dict[str, str]:
    """Return a process's environment: tlkit is that of this checkout, and TensorFlow is quiet."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "COLUMNS": "120", **environment}


def _wait(pid: int, look: Callable[[], None] | None) -> tuple[int, Any]:
    """Wait for a child's end and return its status and what it used; `look` is called again and again meanwhile."""
    while look:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            return status, usage
        look()
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    return os.wait4(pid, 0)[1:]


def _read(file: Any) -> str:
    file.seek(0)
    text: str = file.read().decode(errors="replace")
    return text


def _read_last_line(text: str) -> dict[str, Any]:
    lines = text.strip().splitlines()
    try:
        output = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return output if isinstance(output, dict) else {}
