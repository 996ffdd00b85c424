"""Run one tlkit command, with TensorFlow and Keras imported before the clock starts, as on the other side."""

from __future__ import annotations

import contextlib
import io
import json
import time
from typing import Any

import keras  # noqa: F401 - imported here, so that it is not inside the clock

from benchmarks.side_by_side.job import run_job
from tlkit.cli.main import main


def run_command(words: list[str]) -> dict[str, Any]:
    """Return the `seconds` that the command took, and the `payload` that it printed; `words` ask for --json."""
    output = io.StringIO()
    start = time.perf_counter()
    with contextlib.redirect_stdout(output):
        exit_code = main(words)
    seconds = time.perf_counter() - start
    if exit_code:
        raise SystemExit(exit_code)
    return {"seconds": seconds, "payload": json.loads(output.getvalue())}


if __name__ == "__main__":
    run_job(run_command)
