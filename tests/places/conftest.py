"""An S3 server, and a teller that remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from tests.s3_server import s3  # noqa: F401 - a fixture


@dataclass
class Heard:
    """What a teller was told."""

    said: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    steps: dict[str, int] = field(default_factory=dict)

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.warned.append(text)

    @contextmanager
    def progress(self, description: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
        self.steps[description] = 0

        def advance(count: int) -> None:
            self.steps[description] += count

        yield advance


@pytest.fixture
def heard() -> Heard:
    return Heard()
