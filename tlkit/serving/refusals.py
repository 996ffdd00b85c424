"""Errors of a request: what a command line says in three lines, as JSON with a status."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any


class RequestError(Exception):
    """A request that is refused. It concerns the client and ends nothing, so it is none of `tlkit.errors`.

    Args:
        status: The HTTP status.
        found: What was found, as a sentence.
        expected: What would have been right.
        fix: What the client can do.
        headers: Further headers of the answer.
    """

    def __init__(
        self, status: HTTPStatus, found: str, *, expected: str, fix: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(found)
        self.found = found
        self.expected = expected
        self.fix = fix
        self.status = status
        self.headers = dict(headers or {})


def describe_error(error: RequestError) -> dict[str, Any]:
    """Return an error as JSON, as commands print it with `--json`."""
    return {"error": {"found": error.found, "expected": error.expected, "fix": error.fix}}
