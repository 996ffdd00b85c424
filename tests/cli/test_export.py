"""`tlkit export`: what is refused before anything is opened or written, and the list of formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tlkit.exports import EXPORTS

RunCli = Callable[..., Any]


def test_the_list_tells_what_each_format_is_for(run_cli: RunCli) -> None:
    shown = run_cli("export", "--list", "--json")

    formats = shown.json()["formats"]
    assert [each["format"] for each in formats] == [*EXPORTS]
    assert all(each["use"] in shown.stderr for each in formats)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--format onxn",
            "Error: --format onxn: there is no such format.\n  Expected: some of {formats}, with commas between them\n",
        ),
        (
            "--precision float64",
            "Error: --precision float64: there is no such precision.\n"
            "  Expected: some of float32, float16, dynamic, int8, with commas between them\n",
        ),
        (
            "--format keras --precision float16",
            "Error: --precision float16: Keras cannot be written in it.\n  Expected: float16 with --format ",
        ),
        (
            "--format keras --out {photos}",
            "Error: --out {photos} contains other files.\n"
            "  Expected: a new or empty folder, or one with exports written by tlkit\n",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_opened(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, message: str
) -> None:
    monkeypatch.setattr("tlkit.commands.export.open_classifier", lambda *_, **__: pytest.fail("it was opened"))
    monkeypatch.chdir(tmp_path)
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "1.jpg").touch()
    names = {"photos": photos, "formats": ", ".join(EXPORTS)}

    refused = run_cli("export", "run", *words.format(**names).split())

    assert refused.exit_code == 1
    assert refused.stderr.startswith(message.format(**names))
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_without_a_run_there_is_nothing_to_export(run_cli: RunCli) -> None:
    refused = run_cli("export")

    assert refused.exit_code == 2
    assert "Missing argument 'RUN'." in refused.stderr
