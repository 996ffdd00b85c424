"""Predicting by a bundle that carries its model for OpenVINO: nothing slow is imported, and all numbers are the same."""

from __future__ import annotations

import csv
import dataclasses
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tlkit.backbones.engines import openvino_runtime
from tlkit.data.dataset import read_dataset
from tlkit.data.file_index import FileIndex
from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import Manifest
from tlkit.data.metadata_source import MetadataSource
from tlkit.errors import NumericsError
from tlkit.inference.files import predict_files
from tlkit.inference.scoring import Scores, load_record, score_records
from tlkit.metadata.encoding import NO_METADATA
from tlkit.models.classifier import assemble_classifier
from tlkit.models.networks.classifier import NetworkClassifier
from tlkit.models.opening import open_classifier
from tlkit.models.saving import write_bundle
from tlkit.models.spec import BundleSpec
from tlkit.recipes import BackboneSettings, DataSettings, HeadSettings, Recipe, resolve_backbone
from tlkit.reports.console import Console
from tlkit.reports.optional_steps import OptionalSteps
from tlkit.runs.finalize import finish_model
from tlkit.serving.model import ServedModel
from tlkit.serving.uploads import Upload
from tlkit.training.run import Run

pytestmark = pytest.mark.usefixtures("openvino")

QUIET = Console(verbosity=-1)
RECIPE = Recipe(backbone=BackboneSettings(name="mnist_cnn", weights="random", image_size=32))
SLOW = ("tensorflow", "keras", "h5py", "pyarrow", "matplotlib", "rich", "safetensors", "openvino.tools.ovc")
PREDICT = f"""
import sys
from tlkit.cli.main import main
assert main(sys.argv[1:]) == 0
print("IMPORTED", *(name for name in {SLOW!r} if name in sys.modules), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory, make_image_folder: Callable[..., Path]) -> Manifest:
    folder = tmp_path_factory.mktemp("data")
    photos = make_image_folder(folder / "photos", {"green": 30, "red": 30})
    return read_dataset(photos, DataSettings(validation_fraction=0.4), seed=0, index=FileIndex(folder / "cache"))


def make_run(recipe: Recipe, manifest: Manifest, cache_root: Path) -> Run:
    return Run(recipe, resolve_backbone(recipe.backbone), manifest, cache_root, QUIET)


@pytest.fixture(scope="module")
def finished(openvino: Any, manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Scores]:
    """A bundle as training leaves it, and the scores that training reports."""
    spec = BundleSpec(
        "mnist_cnn", (32, 32), "squash", LOADER_VERSION, "avg", HeadSettings(kind="linear"), ("green", "red")
    )
    classifier = assemble_classifier(spec, weights="random", seed=0)
    kernel = classifier.head.trainable_weights[-2]
    kernel.assign(np.random.default_rng(0).normal(size=kernel.shape, scale=0.1))
    root = tmp_path_factory.mktemp("finished")
    scores, converted = finish_model(classifier, make_run(RECIPE, manifest, root / "cache"), OptionalSteps(QUIET))
    assert scores is not None
    golden = np.stack([load_record(record, spec) for record in manifest.in_split("validation")[:2]])
    write_bundle(
        root / "bundle",
        classifier,
        classifier.spec,
        golden,
        None,
        {each.format.name: each.network for each in converted},
    )
    return root / "bundle", scores


@pytest.mark.parametrize("options", [(), ("--views", "3")])
def test_one_picture_is_predicted_without_tensorflow_or_anything_else_that_is_slow(
    options: tuple[str, ...], finished: tuple[Path, Scores], manifest: Manifest
) -> None:
    (record, *_) = manifest.in_split("validation")
    words = [sys.executable, "-c", PREDICT, "predict", str(finished[0]), str(record.path), *options]
    result = subprocess.run(words, capture_output=True, text=True, check=True)
    assert result.stderr.splitlines()[-1] == "IMPORTED"
    (row,) = csv.DictReader(io.StringIO(result.stdout))
    assert {row["class_name"], row["class_name_2"]} == {"green", "red"}


def test_training_evaluation_and_prediction_report_the_very_same_numbers(
    finished: tuple[Path, Scores], manifest: Manifest, run_cli: Callable[..., Any], tmp_path: Path
) -> None:
    bundle, reported = finished
    model = open_classifier(bundle, loader_version=LOADER_VERSION)
    assert isinstance(model, NetworkClassifier)
    records = manifest.in_split("validation")
    evaluated = score_records(model, records)
    assert evaluated.records == reported.records
    assert evaluated.distances is not None
    assert reported.distances is not None
    np.testing.assert_array_equal(evaluated.distances, reported.distances)
    # The reported probabilities have been cooled down after the fact, which rounds another time.
    np.testing.assert_allclose(evaluated.answers, reported.answers, atol=1e-6)
    metadata = MetadataSource(NO_METADATA, None)
    for file, record, row in zip(
        predict_files(model, [record.path for record in records], metadata, top_k=2),
        records,
        evaluated.answers,
        strict=True,
    ):
        assert file.path == record.path
        ranked = {name: np.float32(probability) for name, probability in file.prediction.ranked}
        assert [ranked[name] for name in ("green", "red")] == row.tolist()
    payload = run_cli("predict", bundle, records[3].path, "--json").json()
    (alone,) = payload["predictions"][0]["classes"][:1]
    assert np.float32(alone["probability"]) == evaluated.answers[3].max()


def test_the_engine_is_chosen_on_the_command_line(
    finished: tuple[Path, Scores], manifest: Manifest, run_cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, _ = finished
    path = manifest.in_split("validation")[0].path
    by_keras = run_cli("predict", bundle, path, "--engine", "keras", "--json").json()["predictions"][0]
    monkeypatch.setattr("tlkit.models.opening.start_keras", lambda: pytest.fail("TensorFlow was started"))
    by_openvino = run_cli("predict", bundle, path, "--engine", "openvino", "--json").json()["predictions"][0]
    assert by_openvino["classes"][0]["class_name"] == by_keras["classes"][0]["class_name"]
    probabilities = [answer["classes"][0]["probability"] for answer in (by_openvino, by_keras)]
    assert probabilities[0] == pytest.approx(probabilities[1], abs=1e-4)
    assert run_cli("evaluate", bundle, path.parent.parent, "--engine", "openvino", "-q").exit_code == 0
    refused = run_cli("predict", bundle, path, "--batch-size", 2)
    assert refused.exit_code == 1
    assert refused.stderr.startswith("Error: --batch-size 2 has no effect: OpenVINO computes one image at a time.")


def test_a_run_by_keras_alone_carries_no_network_networks(
    finished: tuple[Path, Scores], manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = assemble_classifier(
        BundleSpec(
            "mnist_cnn", (32, 32), "squash", LOADER_VERSION, "avg", HeadSettings(kind="linear"), ("green", "red")
        ),
        weights="random",
        seed=0,
    )
    monkeypatch.setattr(openvino_runtime, "import_converter", lambda: pytest.fail("a network was converted"))
    settings = dataclasses.replace(RECIPE.backbone, engine="keras")
    recipe = dataclasses.replace(RECIPE, backbone=settings)
    steps = OptionalSteps(QUIET)
    assert finish_model(classifier, make_run(recipe, manifest, tmp_path), steps)[1] == []
    assert steps.not_made == []


def test_a_network_that_answers_otherwise_is_left_out_with_a_warning(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise NumericsError("OpenVINO gives other answers.", expected="the same", fix="none.")

    monkeypatch.setattr("tlkit.models.networks.classifier.convert_classifier", refuse)
    classifier = assemble_classifier(
        BundleSpec(
            "mnist_cnn", (32, 32), "squash", LOADER_VERSION, "avg", HeadSettings(kind="linear"), ("green", "red")
        ),
        weights="random",
        seed=0,
    )
    steps = OptionalSteps(QUIET)
    scores, converted = finish_model(classifier, make_run(RECIPE, manifest, tmp_path), steps)
    assert converted == []
    assert scores is not None
    assert len(scores.records) == len(manifest.in_split("validation"))
    warnings = capsys.readouterr().err
    assert warnings == "Warning: The network for OpenVINO could not be made: OpenVINO gives other answers.\n"
    assert steps.not_made == [{"what": "The network for OpenVINO", "reason": "OpenVINO gives other answers"}]


def test_a_server_answers_with_the_predictions_of_predict_to_the_bit(
    finished: tuple[Path, Scores], manifest: Manifest
) -> None:
    paths = [record.path for record in manifest.in_split("validation")[:4]]
    model = open_classifier(finished[0], loader_version=LOADER_VERSION)
    files = predict_files(model, paths, MetadataSource(NO_METADATA, None), top_k=2)
    served = ServedModel(open_classifier(finished[0], loader_version=LOADER_VERSION))
    answers = [served.predict(Upload(str(path), path.read_bytes(), {}), top_k=2).prediction for path in paths]
    assert answers == [file.prediction for file in files]
