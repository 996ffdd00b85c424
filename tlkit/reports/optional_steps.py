"""The steps of a run that its model does not depend on: one that fails costs a warning, never the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tlkit.errors import TlkitError
from tlkit.reports.console import Console


class OptionalSteps:
    """Runs optional steps and keeps account of those that failed.

    Args:
        console: Gets a warning the first time that a step fails.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._reasons: dict[str, str] = {}

    @property
    def not_made(self) -> list[dict[str, str]]:
        """What could not be made, as `what` and `reason`, for `summary.json`."""
        return [{"what": what, "reason": reason} for what, reason in self._reasons.items()]

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Make `what` inside. A problem with a file, the disk or the numbers ends there; a bug passes through.

        A step may be repeated: what is made in the end counts as made.
        """
        try:
            yield
        except (TlkitError, OSError) as error:
            self.fail(what, describe_problem(error))
        else:
            self._reasons.pop(what, None)

    def fail(self, what: str, reason: str) -> None:
        """Note that `what` could not be made, with the reason as a clause without a full stop."""
        if what not in self._reasons:
            self._console.warn(f"{what} could not be made: {reason}.")
        self._reasons[what] = reason


def describe_problem(error: Exception) -> str:
    """Return in one line what went wrong, without a full stop; for a disk's errors, the file and the cause."""
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}"
    text = error.found if isinstance(error, TlkitError) else str(error)
    return " ".join(text.split()).rstrip(".") or type(error).__name__
