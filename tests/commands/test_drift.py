from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from tests.commands.watched_run import ColourModel, draw, install, write_run
from tlkit.commands.drift import run_drift
from tlkit.errors import DataError
from tlkit.outputs import CLASSIFICATION, MULTILABEL, REGRESSION
from tlkit.probes import shift
from tlkit.reports.console import Console
from tlkit.runs.new_images import ComparisonOptions


@pytest.fixture(autouse=True)
def few_permutations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shift, "NUM_PERMUTATIONS", 199)
    monkeypatch.setattr(shift, "_NUM_RESAMPLES", 50)


def drift(run: Path, data: Path, **options: Any) -> dict[str, Any]:
    return run_drift(run, [str(data)], ComparisonOptions(**options), console=Console())


def test_darker_doubtful_and_unknown_images_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ColourModel()
    install(monkeypatch, model)
    run = write_run(tmp_path / "run", model)
    for number in range(20):
        draw(tmp_path / "new" / f"dark-{number:02d}.png", (30 + number, 5, 40), size=(48, 32))
    draw(tmp_path / "new" / "unknown.png", (60, 240, 101))
    out = tmp_path / "out"
    payload = drift(run, tmp_path / "new", out=out)
    assert payload["features"]["p_value"] < 0.05
    assert payload["looks"]["brightness"]["above"] < 0.1
    assert payload["expected"]["value"] < payload["measured"]["value"] == 1
    assert payload["unknown"]["value"] == pytest.approx(1 / 21)
    assert Path(payload["look_first"][0]).name == "unknown.png"
    with (out / "drift.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert (len(rows), rows[0]["unknown"], rows[1]["unknown"]) == (21, "yes", "no")
    assert rows[0]["reason"].startswith("unlike the training images; ")
    assert "Look at these first" in (out / "drift.html").read_text()
    shown = capsys.readouterr()
    assert "Expected accuracy on these images: " in shown.out
    assert "darker: brightness " in shown.out
    assert "larger: megapixels " in shown.out
    assert "Warning: With 21 new images the intervals are wide, and small changes stay unseen." in shown.err


def test_images_like_the_run_s_are_not_different(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ColourModel()
    install(monkeypatch, model)
    run = write_run(tmp_path / "run", model)
    for number in range(0, 30, 3):
        draw(tmp_path / "new" / f"blue-{number}.png", (41 + number, 31, 221 - number))
        draw(tmp_path / "new" / f"red-{number}.png", (221 - number, 31, 41 + number))
    payload = drift(run, tmp_path / "new", out=tmp_path / "out")
    assert payload["features"]["p_value"] > 0.05
    assert payload["expected"]["high"] == payload["measured"]["value"] == 1
    assert "To the network they are not different from the run's images" in capsys.readouterr().out


@pytest.mark.parametrize("task", [CLASSIFICATION, MULTILABEL, REGRESSION])
def test_every_task_tells_something_of_a_few_photos(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ColourModel(task, (0.5, 0.5) if task == MULTILABEL else ())
    install(monkeypatch, model)
    run = write_run(tmp_path / "run", model, num_each=9)
    for number in range(3):
        draw(tmp_path / "new" / f"{number}.png", (80 + number, 10, 60))
    payload = drift(run, tmp_path / "new", out=tmp_path / "out")
    names = {CLASSIFICATION: "accuracy", MULTILABEL: "labels right", REGRESSION: "mean absolute error"}
    assert payload["quantity"] == names[task]
    assert payload["expected"]["low"] <= payload["expected"]["value"] <= payload["expected"]["high"]
    assert (payload["images"], payload["compared_with"]) == (3, 6)


def test_a_run_whose_images_are_gone_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ColourModel()
    install(monkeypatch, model)
    run = write_run(tmp_path / "run", model, num_each=3)
    new = draw(tmp_path / "new" / "1.png", (1, 2, 3)).parent
    for path in (tmp_path / "photos").rglob("*.png"):
        path.unlink()
    with pytest.raises(DataError) as error:
        drift(run, new, out=tmp_path / "out")
    assert str(error.value) == (
        f"{run}'s held-out images: none of 2 images can be read any more.\n"
        "  Expected: images unchanged since they were checked\n  Fix: restore the files."
    )
