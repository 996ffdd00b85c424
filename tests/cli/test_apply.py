"""`tlkit apply` from the words on the command line to what a shell sees."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RunCli = Callable[..., Any]


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
    (tmp_path / "photos/cat/1.png").write_text("1")
    sha256 = hashlib.sha256(b"1").hexdigest()
    (tmp_path / "moves.csv").write_text(f"path,action,from,to,sha256,reason\ncat/1.png,move,cat,dog,{sha256},\n")
    return tmp_path


def test_moves_are_shown_carried_out_and_undone(run_cli: RunCli, listed: Path) -> None:
    shown = run_cli("apply", "moves.csv", "photos", "--dry-run")
    assert shown.exit_code == 0
    assert shown.stdout.endswith("1 file would move; nothing was changed.\n")
    assert "dog/1.png" in shown.stdout
    done = run_cli("apply", "moves.csv", "photos")
    assert done.stdout.endswith("1 file moved. To undo: tlkit apply moves.csv photos --undo\n")
    assert (listed / "photos/dog/1.png").read_text() == "1"
    undone = run_cli("apply", "moves.csv", "photos", "--undo", "--json").json()
    assert undone["moved"] == 1
    assert (listed / "photos/cat/1.png").read_text() == "1"
    assert sorted(path.name for path in listed.iterdir()) == ["moves.csv", "photos"]


def test_a_folder_that_is_missing_is_a_problem_with_a_fix(run_cli: RunCli, listed: Path) -> None:
    result = run_cli("apply", "moves.csv", "fotos")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: fotos does not exist.\n  Expected: the folder of class folders that was audited\n"
        "  Fix: check the path.\n"
    )
