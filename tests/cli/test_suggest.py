"""`tlkit suggest` from the words on the command line to what a shell sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.commands.watched_run import ColourModel, draw, install, write_run
from tests.origin import name_origin, read_origin
from tlkit.metadata.encoding import CategoryColumn, MetadataEncoding
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
    assert name_origin(Path(payload["out"]) / "suggestions.html") == "data, backbone, boundary, command, date, versions"
    assert read_origin(Path(payload["out"]) / "suggestions.html")["command"].startswith("tlkit suggest ")


def test_suggest_takes_metadata_from_the_rows_of_a_table(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suggestions, "NUM_REPEATS", 2)
    monkeypatch.chdir(tmp_path)
    model = ColourModel(metadata=MetadataEncoding((CategoryColumn("boat", ("Heron", "Otter")),)))
    install(monkeypatch, model)
    run = write_run(tmp_path / "run", model)
    draw(tmp_path / "new" / "1.png", (1, 2, 3))
    draw(tmp_path / "new" / "2.png", (3, 2, 1))
    (tmp_path / "catch.csv").write_text("photo,file,boat\nnew/1.png,x,Otter\n")
    result = run_cli("suggest", run, "new", "--table", "catch.csv", "--image-column", "photo", "--json")
    assert (result.json()["images"], result.json()["skipped"]) == (1, 1)
    assert f"1 file cannot be used, such as {tmp_path / 'new' / '2.png'}: no row for it in catch.csv." in result.stderr
    assert [0, 1, 0, 0] in model.metadata_seen
    assert (
        "--table catch.csv --image-column photo" in (tmp_path / result.json()["out"] / "suggestions.html").read_text()
    )


def test_suggest_refuses_to_do_without_metadata(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ColourModel(metadata=MetadataEncoding((CategoryColumn("boat", ("Heron", "Otter")),)))
    install(monkeypatch, model)
    result = run_cli("suggest", write_run(tmp_path / "run", model, num_each=3), draw(tmp_path / "1.png", (1, 2, 3)))
    assert (result.exit_code, result.stderr) == (
        1,
        "Error: the model also takes boat, but no table was given.\n"
        "  Expected: a table with image paths and these columns\n  Fix: add --table TABLE.\n",
    )
