"""Detection from annotations to boxes, on scenes of rectangles."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tlkit
from tests.conftest import make_once
from tlkit.commands.card import run_card
from tlkit.commands.evaluate import EvaluateOptions, run_evaluate
from tlkit.commands.finetune import run_finetune
from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import read_manifest
from tlkit.errors import SettingError
from tlkit.inference.scoring import Scores, score_records
from tlkit.models.opening import open_classifier
from tlkit.models.storage import read_spec
from tlkit.recipes import DataSettings, Recipe, Stage, build_recipe, read_recipe
from tlkit.reports.console import Console
from tlkit.runs.card_record import CardOptions
from tlkit.tasks.objects import describe_objects

QUIET = Console(verbosity=-1)
COLOURS = {"red": (230, 40, 40), "blue": (40, 60, 230)}
NUM_SCENES = 90


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with up to three rectangles, and their boxes as COCO beside them."""
    return make_once(tmp_path_factory, "scenes-of-rectangles", draw_scenes) / "scenes"


def draw_scenes(root: Path) -> None:
    (root / "scenes").mkdir()
    rng = np.random.default_rng(0)
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    for number in range(NUM_SCENES):
        width, height = rng.integers(160, 260, 2).tolist()
        pixels = rng.integers(90, 140, (height, width, 3), dtype=np.uint8)
        images.append({"id": number, "file_name": f"{number:02}.png", "width": width, "height": height})
        for column in rng.permutation(3)[: rng.integers(0, 4)]:  # objects do not overlap
            edge = width // 3
            across, down = rng.integers(36, 50), rng.integers(40, 90)
            left, top = int(column * edge + rng.integers(0, edge - across)), int(rng.integers(0, height - down))
            label = int(rng.integers(2))
            pixels[top : top + down, left : left + across] = list(COLOURS.values())[label]
            box = [left, top, int(across), int(down)]
            boxes.append({"id": len(boxes), "image_id": number, "category_id": label, "bbox": box, "iscrowd": 0})
        Image.fromarray(pixels).save(root / "scenes" / f"{number:02}.png")
    categories = [{"id": label, "name": name} for label, name in enumerate(COLOURS)]
    document = {"images": images, "annotations": boxes, "categories": categories}
    (root / "boxes.json").write_text(json.dumps(document))


def make_recipe(scenes: Path, *stages: dict[str, Any], **backbone: Any) -> Recipe:
    """Return a recipe of a small detector; its sections have the defaults of the task."""
    content = {
        "data": {"task": "detection", "boxes": str(scenes.parent / "boxes.json")},
        "backbone": {"name": "tiny", "image_size": 96, "engine": "keras", **backbone},
        "head": {"units": 24},
        "stage": [*stages],
    }
    return build_recipe(content, source="a.toml")


HEAD = {"epochs": 24, "views": 2, "patience": 0, "batch_size": 8}


@pytest.fixture(scope="module")
def run(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run: a head on cached maps."""

    def train(folder: Path) -> None:
        run_finetune(make_recipe(scenes, HEAD), scenes, folder / "run", console=QUIET)

    return make_once(tmp_path_factory, "detector", train) / "run"


def read_history(run: Path) -> list[dict[str, str]]:
    with (run / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def score(run: Path, engine: str) -> Scores:
    """Return what the saved model says of the validation images."""
    model = open_classifier(run, loader_version=LOADER_VERSION, engine=engine)
    return score_records(model, read_manifest(run).in_split("validation"))


def test_rectangles_are_found(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    assert summary["validation"][0]["after"]["map50"] > 0.5
    assert summary["not_made"] == []
    assert {path.name for path in run.iterdir()} >= {"report.html", "predictions.csv", "curves.png", "bundle"}


def test_the_history_has_a_score_of_validation_alone_and_the_loss_chooses_the_epoch(run: Path) -> None:
    rows = read_history(run)
    assert list(rows[0])[5:8] == ["train_loss", "validation_loss", "validation_map50"]
    losses = [float(row["validation_loss"]) for row in rows]
    kept = max(number for number, row in enumerate(rows) if row["is_best"] == "True")
    assert losses[kept] == min(losses)


def test_the_recipe_says_what_the_task_decided(run: Path) -> None:
    recipe = read_recipe(run / "recipe.toml")
    assert (recipe.head.kind, recipe.head.dropout, recipe.backbone.fit) == ("detector", 0.0, "pad")
    assert recipe.stages[0].policy == "scales"
    spec = read_spec(run, loader_version=LOADER_VERSION)
    assert spec.map_sizes == ((12, 12), (6, 6))
    assert len(spec.thresholds) == 2
    assert not spec.has_box


def test_answers_are_boxes_in_pixels_of_the_picture(run: Path) -> None:
    scores = score(run, "keras")
    assert scores.answers.shape == (len(scores.records), 100, 6)
    assert scores.answers.dtype == np.float32
    for record, found in zip(scores.records, scores.answers, strict=True):
        assert (found[:, :4] >= 0).all()
        assert (found[:, (0, 2)] <= record.width).all()
        assert (found[:, (1, 3)] <= record.height).all()
        assert (np.diff(found[:, 4]) <= 0).all()


def test_a_saved_model_scores_as_its_run_said(run: Path, scenes: Path) -> None:
    options = EvaluateOptions(split="validation")
    result = run_evaluate(run, None, options, console=QUIET, settings=DataSettings())
    summary = json.loads((run / "summary.json").read_text())
    assert result["map_50"] == summary["map_50"]


@pytest.mark.usefixtures("drawn_figures")
def test_an_evaluation_has_curves_kinds_of_mistakes_and_the_boxes_of_its_images(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "evaluation"
    result = run_evaluate(
        run, None, EvaluateOptions(split="validation", out=out), console=QUIET, settings=DataSettings()
    )
    pictures = {"boxes.png", "precision-recall.png", "f1.png", "detection-mistakes.png", "sizes.png", "reliability.png"}
    files = {path.name for path in out.iterdir()}
    assert pictures | {"report.html", "per_class.csv", "predictions.csv", "report.json"} <= files
    page = (out / "report.html").read_text("utf-8")
    for title in (
        "Scores by class",
        "Scores by size",
        "Images behind the scores",
        "Kinds of mistakes",
        "Precision and",
    ):
        assert title in page
    assert "True ones are dashed" in page
    report = json.loads((out / "report.json").read_text("utf-8"))
    assert report["map_50"] == result["map_50"]
    assert [each["class_name"] for each in report["classes"]] == ["blue", "red"]
    with Image.open(out / "boxes.png") as sheet:
        assert min(sheet.size) > 300


def test_a_card_has_the_scores_of_a_detector(run: Path, tmp_path: Path) -> None:
    run_card(run, CardOptions(), out=tmp_path / "card.md", console=QUIET)
    card = (tmp_path / "card.md").read_text("utf-8")
    assert 'pipeline_tag: "object-detection"\n' in card
    assert "| mAP@.5 | " in card
    assert "| class | threshold | AP50 | AP50-95 | precision | recall | F1 | objects |" in card
    assert "- At most 100 objects of an image are found.\n" in card


@pytest.fixture
def saved_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlkit.training.call_sizes.SECONDS_WORTH_SAVING", 0.0)
    monkeypatch.setattr(
        "tlkit.training.stage_inputs.count_passes", lambda *_: 1
    )  # each image is shown once in an epoch


@pytest.mark.usefixtures("saved_early", "untraced")
def test_an_interrupted_detector_resumes_to_the_bit_and_unfreezing_trains(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = {"epochs": 2, "views": 2, "patience": 0, "batch_size": 8}
    recipe = make_recipe(scenes, head, {"unfreeze": "block4", "views": 2, "epochs": 2, "patience": 0, "batch_size": 8})
    recipe = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, sample=0.2))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    from tlkit.runs.history import RunHistory

    write = RunHistory._write

    def copy(history: RunHistory, rows: Any) -> None:
        write(history, rows)
        if len(rows) == 3 and not killed.exists():
            shutil.copytree(whole, killed)

    with monkeypatch.context() as patch:
        patch.setattr(RunHistory, "_write", copy)
        run_finetune(recipe, scenes, whole, console=QUIET)
    run_finetune(recipe, scenes, killed, console=QUIET, resume=True)
    assert (killed / "bundle/weights.safetensors").read_bytes() == (whole / "bundle/weights.safetensors").read_bytes()
    first, again = read_history(whole), read_history(killed)
    assert [{**row, "seconds": ""} for row in first] == [{**row, "seconds": ""} for row in again]
    outcome = json.loads((whole / "summary.json").read_text())["validation"][1]
    assert outcome["verdict"]["decided_by"] in ("score", "loss")
    assert outcome["verdict"]["trained"] != outcome["before"]


@pytest.mark.usefixtures("saved_early")
def test_keras_and_openvino_find_the_same(run: Path, scenes: Path, openvino: Any, tmp_path: Path) -> None:
    out = tmp_path / "run"
    recipe = dataclasses.replace(
        make_recipe(scenes, {**HEAD, "epochs": 3}, engine="auto"), stages=(Stage(epochs=3, batch_size=8),)
    )
    summary = run_finetune(recipe, scenes, out, console=QUIET)
    assert summary["not_made"] == []
    keras, other = score(out, "keras"), score(out, "openvino")
    assert other.answers.shape == keras.answers.shape
    for one, two in zip(keras.answers, other.answers, strict=True):
        np.testing.assert_allclose(one[:, 4], two[:, 4], atol=2e-3)


@pytest.mark.usefixtures("saved_early", "untraced")
def test_features_that_are_computed_before_are_those_that_the_run_needs(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "cache"))
    boxes = str(scenes.parent / "boxes.json")
    backbone: dict[str, Any] = {"backbone": "tiny", "image_size": 96, "engine": "keras"}
    made = tlkit.precompute(scenes, task="detection", boxes=boxes, views=2, sample=0.3, **backbone)
    assert made["misses"] > 0.3 * NUM_SCENES
    lines: list[str] = []
    console = Console(verbosity=0)
    monkeypatch.setattr(console, "say", lines.append)
    recipe = make_recipe(scenes, {**HEAD, "epochs": 1})
    run_finetune(
        dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, sample=0.3)),
        scenes,
        tmp_path / "run",
        console=console,
        cache_root=tmp_path / "cache",
    )
    assert any(line.startswith("Features of tiny at top") and line.endswith(" 0 to compute.") for line in lines)
    assert (tmp_path / "run" / "views.png").is_file()


@pytest.mark.usefixtures("untraced")
def test_a_plan_tells_the_costs_and_what_linear_models_find_and_what_was_not_tried(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlkit.training.stage_costs.SECONDS_OF_A_TRIAL", 0.01)
    monkeypatch.setattr("tlkit.training.stage_costs.SECONDS_OF_STEPS", 0.01)
    boxes = str(scenes.parent / "boxes.json")
    plan = tlkit.plan(
        scenes, out=tmp_path / "plan.png", task="detection", boxes=boxes, backbone="tiny", image_size=96, views=2
    )
    half, whole = plan["evidence"]["scores"]
    assert (whole["images"], whole["fitted_to"] - 2 * half["fitted_to"]) == (half["images"], pytest.approx(0, abs=4))
    assert 0.3 < whole["low"] < whole["value"] <= whole["high"]
    assert plan["evidence"]["gain_of_twice_the_images"]["value"] == pytest.approx(whole["value"] - half["value"])
    assert plan["advice"]["head"] == "detector"
    assert plan["advice"]["reasons"] == (
        "No deeper training was tried. Train the head, then go on from that run with --unfreeze; what does not help is "
        "undone.",
    )


@pytest.mark.usefixtures("untraced")
def test_what_a_detector_finds_is_explained(run: Path, tmp_path: Path) -> None:
    photo = next(record for record in read_manifest(run).in_split("train") if "red" in record.answer)
    result = tlkit.explain_images(run, photo.path, out=tmp_path / "out", class_name="red", neighbours=1, channels="1")
    (explained,) = result["photos"]
    assert explained["explanations"]
    for each in explained["explanations"]:
        assert each["output"].startswith("red")
        assert 0 < each["score"] <= 1
        assert each["is_found"] == (each["score"] >= read_spec(run, loader_version=LOADER_VERSION).thresholds[1])
        assert 0 <= each["inside"] <= 1
        assert Path(each["map"]).is_file()
    (scene,) = explained["scenes"]
    assert scene["name"] == "scores of red"
    assert Path(scene["map"]).is_file()
    (nearest,) = explained["nearest"]
    assert nearest["path"] == str(photo.path)
    assert nearest["cosine"] == pytest.approx(1, abs=1e-3)
    assert nearest["answer"] == describe_objects(photo.answer)
    page = (tmp_path / "out" / "explanations.html").read_text("utf-8")
    assert "of the evidence lies in its box" in page
    assert "Channel 1 at top" in page


@pytest.mark.parametrize(
    ("command", "purpose"),
    [
        ("drift", "a comparison with new images (drift)"),
        ("suggest", "a comparison with new images (suggestions)"),
    ],
)
def test_commands_that_need_one_answer_of_each_image_refuse_a_detector(
    run: Path, scenes: Path, tmp_path: Path, command: str, purpose: str
) -> None:
    with pytest.raises(SettingError) as caught:
        getattr(tlkit, command)(run, scenes, out=tmp_path / "out")
    assert caught.value.found == f"{purpose} does not apply to detection yet."
    assert not (tmp_path / "out").exists()
