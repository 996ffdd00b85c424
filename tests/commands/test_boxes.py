"""Boxes from annotations to predictions, on pictures with one bright patch each."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlkit.commands.evaluate import EvaluateOptions, run_evaluate
from tlkit.commands.finetune import run_finetune
from tlkit.commands.predict import run_predict
from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import read_manifest
from tlkit.errors import SettingError
from tlkit.inference.destinations import PredictOutputs
from tlkit.models.storage import read_spec
from tlkit.recipes import (
    BackboneSettings,
    DataSettings,
    HeadSettings,
    Recipe,
    Stage,
    TrainingSettings,
)
from tlkit.reports.console import Console

QUIET = Console(verbosity=-1)
SMALLEST = BackboneSettings(name="mnist_cnn", weights="random", image_size=32)
SIZE = (96, 72)
COLOURS = {"orange": (240, 150, 30), "teal": (20, 170, 170)}
NUM_PHOTOS = 80


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two classes of pictures, a table of their boxes beside it; one picture has no box."""
    root = tmp_path_factory.mktemp("patches")
    rng = np.random.default_rng(5)
    rows = []
    for number in range(NUM_PHOTOS):
        class_name = list(COLOURS)[number % 2]
        width, height = (int(edge) for edge in rng.integers((30, 24), (60, 48)))
        left, top = int(rng.integers(0, SIZE[0] - width)), int(rng.integers(0, SIZE[1] - height))
        pixels = rng.integers(20, 60, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
        pixels[top : top + height, left : left + width] = COLOURS[class_name]
        path = root / "photos" / class_name / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        if number:
            rows.append((path.relative_to(root), left, top, left + width, top + height))
    with (root / "boxes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "xmin", "ymin", "xmax", "ymax"), *rows])
    return root / "photos"


def make_recipe(photos: Path, stage: Stage, **training: object) -> Recipe:
    return Recipe(
        data=DataSettings(boxes=str(photos.parent / "boxes.csv"), test_fraction=0.2),
        backbone=SMALLEST,
        head=HeadSettings(kind="dense", units=64, dropout=0.2),
        training=TrainingSettings(**training),  # type: ignore[arg-type]
        stages=(stage,),
    )


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run: a head on cached views."""
    out = tmp_path_factory.mktemp("boxes") / "run"
    stage = Stage(epochs=20, lr=1e-2, views=2, batch_size=16, patience=0)
    run_finetune(make_recipe(photos, stage), photos, out, console=QUIET)
    return out


def test_boxes_are_learnt_beside_the_class(run: Path) -> None:
    with (run / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["validation_iou"]) > 0.45
    assert float(rows[-1]["validation_iou"]) > float(rows[0]["validation_iou"]) + 0.1
    assert float(rows[-1]["validation_accuracy"]) > 0.9
    assert read_spec(run, loader_version=LOADER_VERSION).has_box


def test_the_report_tells_how_well_the_boxes_agree(run: Path) -> None:
    page = (run / "report.html").read_text("utf-8")
    for text in (
        "validation mean IoU of the boxes",
        '<th scope="col" class="number">IoU before</th>',
        '<th scope="col" class="number">IoU</th>',
    ):
        assert text in page
    summary = json.loads((run / "summary.json").read_text("utf-8"))
    assert summary["boxes"]["iou"]["value"] > 0.45


def test_a_picture_without_a_box_still_teaches_its_class(run: Path) -> None:
    manifest = read_manifest(run)
    assert sum(record.box is None for record in manifest.records) == 1
    assert len(manifest.records) == NUM_PHOTOS
    assert "79 boxes on 79 images; 1 image has none." in manifest.notices


@pytest.mark.usefixtures("bundles_are_read_once")
def test_evaluation_measures_and_draws_the_boxes(run: Path, tmp_path: Path) -> None:
    payload = run_evaluate(
        run, None, EvaluateOptions(out=tmp_path / "evaluation"), console=QUIET, settings=DataSettings()
    )
    assert payload["boxes"]["images"] == 16
    assert payload["boxes"]["iou"]["low"] < payload["boxes"]["iou"]["value"] < payload["boxes"]["iou"]["high"]
    assert 0 < payload["boxes"]["error_px"] < 20
    with Image.open(tmp_path / "evaluation" / "boxes.png") as sheet:
        sheet.load()


@pytest.mark.usefixtures("bundles_are_read_once")
def test_predictions_are_boxes_in_pixels_of_the_picture(run: Path, photos: Path, tmp_path: Path) -> None:
    """Enlarged four times, a picture gets a box four times as large."""
    path = photos / "teal" / "01.png"
    with Image.open(path) as picture:
        picture.resize((SIZE[0] * 4, SIZE[1] * 4), Image.Resampling.NEAREST).save(tmp_path / "large.png")
    stream = io.BytesIO()
    outputs = PredictOutputs(overlay=tmp_path / "overlays")
    run_predict(run, [str(path), str(tmp_path / "large.png")], outputs, console=QUIET, stdin=None, stdout=stream)
    small, large = (
        [float(row[edge]) for edge in ("left", "top", "right", "bottom")]
        for row in csv.DictReader(io.StringIO(stream.getvalue().decode()))
    )
    np.testing.assert_allclose(np.array(small) * 4, large, atol=8)
    assert 0 <= small[0] < small[2] <= SIZE[0]
    assert 0 <= small[1] < small[3] <= SIZE[1]
    assert len(list((tmp_path / "overlays").glob("*.jpg"))) == 2


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("unfreeze", ["conv2", "all"])
def test_boxes_are_trained_at_every_boundary(unfreeze: str, run: Path, photos: Path, tmp_path: Path) -> None:
    recipe = make_recipe(photos, Stage(unfreeze=unfreeze, epochs=1, lr=1e-4, batch_size=16))
    few = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, sample=0.4))
    summary = run_finetune(few, photos, tmp_path / "run", console=QUIET, start_from=run)
    (stage,) = summary["validation"]
    assert set(stage["before"]) == {"loss", "accuracy", "iou"}
    assert stage["before"]["iou"] > 0.4


@pytest.mark.usefixtures("untraced")
def test_images_of_one_class_need_no_class_folders(photos: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    annotations = tmp_path / "annotations.csv"
    with annotations.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("filename", "class", "xmin", "ymin", "xmax", "ymax"))
        for path in sorted((photos / "teal").iterdir())[:12]:
            (images / path.name).write_bytes(path.read_bytes())
            writer.writerow((path.name, "patch", 10, 10, 60, 50))
    recipe = make_recipe(photos, Stage(epochs=1))
    data = DataSettings(boxes=str(annotations))
    run_finetune(Recipe(data, SMALLEST, recipe.head, stages=recipe.stages), images, tmp_path / "run", console=QUIET)
    manifest = read_manifest(tmp_path / "run")
    assert manifest.class_names == ("patch",)
    assert (
        "There is only one class, so the model predicts patch for every image: a box shows where it would be, not "
        "whether there is one. Only the distance from the training images detects unknown images."
    ) in manifest.notices


def test_a_head_that_does_not_know_places_is_refused(photos: Path, tmp_path: Path) -> None:
    recipe = Recipe(DataSettings(boxes="boxes.csv"), head=HeadSettings(kind="linear"), stages=(Stage(),))
    with pytest.raises(SettingError) as problem:
        run_finetune(recipe, photos, tmp_path / "run", console=QUIET)
    assert str(problem.value) == (
        "settings: the linear head cannot predict boxes: it does not keep positions.\n"
        "  Expected: a head that keeps positions: dense, flat, fisheries or vgg\n"
        "  Fix: use --head dense."
    )


def test_a_model_that_has_learnt_boxes_is_trained_further_with_boxes(run: Path, photos: Path, tmp_path: Path) -> None:
    recipe = make_recipe(photos, Stage(epochs=1))
    without = Recipe(DataSettings(), recipe.backbone, recipe.head, stages=recipe.stages)
    with pytest.raises(SettingError) as problem:
        run_finetune(without, photos, tmp_path / "run", console=QUIET, start_from=run)
    assert problem.value.found == "The run to start from has learnt boxes."
    assert problem.value.fix == "add --boxes with the annotations."
