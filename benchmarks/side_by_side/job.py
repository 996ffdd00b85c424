"""What a program that is measured shares with the benchmark that starts it: arguments in, figures out, both as JSON.

A program imports what it needs before its clock starts, so imports stand outside it on every side. Where they are to
count, the benchmark takes the time from the start of the process to its end instead. This module is read in both
environments, so it imports nothing but the standard library.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any


def run_job(work: Callable[..., Mapping[str, Any]]) -> None:
    """Call `work` with the JSON object on the command line, and print what it returns as the last line of output."""
    figures = work(**json.loads(sys.argv[1]))
    print(f"\n{json.dumps(figures)}", flush=True)
