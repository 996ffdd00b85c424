"""Measuring an untrained model: on which images, and where the numbers go."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tlkit.commands.evaluate import EvaluateOptions, run_evaluate
from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import ImageRecord, Manifest, write_manifest
from tlkit.data.metadata_source import MetadataSource
from tlkit.data.views import ViewPlan
from tlkit.errors import DataError, RunError
from tlkit.inference.files import predict_files
from tlkit.inference.scoring import score_records
from tlkit.metadata.encoding import MetadataEncoding
from tlkit.models.classifier import Classifier
from tlkit.models.saving import read_bundle
from tlkit.recipes import DataSettings
from tlkit.reports.console import Console

# The model's order differs from the alphabet's, so labels taken from the data's own order would be wrong.
CLASS_NAMES = ("yellow", "red", "green")


pytestmark = pytest.mark.usefixtures("bundles_are_read_once")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, make_bundle: Callable[..., Path]) -> Path:
    """A model with random weights."""
    return make_bundle(tmp_path_factory.mktemp("model") / "bundle", CLASS_NAMES, backbone="tiny")


@pytest.fixture(scope="module")
def classifier(bundle: Path) -> Classifier:
    return read_bundle(bundle, loader_version=LOADER_VERSION)


@pytest.fixture
def photos(tmp_path: Path, make_image_folder: Callable[..., Path]) -> Path:
    return make_image_folder(tmp_path / "photos", {"green": 4, "red": 5, "yellow": 6})


@pytest.fixture
def run(tmp_path: Path, bundle: Path, photos: Path) -> Path:
    """A run folder: the bundle, and a manifest with a validation split and no test split."""
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copytree(bundle, folder / "bundle")
    write_manifest(make_manifest(photos, "validation"), folder)
    return folder


def make_manifest(photos: Path, split: str) -> Manifest:
    from hashlib import sha256

    records = tuple(
        ImageRecord(path, sha256(path.read_bytes()).hexdigest(), 40, 32, split, path.parent.name)
        for path in sorted(photos.rglob("*.png"))
    )
    return Manifest(photos, CLASS_NAMES, records)


NO_METADATA = MetadataSource(MetadataEncoding(()), None)


def evaluate(run: Path, data: Path | None = None, **options: Any) -> dict[str, Any]:
    return run_evaluate(run, data, EvaluateOptions(**options), console=Console(verbosity=-1), settings=DataSettings())


def test_scores_are_counted_by_class_name_whatever_the_order_of_the_classes(
    bundle: Path, classifier: Classifier, photos: Path
) -> None:
    payload = evaluate(bundle, photos)
    paths = sorted(photos.rglob("*.png"))
    answers = [file.prediction.ranked[0][0] for file in predict_files(classifier, paths, NO_METADATA, top_k=1)]
    right = [answer == path.parent.name for answer, path in zip(answers, paths, strict=True)]

    assert payload["accuracy"]["value"] == sum(right) / 15
    assert payload["accuracy"]["low"] < payload["accuracy"]["value"] < payload["accuracy"]["high"]
    assert [score["class_name"] for score in payload["classes"]] == list(CLASS_NAMES)
    assert [score["support"] for score in payload["classes"]] == [6, 5, 4]
    assert payload["images"] == 15
    assert payload["skipped"] == 0
    assert payload["views"] == 1
    assert evaluate(bundle, photos, views=ViewPlan("strong", 2))["views"] == 2
    assert 0 <= payload["macro_f1"] <= 1


@pytest.mark.parametrize("num_views", [1, 3])
def test_evaluation_gives_the_very_numbers_of_prediction(num_views: int, classifier: Classifier, photos: Path) -> None:
    records = make_manifest(photos, "test").records
    views = ViewPlan("standard", num_views)
    done: list[int] = []
    scores = score_records(classifier, records, views=views, advance=done.append)
    assert sum(done) == len(records)
    for file, row in zip(
        predict_files(classifier, [record.path for record in records], NO_METADATA, top_k=3, views=views),
        scores.answers,
        strict=True,
    ):
        ranked = {name: np.float32(probability) for name, probability in file.prediction.ranked}
        assert [ranked[name] for name in CLASS_NAMES] == row.tolist()


def test_without_data_the_runs_validation_images_are_scored_where_it_has_no_test_split(run: Path) -> None:
    payload = evaluate(run)
    assert payload["split"] == "validation"
    assert payload["images"] == 15
    assert payload["data"] is None


def test_without_data_the_runs_test_split_goes_first(run: Path, photos: Path) -> None:
    manifest = make_manifest(photos, "validation")
    records = [dataclasses.replace(record, split="test") for record in manifest.records[:7]]
    write_manifest(dataclasses.replace(manifest, records=(*records, *manifest.records[7:])), run)
    assert (evaluate(run)["split"], evaluate(run)["images"]) == ("test", 7)
    assert evaluate(run, split="validation")["images"] == 8
    assert evaluate(run / "bundle")["images"] == 7


def test_images_that_changed_since_the_run_are_counted_and_not_scored(run: Path, photos: Path) -> None:
    Image.new("RGB", (20, 20)).save(photos / "green" / "green_000.png")
    (photos / "red" / "red_000.png").unlink()
    (photos / "red" / "red_001.png").write_bytes(b"broken")
    payload = evaluate(run)
    assert (payload["images"], payload["skipped"]) == (12, 3)


def test_the_folder_holds_the_picture_and_the_tables(bundle: Path, photos: Path, tmp_path: Path) -> None:
    (photos / "green" / "empty.png").touch()
    payload = evaluate(bundle, photos, out=tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        ".lock",
        ".tlkit-output",
        "confusion.png",
        "per_class.csv",
        "predictions.csv",
        "reliability.png",
        "report.html",
        "report.json",
    }
    with Image.open(tmp_path / "out" / "confusion.png") as picture:
        assert min(picture.size) > 200
    per_class = list(csv.DictReader((tmp_path / "out" / "per_class.csv").read_text().splitlines()))
    assert [row["class_name"] for row in per_class] == list(CLASS_NAMES)
    assert [float(row["f1"] or 0) for row in per_class] == [score["f1"] or 0 for score in payload["classes"]]
    rows = list(csv.DictReader((tmp_path / "out" / "predictions.csv").read_text().splitlines()))
    right = [row["true_class_name"] == row["class_name"] for row in rows if not row["error"]]
    assert sum(right) / 15 == payload["accuracy"]["value"]
    assert [row["error"] for row in rows if row["error"]] == ["empty file"]
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    assert document["accuracy"] == payload["accuracy"]
    assert np.trace(document["confusion"]) == sum(right)
    assert document["skipped"] == [{"path": str(photos / "green" / "empty.png"), "reason": "empty file"}]


def test_a_second_evaluation_replaces_the_first(bundle: Path, photos: Path, tmp_path: Path) -> None:
    evaluate(bundle, photos, out=tmp_path / "out")
    shutil.rmtree(photos / "green")
    assert evaluate(bundle, photos, out=tmp_path / "out")["images"] == 11
    assert json.loads((tmp_path / "out" / "report.json").read_text())["images"] == 11


def test_a_bundle_alone_knows_no_images(bundle: Path) -> None:
    with pytest.raises(RunError) as caught:
        evaluate(bundle)
    assert str(caught.value) == (
        f"{bundle} is a bundle without its run, so it has no images.\n"
        "  Expected: a run folder with its manifest.csv, or images to evaluate on\n"
        f"  Fix: tlkit evaluate {bundle} DATA"
    )


def test_a_split_without_images_is_refused(run: Path) -> None:
    with pytest.raises(DataError) as caught:
        evaluate(run, split="train")
    assert str(caught.value) == (
        f"{run} has no images in its train split.\n"
        "  Expected: a split with images: train, validation or test\n"
        f"  Fix: tlkit evaluate {run} DATA, with other labelled images."
    )


def test_a_run_whose_images_are_all_gone_says_so(run: Path, photos: Path) -> None:
    shutil.rmtree(photos)
    with pytest.raises(DataError) as caught:
        evaluate(run)
    assert str(caught.value) == (
        "none of the 15 images could be read.\n"
        "  Expected: images unchanged since they were checked\n"
        f"  Fix: tlkit evaluate {run} DATA, with the folder where the images are now."
    )


def test_nothing_is_written_into_the_data(bundle: Path, photos: Path) -> None:
    with pytest.raises(RunError, match="is inside the data folder"):
        evaluate(bundle, photos, out=photos / "out")
    assert not (photos / "out").exists()


def test_the_story_names_the_images_the_interval_and_the_mistakes(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payload = run_evaluate(run, None, console=Console(), settings=DataSettings())
    accuracy = payload["accuracy"]
    story = capsys.readouterr().out
    assert f"Evaluating {run} on 15 images: the run's own validation split." in story
    assert (
        f"Accuracy {accuracy['value']:.3f} (95% interval {accuracy['low']:.3f} to {accuracy['high']:.3f}), "
        f"macro-F1 {payload['macro_f1']:.3f}, calibration error {payload['calibration']['error']:.3f}, on 15 images."
        in story
    )
    assert "Most frequent mistakes" in story
