"""`tlkit drift` from the words on the command line to what a shell sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.commands.watched_run import ColourModel, draw, install, write_run
from tlkit.probes import shift

RunCli = Callable[..., Any]


def test_drift_json_has_the_expected_score_beside_the_measured_one(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shift, "NUM_PERMUTATIONS", 99)
    monkeypatch.chdir(tmp_path)
    model = ColourModel()
    install(monkeypatch, model)
    run = write_run(tmp_path / "run", model, num_each=6)
    draw(tmp_path / "new" / "1.png", (200, 2, 3))
    payload = run_cli("drift", run, "new", "--seed", "3", "--json").json()
    assert set(payload["expected"]) == set(payload["measured"]) == {"value", "low", "high"}
    assert set(payload["looks"]) == {"brightness", "contrast", "sharpness", "megapixels"}
    assert payload["look_first"] == [str(tmp_path / "new" / "1.png")]
    assert {path.name for path in Path(payload["out"]).glob("*.*")} >= {"drift.csv", "drift.html"}
