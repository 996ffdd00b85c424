"""`tlkit audit` and `tlkit apply` on small drawn pictures with a wrong label and copies."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import draw_image_folder
from tlkit.commands.apply import run_apply
from tlkit.commands.audit import AuditRequest, run_audit
from tlkit.errors import DataError, RunError, SettingError
from tlkit.recipes import BackboneSettings, DataSettings
from tlkit.reports.console import Console

SMALLEST = BackboneSettings(name="mnist_cnn", weights="random", image_size=32)
QUIET = Console(verbosity=-1)


def audit(data: Path | None, out: Path | None, *, run: Path | None = None, **settings: Any) -> dict[str, Any]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return run_audit(AuditRequest(data, run, DataSettings(**settings), SMALLEST, 0, out), console=QUIET)


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Flat red and blue pictures of 48 × 48; one in the wrong folder, two copies, one blank among grainy ones."""
    root = tmp_path_factory.mktemp("audited") / "photos"
    rng = np.random.default_rng(0)
    for name, colour in (("red", (200, 40, 40)), ("blue", (40, 40, 200))):
        (root / name).mkdir(parents=True)
        for number in range(24):
            grain = rng.integers(-40, 41, (48, 48, 1))
            pixels = np.clip(np.array(colour) + rng.integers(-20, 21, 3) + grain, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{name}{number:02}.png")
    (root / "red" / "red00.png").rename(root / "blue" / "wrong.png")
    shutil.copy(root / "red" / "red01.png", root / "red" / "copy.png")
    shutil.copy(root / "red" / "red02.png", root / "blue" / "conflict.png")
    (root / "red" / "broken.png").touch()
    return root


@pytest.fixture(scope="module")
def audited(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("audits") / "photos"
    return out, audit(photos, out)


def test_an_audit_writes_what_it_found(photos: Path, audited: tuple[Path, dict[str, Any]]) -> None:
    out, payload = audited
    assert sorted(path.name for path in out.iterdir() if not path.name.startswith(".")) == [
        "audit.html",
        "findings.csv",
        "labels.csv",
        "moves.csv",
        "skipped.csv",
        "summary.json",
    ]
    labels = read_rows(out / "labels.csv")
    assert len(labels) == payload["images"] == 50
    assert labels[0]["path"] in {"blue/wrong.png", "blue/conflict.png"}
    assert (labels[0]["given"], labels[0]["suggested"]) == ("blue", "red")
    findings = read_rows(out / "findings.csv")
    assert {row["path"] for row in findings if row["kind"] == "conflict"} == {"blue/conflict.png", "red/red02.png"}
    assert {row["path"] for row in findings if row["kind"] == "copy"} == {"red/copy.png", "red/red01.png"}
    assert json.loads((out / "summary.json").read_text())["findings"] == payload["findings"]
    assert payload["findings"]["copy"] == 2
    assert payload["skipped"] == 1
    assert read_rows(out / "skipped.csv") == [{"path": "red/broken.png", "reason": "empty file"}]
    assert "broken.png" in (out / "audit.html").read_text()


def test_nothing_of_the_data_changes_until_the_list_is_applied(
    photos: Path, audited: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    out, _ = audited
    data = tmp_path / "photos"
    shutil.copytree(photos, data)
    before = {path.relative_to(data) for path in data.rglob("*.png")}
    moves = tmp_path / "moves.csv"
    shutil.copy(out / "moves.csv", moves)
    listed = read_rows(moves)
    assert {"action": "remove", "path": "red/red01.png"} in [
        {name: row[name] for name in ("action", "path")} for row in listed
    ]

    def apply(**options: Any) -> dict[str, Any]:
        with contextlib.redirect_stderr(io.StringIO()):
            given = {"removed": None, "undo": False, "dry_run": False} | options
            return run_apply(moves, data, console=QUIET, **given)

    assert apply(dry_run=True)["moved"] == 0
    assert {path.relative_to(data) for path in data.rglob("*.png")} == before
    assert apply()["moved"] == len(listed)
    assert (tmp_path / "photos.removed" / "red" / "red01.png").is_file()
    assert apply()["moved"] == 0
    assert apply(undo=True)["moved"] == len(listed)
    assert {path.relative_to(data) for path in data.rglob("*.png")} == before
    assert apply(undo=True)["moved"] == 0


def test_an_audit_needs_either_data_or_a_run(tmp_path: Path) -> None:
    with pytest.raises(SettingError) as error:
        audit(None, tmp_path / "out")
    assert str(error.value) == (
        "neither DATA nor --run is given.\n  Expected: a data set, or a run whose images are audited\n"
        "  Fix: tlkit audit DATA, or tlkit audit --run RUN."
    )
    with pytest.raises(SettingError) as error:
        audit(tmp_path, tmp_path / "out", run=tmp_path)
    assert error.value.found == "both DATA and --run are given."


def test_an_audit_never_writes_into_the_data(tmp_path: Path) -> None:
    data = draw_image_folder(tmp_path / "photos", {"a": 2, "b": 2})
    with pytest.raises(RunError) as error:
        audit(data, data / "out")
    assert error.value.found == f"--out {data / 'out'} is inside the data folder {data}."


def test_moves_are_not_applied_to_a_table(tmp_path: Path) -> None:
    (tmp_path / "photos.csv").write_text("path,label\n")
    with pytest.raises(DataError) as error:
        run_apply(
            tmp_path / "moves.csv", tmp_path / "photos.csv", removed=None, undo=False, dry_run=False, console=QUIET
        )
    assert str(error.value) == (
        f"{tmp_path / 'photos.csv'} is a table.\n  Expected: the folder of class folders that was audited\n"
        "  Fix: correct the answers in the table itself, by the columns path and to of the list."
    )


def test_removed_files_never_go_to_a_folder_with_other_files(tmp_path: Path) -> None:
    data = draw_image_folder(tmp_path / "photos", {"a": 2, "b": 2})
    (tmp_path / "photos.removed").mkdir()
    (tmp_path / "photos.removed" / "mine.txt").touch()
    with pytest.raises(RunError) as error:
        run_apply(tmp_path / "moves.csv", data, removed=None, undo=False, dry_run=False, console=QUIET)
    assert error.value.found == f"--removed {tmp_path / 'photos.removed'} contains other files."


def test_a_folder_is_not_a_list_of_moves(tmp_path: Path) -> None:
    data = draw_image_folder(tmp_path / "photos", {"a": 2, "b": 2})
    with pytest.raises(DataError) as error:
        run_apply(tmp_path, data, removed=None, undo=False, dry_run=False, console=QUIET)
    assert str(error.value) == (
        f"{tmp_path} is a folder.\n  Expected: a list of moves\n  Fix: give {tmp_path / 'moves.csv'}."
    )
    moves = data.parent / "file" / "moves.csv"
    moves.parent.touch()
    with pytest.raises(RunError) as caught:
        run_apply(moves, data, removed=None, undo=False, dry_run=False, console=QUIET)
    assert caught.value.found == f"{moves}.journal.lock cannot be written (Not a directory)."
