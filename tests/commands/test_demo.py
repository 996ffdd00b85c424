"""The demo: the whole job from drawn pictures to answers, told in plain words, safe to type twice."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tlkit.commands import demo
from tlkit.commands.demo import run_demo
from tlkit.errors import DataError
from tlkit.recipes import Recipe, read_recipe
from tlkit.reports.console import Console


@pytest.fixture
def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "PHOTOS_PER_KIND", {"train": 3, "validation": 1, "test": 1})
    monkeypatch.setattr("tlkit.pond.untidy.ONE_IN", 12)
    monkeypatch.setattr("tlkit.pond.picture.SUPERSAMPLING", 1)
    monkeypatch.setattr(demo, "NUM_VIEWS", 2)
    monkeypatch.setattr(demo, "NUM_SHOALS", 12)
    monkeypatch.setattr("tlkit.training.stage_inputs.count_passes", lambda *_: 1)
    monkeypatch.setattr(demo, "DETECTOR_BACKBONE", dataclasses.replace(demo.DETECTOR_BACKBONE, image_size=96))
    monkeypatch.setattr(demo, "DETECTOR_STAGE", dataclasses.replace(demo.DETECTOR_STAGE, epochs=1, views=2))
    head, unfrozen = (dataclasses.replace(stage, epochs=1, views=2) for stage in (demo.HEAD_STAGE, demo.UNFROZEN_STAGE))
    monkeypatch.setattr(demo, "HEAD_STAGE", head)
    monkeypatch.setattr(demo, "UNFROZEN_STAGE", unfrozen)
    monkeypatch.setattr(demo, "FISHERIES", dataclasses.replace(demo.FISHERIES, stages=(head, unfrozen)))


@pytest.mark.usefixtures("short_training", "drawn_figures", "untraced", "bundles_are_read_once")
def test_the_demo_goes_from_drawn_pictures_to_answers(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "the demo"
    payload = run_demo(folder, console=Console())
    story = capfd.readouterr().out
    assert payload["photos"] == {"drawn": 40, "reused": 0}
    assert payload["run"] == folder / "round-1" / "unfrozen"
    for report in (payload["run"] / "report.html", folder / "round-1" / "evaluation" / "report.html"):
        assert 'data-layer="heat map"' in report.read_text("utf-8")
    assert (folder / "round-1" / "evaluation" / "confusion.png").is_file()
    assert set(payload["test"]) == {"accuracy", "macro_f1"}
    assert {"boat", "hour", "image-size"} <= set(payload["verdicts"])
    assert (payload["explanations"] / "explanations.html").is_file()
    assert [file["agrees"] for file in payload["export"]["files"]] == [True]
    assert (payload["export"]["out"] / "README.md").is_file()
    assert payload["audit"]["planted"] == {"labels": 1, "copies": 1}
    assert payload["audit"]["found"]["copies"] == 1
    assert payload["audit"]["page"].is_file()
    assert payload["fisheries"]["boxes"]["images"] == 4
    assert payload["shoals"]["run"] == folder / "round-1" / "shoals"
    assert 0 <= payload["shoals"]["map_50"]["value"] <= 1
    assert (folder / "round-1" / "shoals-evaluation" / "report.html").is_file()
    for name in ("metadata.png", "fisheries-evaluation/boxes.png"):
        with Image.open(folder / "round-1" / name) as picture:
            picture.load()

    with payload["predictions"].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["path"]).name for row in rows if row["error"]] == ["catch-9999-torn.jpg"]
    assert len([row for row in rows if row["class_name"] in {"bream", "catfish", "pike", "trout"}]) == 8
    assert len([row for row in rows if row["left"] and row["bottom"]]) == 8
    previews = sorted(payload["previews"].glob("catch-*"))
    assert len(previews) == 8
    with Image.open(previews[0]) as preview:
        preview.load()

    # The head finds every row that precompute made, and does not ask for those of the test images.
    assert "0 rows found, 32 to compute" in story
    assert "28 rows found, 0 to compute" in story
    assert [stage["stage"] for stage in payload["validation"]] == ["head", "unfreeze-block4"]
    assert "stem            992           0   frozen" in story
    assert f"tlkit finetune '{folder}/photos' --backbone mobilenet_v2 --out '{folder}/round-1/mobilenet'" in story
    assert f"tlkit serve '{folder}/round-1/unfrozen'" in story
    for place in (payload["predictions"], payload["previews"], payload["run"] / "report.html", folder / "photos.csv"):
        assert str(place) in story


@pytest.mark.usefixtures("short_training")
def test_a_second_demo_keeps_the_pictures_and_the_results_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []

    def run_finetune(
        recipe: Recipe, data: Path, out: Path, *, console: Console, start_from: Path | None = None
    ) -> dict[str, Any]:
        out.mkdir()
        runs.append(out)
        return {"validation": []}

    monkeypatch.setattr(demo, "run_precompute", lambda *arguments, **settings: {})
    monkeypatch.setattr(demo, "run_finetune", run_finetune)
    scores = {"accuracy": 0.5, "macro_f1": 0.5, "boxes": {}, "map_50": {}}
    monkeypatch.setattr(demo, "run_evaluate", lambda *arguments, **settings: scores)
    monkeypatch.setattr(demo, "run_leak", lambda *arguments, **settings: {"columns": []})
    for name in ("run_predict", "run_explain"):
        monkeypatch.setattr(demo, name, lambda *arguments, **settings: {})
    monkeypatch.setattr(demo, "_export", lambda *arguments: {"files": []})
    monkeypatch.setattr(demo, "_audit", lambda *arguments, **settings: {})
    first = run_demo(tmp_path, console=Console(verbosity=-1))
    second = run_demo(tmp_path, console=Console(verbosity=-1))
    assert (first["photos"], second["photos"]) == ({"drawn": 40, "reused": 0}, {"drawn": 0, "reused": 40})
    assert runs == [
        tmp_path / number / run
        for number in ("round-1", "round-2")
        for run in ("head", "unfrozen", "fisheries", "shoals")
    ]


def test_the_fisheries_model_is_that_of_the_recipe_that_ships() -> None:
    assert read_recipe(Path(__file__).parents[2] / "recipes" / "fisheries.toml") == demo.FISHERIES


def test_the_demo_refuses_a_strangers_folder_and_leaves_it_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        run_demo(tmp_path, console=Console(verbosity=-1))
    assert str(caught.value) == (
        f"{tmp_path} contains other files (thesis.txt).\n"
        "  Expected: a new or empty folder, or one in which only `tlkit demo` has drawn its pictures\n"
        "  Fix: name another folder: tlkit demo OTHER-FOLDER"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
