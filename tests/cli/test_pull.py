"""`tlkit pull`: where the model goes, and what may be downloaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RunCli = Callable[..., Any]


def test_options_reach_the_command(run_cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def pull(
        repository: str, out: Path, *, revision: str | None, max_megabytes: int, console: object
    ) -> dict[str, Any]:
        given.append((repository, out, revision, max_megabytes))
        return {}

    monkeypatch.setattr("tlkit.commands.pull.run_pull", pull)
    run_cli("pull", "anna/birds")
    run_cli("pull", "anna/birds", "--out", "here", "--revision", "v1", "--max-size", "10")

    assert given == [("anna/birds", Path("models/birds"), None, 2000), ("anna/birds", Path("here"), "v1", 10)]
