"""The process of the `tlkit` command, also `python -m tlkit`: signals first, then the command line.

The process ends without Python's teardown: everything worth keeping is on the disk by then, and taking TensorFlow and
its threads down would cost time and could fail after the command has succeeded.
"""

import _signal  # type: ignore[import-not-found]  # `signal` itself takes longer to import than all before it
import os


def end_early(number: int, frame: object) -> None:
    """End a process that has not begun anything."""
    os.write(2, b"\nInterrupted before anything was done.\n")
    os._exit(128 + number)


if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, end_early)  # before the imports below, during which Ctrl-C would be a traceback

import sys  # noqa: E402
from typing import NoReturn  # noqa: E402

from tlkit.interruption import describe_interruption, handle_signals  # noqa: E402


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    try:
        handle_signals()
        from tlkit.cli.main import main as run

        exit_code = run()
    except KeyboardInterrupt as error:  # before the command line could catch it
        text, exit_code = describe_interruption(error)
        sys.stderr.write(f"\n{text}\n")
    sys.stderr.flush()
    os._exit(exit_code)


if __name__ == "__main__":
    main()
