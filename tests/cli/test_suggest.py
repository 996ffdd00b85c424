"""`tlkit suggest` from the words on the command line to what a shell sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.commands.watched_run import ColourModel, draw, install, write_run
from tlkit.probes import suggestions

RunCli = Callable[..., Any]


def test_suggest_json_has_the_suggestions_and_the_replay(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suggestions, "NUM_REPEATS", 2)
    monkeypatch.chdir(tmp_path)
    model = ColourModel()
    install(monkeypatch, model)
    run = write_run(tmp_path / "run", model)
    draw(tmp_path / "new" / "1.png", (1, 2, 3))
    payload = run_cli("suggest", run, "new", "--number", "2", "--seed", "3", "--json").json()
    assert [each["rank"] for each in payload["suggestions"]] == [1]
    assert payload["replay"]["repeats"] == 2
    assert payload["out"] == "suggestions/new"
    assert {path.name for path in Path(payload["out"]).glob("*.*")} >= {"suggestions.csv", "suggestions.html"}
