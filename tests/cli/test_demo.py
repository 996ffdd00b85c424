"""`tlkit demo`: its folder, its JSON, its refusal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tlkit.reports.console import Console


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders for which the workflow is called; it only says so and returns."""
    folders: list[Path] = []

    def run_demo(folder: Path, *, console: Console) -> dict[str, Any]:
        folders.append(folder)
        console.say("the story")
        return {"folder": folder, "photos": {"drawn": 368, "reused": 0}}

    monkeypatch.setattr("tlkit.commands.demo.run_demo", run_demo)
    return folders


def test_demo_goes_into_tlkit_demo_if_no_folder_is_named(run_cli: Callable[..., Any], asked_for: list[Path]) -> None:
    result = run_cli("demo")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "the story\n", "")
    assert asked_for == [Path("tlkit-demo")]


def test_demo_goes_into_the_folder_that_is_named(
    run_cli: Callable[..., Any], asked_for: list[Path], tmp_path: Path
) -> None:
    assert run_cli("demo", tmp_path / "pond").exit_code == 0
    assert asked_for == [tmp_path / "pond"]


def test_demo_prints_one_object_for_a_script_and_its_story_elsewhere(
    run_cli: Callable[..., Any], asked_for: list[Path]
) -> None:
    result = run_cli("demo", "--json")
    assert result.json() == {"folder": "tlkit-demo", "photos": {"drawn": 368, "reused": 0}}
    assert result.stderr == "the story\n"


def test_demo_refuses_a_strangers_folder_in_three_lines(run_cli: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    result = run_cli("demo", tmp_path, "-q")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"Error: {tmp_path} contains other files (thesis.txt).\n"
        "  Expected: a new or empty folder, or one in which only `tlkit demo` has drawn its pictures\n"
        "  Fix: name another folder: tlkit demo OTHER-FOLDER\n"
    )


def test_demo_help_has_an_example(run_cli: Callable[..., Any]) -> None:
    assert "Example: tlkit demo" in run_cli("demo", "--help").stdout
