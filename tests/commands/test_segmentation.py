"""Segmentation from masks to masks, on scenes of rectangles and discs."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.conftest import make_once
from tlkit.commands.evaluate import EvaluateOptions, run_evaluate
from tlkit.commands.explain import ExplainOptions, run_explain
from tlkit.commands.export import ExportRequest, run_export
from tlkit.commands.finetune import run_finetune
from tlkit.commands.predict import PredictOptions, run_predict
from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import read_manifest
from tlkit.data.views import ViewPlan
from tlkit.errors import DataError, SettingError
from tlkit.inference.destinations import PredictOutputs
from tlkit.inference.scoring import score_records
from tlkit.models.opening import open_classifier
from tlkit.recipes import DataSettings, Recipe, build_recipe, read_recipe
from tlkit.reports.console import Console
from tlkit.tasks import find_task

QUIET = Console(verbosity=-1)
COLOURS = {"disc": (230, 40, 40), "square": (40, 60, 230)}
NUM_SCENES = 48


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with up to two shapes, and masks with the numbers of their classes beside them."""
    return make_once(tmp_path_factory, "scenes-of-shapes", draw_scenes)


def draw_scenes(root: Path) -> None:
    (root / "photos").mkdir()
    (root / "masks").mkdir()
    (root / "masks" / "classes.txt").write_text("disc\nsquare\n")
    rng = np.random.default_rng(0)
    for number in range(NUM_SCENES):
        width, height = rng.integers(120, 180, 2).tolist()
        picture = Image.fromarray(rng.integers(90, 140, (height, width, 3), dtype=np.uint8))
        mask = Image.new("L", (width, height))
        for side in range(2):
            kind, edge = int(rng.integers(3)), int(rng.integers(40, 58))
            left, top = side * width // 2 + int(rng.integers(0, 8)), int(rng.integers(0, height - edge))
            corners = (left, top, left + edge, top + edge)
            if kind:
                for image, fill in ((picture, list(COLOURS.values())[kind - 1]), (mask, kind)):
                    pen = ImageDraw.Draw(image)
                    (pen.ellipse if kind == 1 else pen.rectangle)(corners, fill=fill)
        picture.save(root / "photos" / f"{number:02}.png")
        mask.save(root / "masks" / f"{number:02}.png")


def make_recipe(scenes: Path, *stages: dict[str, Any], **data: Any) -> Recipe:
    """Return a recipe of a small model; its sections have the defaults of the task."""
    content = {
        "data": {"task": "segmentation", "masks": str(scenes / "masks"), **data},
        "backbone": {"name": "tiny", "image_size": 96, "engine": "keras"},
        "head": {"units": 16},
        "stage": [*stages],
    }
    return build_recipe(content, source="a.toml")


def read_pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


@pytest.fixture(scope="module")
def run(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run: a head on cached maps."""

    def train(folder: Path) -> None:
        run_finetune(make_recipe(scenes, {"epochs": 40, "views": 2}), scenes / "photos", folder / "run", console=QUIET)

    return make_once(tmp_path_factory, "segmenter", train) / "run"


def test_shapes_are_found(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    assert summary["not_made"] == []
    assert summary["validation"][0]["after"]["miou"] > 0.45
    assert {path.name for path in run.iterdir()} >= {"report.html", "predictions.csv", "bundle"}
    with (run / "history.csv").open(newline="") as file:
        assert "validation_miou" in next(csv.reader(file))


def test_the_recipe_says_what_the_task_decided(run: Path) -> None:
    recipe = read_recipe(run / "recipe.toml")
    assert (recipe.head.kind, recipe.backbone.fit, recipe.stages[0].batch_size) == ("segmenter", "pad", 8)


def test_a_saved_model_scores_as_its_run_said(run: Path) -> None:
    result = run_evaluate(run, None, EvaluateOptions(split="validation"), console=QUIET, settings=DataSettings())
    summary = json.loads((run / "summary.json").read_text())
    assert result["miou"] == summary["miou"]


@pytest.mark.usefixtures("untraced")
def test_the_classes_of_a_mask_are_explained(run: Path, scenes: Path, tmp_path: Path) -> None:
    train = read_manifest(run).in_split("train")
    photo = next(record for record in train if find_task("segmentation").describe_answer(record.answer) == "square")
    options = ExplainOptions(neighbours=1)
    result = run_explain(run, [str(photo.path)], tmp_path / "out", options, console=QUIET)
    (explained,) = result["photos"]
    assert "square" in [each["output"] for each in explained["explanations"]]
    assert [each["name"] for each in explained["scenes"]] == ["uncertainty"]
    assert all(Path(each["map"]).is_file() for each in (*explained["explanations"], *explained["scenes"]))
    assert explained["nearest"][0]["answer"] == "square"
    assert explained["nearest"][0]["cosine"] == pytest.approx(1, abs=1e-3)
    page = (tmp_path / "out" / "explanations.html").read_text("utf-8")
    assert "Uncertainty is the entropy of the classes" in page


def test_predicted_masks_are_masks_again(run: Path, scenes: Path, tmp_path: Path) -> None:
    outputs = PredictOutputs(tmp_path / "rows.csv", tmp_path / "overlays", masks_out=tmp_path / "found")
    payload = run_predict(
        run, [str(scenes / "photos")], outputs, PredictOptions(), console=QUIET, stdin=None, stdout=None
    )
    assert payload["images"] == NUM_SCENES
    assert payload["not_copied"] == 0
    assert payload["classes"].keys() == COLOURS.keys()
    with (tmp_path / "rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name in ("00", "07"):
        mask = read_pixels(tmp_path / "found" / f"{name}.png")
        assert mask.shape == read_pixels(scenes / "photos" / f"{name}.png").shape[:2]
        shares = {row["class_name"]: float(row["share"]) for row in rows if row["path"].endswith(f"{name}.png")}
        for number, kind in enumerate(COLOURS, 1):
            assert shares.get(kind, 0.0) == pytest.approx((mask == number).mean(), abs=0.01)
        assert read_pixels(tmp_path / "overlays" / f"{name}.jpg").shape[1] >= mask.shape[1]
    result = run_evaluate(
        run,
        scenes / "photos",
        EvaluateOptions(),
        console=QUIET,
        settings=DataSettings(task="segmentation", masks=str(tmp_path / "found")),
    )
    assert result["miou"]["value"] > 0.93


def test_an_export_draws_the_masks_of_the_run(run: Path, openvino: Any, tmp_path: Path) -> None:
    out = tmp_path / "ship"
    result = run_export(ExportRequest(run, ("openvino",), out=out), console=QUIET)
    (file,) = result["files"]
    assert (file["agrees"], result["measured_on"]) == (True, "the run's own validation split")
    assert file["largest_difference"] < 1e-4
    assert min(file["same_answer"], file["mask_iou"]) > 0.999
    assert file["score"]["value"] == pytest.approx(result["bundle_score"]["value"], abs=1e-3)
    assert {path.name for path in (out / "readers").iterdir()} >= {"tlkit_masks.py", "tlkit_reader.py"}
    assert not {"tlkit_objects.py", "cpp"} & {path.name for path in (out / "readers").iterdir()}
    assert "--masks found/" in (out / "README.md").read_text("utf-8")


def test_keras_and_openvino_give_the_same_masks(scenes: Path, openvino: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    recipe = make_recipe(scenes, {"epochs": 3, "views": 2})
    recipe = dataclasses.replace(recipe, backbone=dataclasses.replace(recipe.backbone, engine="auto"))
    summary = run_finetune(recipe, scenes / "photos", run, console=QUIET)
    assert summary["not_made"] == []
    records = read_manifest(run).in_split("validation")
    answers = [
        score_records(open_classifier(run, loader_version=LOADER_VERSION, engine=engine), records).answers
        for engine in ("keras", "openvino")
    ]
    assert answers[0].shape == (len(records), 256, 256)
    assert answers[0].dtype == np.uint8
    assert (answers[0] == answers[1]).mean() > 0.999


@pytest.fixture
def saved_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlkit.training.call_sizes.SECONDS_WORTH_SAVING", 0.0)


@pytest.mark.usefixtures("saved_early", "untraced")
def test_an_interrupted_run_resumes_to_the_bit_and_unfreezing_trains(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = {"epochs": 2, "views": 2}
    recipe = make_recipe(scenes, head, {"unfreeze": "block4", "views": 2, "epochs": 2}, sample=0.4)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    from tlkit.runs.history import RunHistory

    write = RunHistory._write

    def copy(history: RunHistory, rows: Any) -> None:
        write(history, rows)
        if len(rows) == 3 and not killed.exists():
            shutil.copytree(whole, killed)

    with monkeypatch.context() as patch:
        patch.setattr(RunHistory, "_write", copy)
        run_finetune(recipe, scenes / "photos", whole, console=QUIET)
    run_finetune(recipe, scenes / "photos", killed, console=QUIET, resume=True)
    assert (killed / "bundle/weights.safetensors").read_bytes() == (whole / "bundle/weights.safetensors").read_bytes()


def test_images_without_a_mask_or_with_one_of_other_proportions_are_named(scenes: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(scenes / "photos", data / "photos")
    shutil.copytree(scenes / "masks", data / "masks")
    (data / "masks" / "00.png").unlink()
    Image.new("L", (500, 50), 1).save(data / "masks" / "01.png")
    recipe = make_recipe(scenes, {"epochs": 1, "views": 1, "policy": "none"}, masks=str(data / "masks"))
    run_finetune(recipe, data, tmp_path / "run", console=QUIET)
    with (tmp_path / "run" / "skipped.csv").open(newline="") as file:
        skipped = {Path(row["path"]).as_posix(): row["reason"] for row in csv.DictReader(file)}
    height, width, _ = read_pixels(data / "photos" / "01.png").shape
    assert skipped == {
        "photos/00.png": "no mask has its name",
        "photos/01.png": f"its mask has 500 x 50 pixels, other proportions than the image's {width} x {height}",
    }


def test_what_does_not_go_with_masks_is_refused_in_words(run: Path, scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError) as refused:
        build_recipe({"data": {"task": "segmentation"}, "stage": [{}]}, source="a.toml")
    assert str(refused.value) == (
        "a.toml: task is segmentation, but there are no masks.\n"
        "  Expected: the masks of the images\n"
        "  Fix: add --masks with a folder of PNG files, or a COCO .json."
    )
    with pytest.raises(SettingError) as refused:
        build_recipe({"data": {"masks": "masks"}, "stage": [{}]}, source="a.toml")
    assert refused.value.found == "a.toml: masks = masks has no effect: the task is classification."
    content = {"data": {"task": "segmentation", "masks": "masks"}, "head": {"kind": "dense"}, "stage": [{}]}
    with pytest.raises(SettingError) as refused:
        build_recipe(content, source="a.toml")
    assert refused.value.fix == "use --head segmenter, or leave out --head."
    with pytest.raises(DataError) as missing:
        run_finetune(make_recipe(scenes, {}), scenes / "none", tmp_path / "no", console=QUIET)
    assert missing.value.found == f"{scenes / 'none'}: no such file or folder."
    options = PredictOptions(views=ViewPlan("standard", 3, 0))
    with pytest.raises(SettingError) as refused:
        run_predict(run, [str(scenes)], PredictOutputs(), options, console=QUIET, stdin=None, stdout=None)
    assert refused.value.found == (
        "--views 3: the masks that are found in several views of an image cannot be averaged."
    )
