from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from tests.commands.watched_run import ColourModel, draw, install, write_run
from tlkit.commands.drift import run_drift
from tlkit.errors import DataError
from tlkit.outputs import CLASSIFICATION, MULTILABEL, REGRESSION
from tlkit.probes import expected_score, shift
from tlkit.reports.console import Console
from tlkit.runs.new_images import ComparisonOptions


@pytest.fixture(autouse=True)
def few_permutations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shift, "NUM_PERMUTATIONS", 199)
    monkeypatch.setattr(expected_score, "_NUM_RESAMPLES", 50)


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
def test_every_task_tells_something_of_five_photos(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ColourModel(task, (0.5, 0.5) if task == MULTILABEL else ())
    install(monkeypatch, model)
    run = write_run(tmp_path / "run", model, num_each=9)
    for number in range(5):
        draw(tmp_path / "new" / f"{number}.png", (80 + number, 10, 60))
    payload = drift(run, tmp_path / "new", out=tmp_path / "out")
    names = {CLASSIFICATION: "accuracy", MULTILABEL: "labels right", REGRESSION: "mean absolute error"}
    assert payload["quantity"] == names[task]
    assert payload["expected"]["low"] <= payload["expected"]["value"] <= payload["expected"]["high"]
    assert (payload["images"], payload["compared_with"]) == (5, 6)
    shown = capsys.readouterr()
    assert "With 5 new images the intervals are wide" in shown.err
    assert "Unknown to the model: 0 of 5." in shown.out
    assert "0 of 5</dd>" in (tmp_path / "out" / "drift.html").read_text()


@pytest.mark.parametrize("task", [CLASSIFICATION, MULTILABEL, REGRESSION])
@pytest.mark.parametrize(("number", "words"), [(1, "One image is"), (4, "4 images are")])
def test_a_few_photos_are_described_one_by_one_and_never_called_different(
    task: str,
    number: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = ColourModel(task, (0.5, 0.5) if task == MULTILABEL else ())
    install(monkeypatch, model)
    run = write_run(tmp_path / "run", model, num_each=12)
    for place in range(number):
        draw(tmp_path / "new" / f"{place}.png", (200, 29 + 70 * place, 30), size=(400, 300))
    payload = drift(run, tmp_path / "new", out=tmp_path / "out")
    assert (payload["expected"], payload["features"], payload["looks"]) == (None, None, {})
    shown = capsys.readouterr()
    quantity = payload["quantity"]
    assert (
        f"{words} too few to tell whether such images differ from the run's, or what {quantity} to expect on them: that "
        "takes at least 5, better 30 or more."
    ) in " ".join(shown.out.split())
    assert "different" not in shown.out
    assert "Warning" not in shown.err
    page = (tmp_path / "out" / "drift.html").read_text()
    assert "too few images" in page
    assert "What is different" not in page
    assert f"<dt>unknown</dt><dd>{number // 2} of {number}</dd>" in page
    with (tmp_path / "out" / "drift.csv").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["path"])
    assert [float(row["novelty"]) for row in rows] == [0, 1, 1, 1][:number]


def test_a_model_without_distances_measures_novelty_by_its_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ColourModel(measures_distance=False)
    install(monkeypatch, model)
    run = write_run(tmp_path / "run", model)
    draw(tmp_path / "new" / "alike.png", (211, 30, 48))
    draw(tmp_path / "new" / "green.png", (20, 240, 30))
    drift(run, tmp_path / "new", out=tmp_path / "out")
    with (tmp_path / "out" / "drift.csv").open(newline="") as file:
        novelty = {Path(row["path"]).stem: float(row["novelty"]) for row in csv.DictReader(file)}
    assert novelty["green"] == 1
    assert novelty["alike"] < 0.5


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
