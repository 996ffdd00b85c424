"""`tlkit drift` from the words on the command line to what a shell sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.commands.watched_run import ColourModel, draw, install, write_run
from tests.origin import name_origin, read_origin
from tlkit.metadata.encoding import CategoryColumn, MetadataEncoding
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
    for number in range(1, 6):
        draw(tmp_path / "new" / f"{number}.png", (200, 2 * number, 3))
    payload = run_cli("drift", run, "new", "--seed", "3", "--json").json()
    assert set(payload["expected"]) == set(payload["measured"]) == {"value", "low", "high"}
    assert set(payload["looks"]) == {"brightness", "contrast", "sharpness", "megapixels"}
    assert len(payload["look_first"]) == len(payload["novelty"]) == 5
    assert {path.name for path in Path(payload["out"]).glob("*.*")} >= {"drift.csv", "drift.html"}
    assert name_origin(Path(payload["out"]) / "drift.html") == "data, backbone, boundary, command, date, versions"
    assert read_origin(Path(payload["out"]) / "drift.html")["command"].startswith("tlkit drift ")


def test_drift_takes_metadata_from_the_rows_of_a_table(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shift, "NUM_PERMUTATIONS", 99)
    monkeypatch.chdir(tmp_path)
    model = ColourModel(metadata=MetadataEncoding((CategoryColumn("boat", ("Heron", "Otter")),)))
    install(monkeypatch, model)
    run = write_run(tmp_path / "run", model)
    draw(tmp_path / "new" / "1.png", (1, 2, 3))
    draw(tmp_path / "new" / "2.png", (3, 2, 1))
    (tmp_path / "catch.csv").write_text("photo,file,boat\nnew/1.png,x,Otter\n")
    result = run_cli("drift", run, "new", "--table", "catch.csv", "--image-column", "photo", "--json")
    assert (result.json()["images"], result.json()["skipped"]) == (1, 1)
    assert f"1 file cannot be used, such as {tmp_path / 'new' / '2.png'}: no row for it in catch.csv." in result.stderr
    assert [0, 1, 0, 0] in model.metadata_seen
    assert "--table catch.csv --image-column photo" in (tmp_path / result.json()["out"] / "drift.html").read_text()


def test_drift_refuses_to_do_without_metadata(run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ColourModel(metadata=MetadataEncoding((CategoryColumn("boat", ("Heron", "Otter")),)))
    install(monkeypatch, model)
    result = run_cli("drift", write_run(tmp_path / "run", model, num_each=3), draw(tmp_path / "1.png", (1, 2, 3)))
    assert (result.exit_code, result.stderr) == (
        1,
        "Error: the model also takes boat, but no table was given.\n"
        "  Expected: a table with image paths and these columns\n  Fix: add --table TABLE.\n",
    )
