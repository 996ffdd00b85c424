"""Measuring a model that goes by the colour, on images that it has seen and on others."""

from __future__ import annotations

import csv
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tlkit.commands.evaluate import EvaluateOptions, run_evaluate
from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import ImageRecord, Manifest, write_manifest
from tlkit.data.seen_images import UNKNOWN_IMAGES, SeenImages, write_earlier_images
from tlkit.errors import RunError, SettingError
from tlkit.files import held_lock
from tlkit.models.spec import BundleSpec
from tlkit.recipes import DataSettings, HeadSettings
from tlkit.reports.console import Console

CLASS_NAMES = ("red", "green", "blue")
COLOURS = {"red": (200, 60, 40), "green": (60, 200, 40), "blue": (40, 60, 200)}


class ColourModel:
    """Calls a picture by its strongest channel; with boxes, it finds the left half."""

    spec = BundleSpec("tiny", (8, 8), "squash", LOADER_VERSION, "avg", HeadSettings(kind="linear"), CLASS_NAMES)
    batch_size = 1
    num_parallel = 1
    map_shape = None

    def predict(self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        means = images.mean(axis=(1, 2))
        answers = (means / means.sum(axis=1, keepdims=True))[:, : len(self.spec.class_names)]
        box = np.tile([0.25, 0.5, 0.5, 1], (len(images), 1)) if self.spec.has_box else np.empty((len(images), 0))
        return np.concatenate([answers, box], axis=1).astype(np.float32)


@pytest.fixture(autouse=True)
def model(monkeypatch: pytest.MonkeyPatch) -> ColourModel:
    model = ColourModel()
    monkeypatch.setattr("tlkit.commands.evaluate.read_spec", lambda *_, **__: model.spec)
    monkeypatch.setattr("tlkit.commands.evaluate.open_classifier", lambda *_, **__: model)
    monkeypatch.setattr("tlkit.runs.evaluation_set.find_bundle", lambda run: run / "bundle")
    return model


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four pictures of each class; the first red one looks green, the second one blue."""
    for name, colour in COLOURS.items():
        for number in range(4):
            path = tmp_path / "photos" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            shown = {("red", 0): (60, 201, 50), ("red", 1): (50, 60, 201)}.get((name, number), colour)
            Image.new("RGB", (16, 16), (*shown[:2], shown[2] + number)).save(path)
    return tmp_path / "photos"


def write_run(folder: Path, photos: Path, splits: dict[int, str], earlier: SeenImages | None = None) -> Path:
    """Write the manifest of a run that has the pictures of these numbers, each in a split."""
    folder.mkdir()
    records = tuple(
        ImageRecord(path, sha256(path.read_bytes()).hexdigest(), 16, 16, splits[int(path.stem)], path.parent.name)
        for path in sorted(photos.rglob("*.png"))
        if int(path.stem) in splits
    )
    write_manifest(Manifest(photos, CLASS_NAMES, records), folder)
    if earlier:
        write_earlier_images(folder, earlier)
    return folder


def evaluate(run: Path, data: Path | None, **options: Any) -> dict[str, Any]:
    return run_evaluate(run, data, EvaluateOptions(**options), console=Console(), settings=DataSettings())


@pytest.mark.parametrize(
    ("splits", "counts", "sentence"),
    [
        (
            dict.fromkeys(range(4), "train"),
            (12, 0, 0),
            "The model was trained on all of them, so this does not show how it does on new images.",
        ),
        (
            dict.fromkeys(range(4), "validation"),
            (0, 12, 0),
            "They chose the model's epoch: on new images it may do slightly worse.",
        ),
        (dict.fromkeys(range(4), "test"), (0, 0, 12), "The model has seen none of them."),
        (
            {0: "train", 1: "validation", 2: "train"},
            (6, 3, 3),
            "The model was trained on 6 of them, and 3 chose its epoch, so this does not show how it does on new images. "
            "On the 3 that it has not seen: accuracy 1.000 (0.439 to 1.000).",
        ),
        (
            {0: "validation"},
            (0, 3, 9),
            "3 of them chose the model's epoch: on new images it may do slightly worse. "
            "On the 9 that it has not seen: accuracy 0.889 (0.565 to 0.980).",
        ),
    ],
)
def test_the_last_line_says_what_the_images_were_to_the_model(
    splits: dict[int, str],
    counts: tuple[int, int, int],
    sentence: str,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = write_run(tmp_path / "run", photos, splits)
    payload = evaluate(run, photos)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("Accuracy 0.833 (95% interval 0.552 to 0.953), macro-F1 ")
    assert last.endswith(f", on 12 images. {sentence}")
    seen = payload["seen"]
    assert seen["is_known"]
    parts = [seen[part] for part in ("trained_on", "chose_the_epoch", "never_seen")]
    assert tuple(part["images"] if part else 0 for part in parts) == counts
    assert (payload["split"], payload["images"]) == (None, 12)


def test_scores_stand_apart_in_a_table_and_in_the_report(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", photos, {0: "train", 1: "validation"})
    evaluate(run, photos, out=tmp_path / "out")
    story = capsys.readouterr().out
    assert "\nScores\n" in story
    table = story.partition("Scores by whether the model has seen the images\n")[2].splitlines()
    assert [line.split("  ")[0].strip() for line in table[:6]][-3:] == ["trained on", "chose the epoch", "never seen"]
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    assert document["seen"]["trained_on"]["accuracy"]["value"] == pytest.approx(2 / 3)
    assert document["seen"]["never_seen"]["accuracy"] == {
        "value": 1.0,
        "low": pytest.approx(0.610, abs=1e-3),
        "high": 1.0,
    }


def test_images_of_an_earlier_run_are_seen(photos: Path, tmp_path: Path) -> None:
    hashes = [sha256(path.read_bytes()).hexdigest() for path in sorted(photos.rglob("3.png"))]
    earlier = SeenImages(dict.fromkeys(hashes, "train"))
    run = write_run(tmp_path / "run", photos, {0: "train", 3: "test"}, earlier)
    assert evaluate(run, None)["seen"]["trained_on"]["images"] == 3


def test_what_is_not_known_is_said(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bundle").mkdir()
    payload = evaluate(tmp_path / "bundle", photos)
    assert not payload["seen"]["is_known"]
    assert capsys.readouterr().out.endswith(
        "on 12 images. The model's training images are not known: its run is missing.\n"
    )
    run = write_run(tmp_path / "run", photos, {0: "train"}, UNKNOWN_IMAGES)
    evaluate(run, photos)
    assert capsys.readouterr().out.endswith(
        "On the 9 others: accuracy 0.889 (0.565 to 0.980). Its other training images are not known: "
        "it started from a bundle without its run.\n"
    )


def test_the_true_class_ranks_among_the_first_k(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payload = evaluate(tmp_path, photos, top_k=2, out=tmp_path / "out")
    assert payload["accuracy"]["value"] == pytest.approx(10 / 12)
    assert payload["top_k_accuracy"]["k"] == 2
    assert payload["top_k_accuracy"]["interval"]["value"] == pytest.approx(11 / 12)
    assert "), top-2 accuracy 0.917 (95% interval 0.646 to 0.985), macro-F1 " in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "out" / "predictions.csv").read_text().splitlines()))
    assert list(rows[0])[:6] == [
        "path",
        "true_class_name",
        "true_class_probability",
        "class_name",
        "probability",
        "class_name_2",
    ]
    wrong = next(row for row in rows if row["path"] == str(photos / "red" / "0.png"))
    assert (wrong["true_class_name"], wrong["class_name"], wrong["class_name_2"]) == ("red", "green", "red")
    assert wrong["true_class_probability"] == wrong["probability_2"]


def test_as_many_classes_as_there_are_are_no_measure(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError) as caught:
        evaluate(tmp_path, photos, top_k=3)
    assert str(caught.value) == (
        "--top-k 3: the model has 3 classes, so the true class is always among them.\n"
        "  Expected: a number from 1 to 2\n"
        "  Fix: --top-k 2, or less."
    )


def test_one_process_at_a_time_writes_an_evaluation(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    evaluate(tmp_path, photos, out=out)
    before = (out / "report.json").read_bytes()
    with held_lock(out / ".lock"), pytest.raises(RunError) as caught:
        evaluate(tmp_path, photos, out=out)
    assert caught.value.found == f"{out}: another tlkit process is using this folder."
    assert (out / "report.json").read_bytes() == before


def test_nothing_of_an_earlier_evaluation_stays(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    evaluate(tmp_path, photos, out=out)
    for name in ("boxes.png", "labels.png", "mine.txt"):
        (out / name).write_text("earlier")
    evaluate(tmp_path, photos, out=out)
    assert {path.name for path in out.iterdir()} == {
        ".lock",
        ".tlkit-output",
        "confusion.png",
        "mine.txt",
        "per_class.csv",
        "predictions.csv",
        "reliability.png",
        "report.html",
        "report.json",
    }


@pytest.fixture
def boxes(tmp_path: Path) -> str:
    with (tmp_path / "boxes.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "xmin", "ymin", "xmax", "ymax"))
        for name in CLASS_NAMES:
            for number in range(4):
                writer.writerow((f"photos/{name}/{number}.png", 0, 0, 8 if name == "red" else 16, 16))
    return str(tmp_path / "boxes.csv")


def test_boxes_are_in_the_last_line_the_table_and_the_sheet(
    photos: Path,
    tmp_path: Path,
    boxes: str,
    model: ColourModel,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spec = BundleSpec("tiny", (8, 8), "squash", LOADER_VERSION, "avg", HeadSettings(), CLASS_NAMES, has_box=True)
    monkeypatch.setattr(model, "spec", spec)
    payload = run_evaluate(
        tmp_path, photos, EvaluateOptions(out=tmp_path / "out"), console=Console(), settings=DataSettings(boxes=boxes)
    )
    story = capsys.readouterr().out
    assert payload["boxes"]["iou"]["value"] == pytest.approx(2 / 3)
    last = story.splitlines()[-2]
    assert last.startswith("Accuracy 0.833 ")
    assert " Boxes: mean IoU 0.667 (95% interval " in last
    rows = {line.split()[0]: line.split()[-1] for line in reversed(story.splitlines()) if line.split()}
    assert {name: rows[name] for name in (*CLASS_NAMES, "mean")} == {
        "red": "1.000",
        "green": "0.500",
        "blue": "0.500",
        "mean": "0.667",
    }
    with Image.open(tmp_path / "out" / "boxes.png") as sheet:
        assert sheet.width > 200


def test_a_model_of_one_class_has_no_accuracy(
    photos: Path,
    tmp_path: Path,
    model: ColourModel,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spec = BundleSpec("tiny", (8, 8), "squash", LOADER_VERSION, "avg", HeadSettings(), ("red",), has_box=True)
    monkeypatch.setattr(model, "spec", spec)
    path = photos / "red" / "2.png"
    record = ImageRecord(path, sha256(path.read_bytes()).hexdigest(), 16, 16, "test", "red", (0.0, 0.0, 8.0, 16.0))
    write_manifest(Manifest(photos, ("red",), (record,)), tmp_path)
    evaluate(tmp_path, None)
    assert capsys.readouterr().out.splitlines()[-1] == (
        "The model has only one class, red, so there is no accuracy to measure. Boxes: mean IoU 1.000 (95% interval "
        "1.000 to 1.000), above 0.5 on 100% of 1 images, edges 0.0 px off on average. The model has seen none of them."
    )
    with pytest.raises(SettingError) as caught:
        evaluate(tmp_path, None, top_k=1)
    assert caught.value.found == "--top-k 1: the model has one class."
