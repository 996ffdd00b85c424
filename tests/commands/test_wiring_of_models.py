"""What a finished run keeps beside the weights follows from its own images, each split for what it is for."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from tlkit.data.image_file import ImageFile
from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import ImageRecord, read_manifest
from tlkit.models.saving import read_bundle
from tlkit.models.spec import BundleSpec
from tlkit.models.storage import read_spec

RunCli = Callable[..., Any]
FALSE_ALARMS = 0.3
SIZE = (32, 32)
NUM_IMAGES = {"train": 22, "validation": 10, "test": 8}
FEATURES = (
    "--backbone mnist_cnn --weights random --image-size 32 --fit crop --feature-dtype float32 --head linear --views 2 "
    "--policy strong --seed 3 --test-fraction 0.2 --validation-fraction 0.25 --metadata hour,boat"
)
OPTIONS = f"{FEATURES} --epochs 3 --lr 0.003 --batch-size 8 --false-alarms {FALSE_ALARMS} -v"


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache for all tests of this file."""
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path_factory.getbasetemp() / "models"))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Patterns, eels a little darker than carps, each at another hour; one file is not a picture."""
    root = tmp_path_factory.mktemp("models")
    rng = np.random.default_rng(5)
    (root / "broken.png").write_bytes(b"no picture")
    rows: list[tuple[object, ...]] = [("broken.png", "eel", 3, "Heron")]
    for number in range(sum(NUM_IMAGES.values())):
        path = root / f"{number:02}.png"
        Image.fromarray(rng.integers(0, 256 - 90 * (number % 2), (48, 60, 3), np.uint8)).save(path)
        rows.append((path.name, ("carp", "eel")[number % 2], number**2, ("Heron", "Otter")[number // 3 % 2]))
    with (root / "photos.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "hour", "boat"), *rows])
    return root / "photos.csv"


@pytest.fixture
def run(table: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run on that table, made once, with as many golden images as for users; `story.txt` holds what it prints."""
    folder = table.parent / "run"
    if not folder.exists():
        monkeypatch.setattr("tlkit.runs.model.NUM_GOLDEN_IMAGES", 4)
        result = run_cli("finetune", table, *OPTIONS.split(), "--out", folder)
        assert result.exit_code == 0, result.stderr
        (table.parent / "story.txt").write_text(result.stdout)
    return folder


def load(records: Sequence[ImageRecord]) -> np.ndarray[Any, Any]:
    return np.stack([ImageFile(record.path.read_bytes()).render(image_size=SIZE, fit="crop") for record in records])


def read_model_spec(run: Path) -> BundleSpec:
    return read_spec(run, loader_version=LOADER_VERSION)


def test_the_report_of_a_run_is_what_its_saved_model_gives_on_the_validation_images(run: Path, run_cli: RunCli) -> None:
    summary = json.loads((run / "summary.json").read_text())
    payload = run_cli("evaluate", run, "--split", "validation", "--json").json()
    assert read_model_spec(run).temperature < 0.8, "or calibration would change little"
    assert summary["images"] == NUM_IMAGES["validation"]
    for name in ("accuracy", "macro_f1", "classes", "mistakes"):
        assert summary[name] == payload[name]
    assert summary["calibration"]["error"] == pytest.approx(payload["calibration"]["error"], abs=1e-6)
    for one, other in zip(summary["calibration"]["bins"], payload["calibration"]["bins"], strict=True):
        assert one == pytest.approx(other, abs=1e-6)


def test_the_model_reads_pictures_and_metadata_as_its_training_did(run: Path) -> None:
    spec = read_model_spec(run)
    records = read_manifest(run).in_split("train")
    hour, boat = spec.metadata.columns
    assert (spec.fit, spec.image_size, sorted(boat.values)) == ("crop", (32, 32), ["Heron", "Otter"])  # type: ignore[union-attr]
    assert hour.mean == pytest.approx(np.mean([float(record.metadata[0]) for record in records]))  # type: ignore[union-attr]


def test_epochs_are_judged_by_validation_images_with_their_own_metadata(run: Path) -> None:
    classifier = read_bundle(run, loader_version=LOADER_VERSION)
    manifest = read_manifest(run)
    records = manifest.in_split("validation")
    metadata = keras.ops.convert_to_tensor(classifier.spec.metadata.encode([record.metadata for record in records]))
    logits = classifier.forward(load(records), metadata)["answer"].numpy().astype(np.float64)
    likelihoods = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    loss = -np.log(likelihoods[np.arange(len(records)), manifest.targets(records)]).mean()
    with (run / "history.csv").open(newline="") as file:
        losses = [float(row["validation_loss"]) for row in csv.DictReader(file)]
    assert min(losses) == pytest.approx(loss, rel=1e-4)
    assert max(losses) > min(losses) * 1.01, "or any other epoch would do as well"


def test_the_golden_samples_are_validation_images_with_their_own_metadata(run: Path) -> None:
    golden = load_file(run / "bundle" / "golden.safetensors")
    records = read_manifest(run).in_split("validation")
    pictures = load(records)
    places = [int(np.flatnonzero((pictures == image).all(axis=(1, 2, 3)))[0]) for image in golden["images"]]
    assert places == [0, 3, 6, 9]
    expected = read_model_spec(run).metadata.encode([records[place].metadata for place in places])
    np.testing.assert_array_equal(golden["metadata"], expected)


def test_the_distance_is_from_the_training_images(run: Path) -> None:
    classifier = read_bundle(run, loader_version=LOADER_VERSION)
    images = load(read_manifest(run).in_split("train"))
    metadata = keras.ops.zeros((len(images), classifier.spec.metadata.width))
    features = classifier.forward(images, metadata)["feature"].numpy()
    mean = load_file(run / "bundle" / "novelty.safetensors")["mean"]
    np.testing.assert_allclose(mean, features.mean(axis=0), rtol=1e-3, atol=1e-5)


def test_so_many_validation_images_as_are_allowed_lie_beyond_what_is_known(
    run: Path, run_cli: RunCli, tmp_path: Path
) -> None:
    run_cli("evaluate", run, "--split", "validation", "--out", tmp_path / "scores", "-q")
    with (tmp_path / "scores" / "predictions.csv").open(newline="") as file:
        distances = sorted(np.float32(row["distance"]) for row in csv.DictReader(file))
    rank = math.ceil((len(distances) + 1) * (1 - FALSE_ALARMS))
    assert np.float32(read_model_spec(run).unknown_above) == distances[rank - 1]


def test_the_run_tells_of_its_metadata_and_of_what_it_left_out(run: Path) -> None:
    story = (run.parent / "story.txt").read_text()
    assert re.search(r"\n hour +number, mean .*\n boat +category, 2 values: Heron, Otter ", story)
    page = (run / "report.html").read_text()
    assert f"<td>{run.parent / 'broken.png'}</td>" in page
    for text in ("not an image", *read_manifest(run).notices):
        assert text in page


def test_a_run_computes_the_features_that_precompute_names_but_for_those_of_the_test_images(
    run: Path, table: Path, run_cli: RunCli
) -> None:
    """The same split, views and random weights follow from the seed, and nothing is computed of the test images."""
    payload = run_cli("precompute", table, *FEATURES.split(), "--json").json()
    train, validation, test = NUM_IMAGES.values()
    assert (payload["hits"], payload["misses"]) == (2 * train + validation, test)
