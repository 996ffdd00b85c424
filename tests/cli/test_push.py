"""`tlkit push`: what becomes of the photos in the bundle is asked, or said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.runs.test_card import write_zeros

RunCli = Callable[..., Any]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The options of each push, which is not carried out."""
    pushes: list[Any] = []

    def push(run: Path, repository: str, options: Any, *, console: object) -> dict[str, Any]:
        pushes.append((repository, options.keeps_golden_images, options.is_private, options.card.license))
        return {}

    monkeypatch.setattr("tlkit.commands.push.run_push", push)
    return pushes


def test_options_reach_the_command(run_cli: RunCli, given: list[Any]) -> None:
    run_cli("push", "run", "anna/birds", "--golden-images", "keep", "--public", "--license", "mit")
    run_cli("push", "run", "anna/birds", "--golden-images", "drawn")
    assert given == [("anna/birds", True, False, "mit"), ("anna/birds", False, True, None)]


def test_a_script_has_to_say_what_becomes_of_the_photos(run_cli: RunCli, given: list[Any], tmp_path: Path) -> None:
    refused = run_cli("push", write_zeros(tmp_path / "bundle"), "anna/birds")

    assert refused.exit_code == 2
    assert (
        "The bundle holds 1 photos of the data. Say what becomes of them: --golden-images keep, or drawn."
        in refused.stderr
    )
    assert given == []


@pytest.mark.parametrize("is_agreed", [True, False])
def test_a_person_is_asked(
    run_cli: RunCli, given: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_agreed: bool
) -> None:
    questions: list[str] = []

    def confirm(question: str, **_: Any) -> bool:
        questions.append(question)
        return is_agreed

    monkeypatch.setattr("tlkit.cli.push.is_asked_by_a_person", lambda: True)
    monkeypatch.setattr("click.confirm", confirm)
    run_cli("push", write_zeros(tmp_path / "bundle"), "anna/birds")

    assert given == [("anna/birds", is_agreed, True, None)]
    assert questions[0].startswith("The bundle holds 1 photos of your data")
