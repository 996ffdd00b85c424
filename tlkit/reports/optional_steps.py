"""Optional steps of a run: a failure gives a warning and never costs the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tlkit.errors import TlkitError
from tlkit.reports.console import Console


class OptionalSteps:
    """Runs optional steps and records those that failed.

    Args:
        console: Receives a warning the first time a step fails.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._reasons: dict[str, str] = {}

    @property
    def not_made(self) -> list[dict[str, str]]:
        """The failed steps, as `what` and `reason`, for `summary.json`."""
        return [{"what": what, "reason": reason} for what, reason in self._reasons.items()]

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Make `what` in the block. File, disk and numeric errors are caught; bugs propagate.

        A step may be repeated; a later success clears its failure.
        """
        try:
            yield
        except (TlkitError, OSError) as error:
            self.fail(what, describe_problem(error))
        else:
            self._reasons.pop(what, None)

    def fail(self, what: str, reason: str) -> None:
        """Record that `what` could not be made, with the reason as a clause without a full stop."""
        if what not in self._reasons:
            self._console.warn(f"{what} could not be made: {reason}.")
        self._reasons[what] = reason


def describe_problem(error: Exception) -> str:
    """Describe an error in one line without a full stop; for disk errors, the file and the cause."""
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}"
    text = error.found if isinstance(error, TlkitError) else str(error)
    return " ".join(text.split()).rstrip(".") or type(error).__name__
