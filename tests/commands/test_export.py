"""`run_export`: a folder that works without tlkit, every file of which is proved, or none."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.exports.conftest import draw_images, make_classifier
from tlkit.backbones.engines.openvino_runtime import open_core
from tlkit.commands.export import ExportRequest, run_export
from tlkit.data.images import LOADER_VERSION
from tlkit.errors import NumericsError
from tlkit.exports import find_export
from tlkit.exports.base import FLOAT32
from tlkit.exports.folder import _PROGRAMS
from tlkit.metadata.encoding import CategoryColumn, MetadataEncoding, NumberColumn
from tlkit.models.spec import BundleSpec
from tlkit.recipes import HeadSettings
from tlkit.reports.console import Console

pytestmark = pytest.mark.usefixtures("openvino", "bundles_are_read_once")

QUIET = Console(verbosity=-1)
NAMES = ("keras-float32", "onnx-float16", "onnx-float32", "openvino-float16", "openvino-float32")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, make_bundle: Callable[..., Path]) -> Path:
    return make_bundle(tmp_path_factory.mktemp("model") / "bundle", ("red", "striped"), fit="crop", backbone="tiny")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, make_image_folder: Callable[..., Path]) -> Path:
    layout = {"red": 3, "striped": 3}
    return make_image_folder(tmp_path_factory.mktemp("photos"), layout, size=(140, 90), suffix=".jpg")


@pytest.fixture(scope="module")
def shipped(openvino: Any, bundle: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `run_export` returns, with an earlier export in its folder."""
    out = tmp_path_factory.mktemp("ship") / "ship"
    request = ExportRequest(bundle, ("keras", "onnx", "openvino"), ("float32", "float16"), out, photos)
    return run_export(request, console=QUIET)


def test_every_file_agrees_with_the_run(shipped: dict[str, Any], photos: Path) -> None:
    files = {file["name"]: file for file in shipped["files"]}

    assert {*files} == {*NAMES}
    assert all(file["agrees"] and file["same_answer"] == 1.0 for file in files.values())
    assert files["openvino-float32"]["largest_difference"] < 1e-4
    assert files["openvino-float32"]["map_difference"] < 1e-4
    assert files["onnx-float32"]["largest_difference"] < 1e-4
    assert files["openvino-float16"]["bytes"] < 0.6 * files["openvino-float32"]["bytes"]
    assert (shipped["measured_on"], shipped["images"]) == (str(photos), 6)
    assert shipped["bundle_score"]["value"] == files["openvino-float32"]["score"]["value"]


def test_the_folder_holds_the_models_their_programs_and_the_proof(shipped: dict[str, Any]) -> None:
    out = shipped["out"]

    assert {path.name for path in out.iterdir() if not path.name.startswith(".")} == {
        "README.md", "model.json", "proof.json", "readers", *NAMES,
    }  # fmt: skip
    proof = json.loads((out / "proof.json").read_text("utf-8"))
    assert {"keras", "onnx", "onnxruntime", "openvino"} <= {*proof["versions"]}
    assert [file["name"] for file in proof["files"]] == [file["name"] for file in shipped["files"]]
    document = json.loads((out / "model.json").read_text("utf-8"))
    assert [port["name"] for port in document["outputs"]] == ["probabilities", "map"]
    with zipfile.ZipFile(out / "keras-float32" / "model.keras") as archive:
        assert json.loads(archive.read("model.json")) == document


def test_the_program_in_the_readme_runs_without_tlkit(shipped: dict[str, Any], photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ship"
    shutil.copytree(shipped["out"], folder)
    shutil.copy(next((photos / "red").iterdir()), folder / "photo.jpg")
    text = (folder / "README.md").read_text("utf-8")
    program = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0].replace("keras", "openvino")

    command = [sys.executable, "-E", "-c", f"{program}\nassert 'tlkit' not in sys.modules"]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=True)

    assert re.match(r"\{'class': '(red|striped)', 'probability': 0\.\d+, 'probabilities': \[", done.stdout)
    assert "## Without these programs" in text
    assert len(program.strip().splitlines()) <= 10


def test_openvinos_graph_carries_model_json(openvino: Any, shipped: dict[str, Any]) -> None:
    model = open_core().read_model(shipped["out"] / "openvino-float32" / "model.xml")

    assert json.loads(model.get_rt_info(["tlkit", "model_json"]).value)["class_names"] == ["red", "striped"]
    assert {port.get_any_name(): str(port.get_partial_shape()) for port in model.inputs} == {"image": "[?,64,64,3]"}


def test_golden_samples_are_the_least_that_is_proved(bundle: Path, tmp_path: Path) -> None:
    found = run_export(ExportRequest(bundle, out=tmp_path / "ship"), console=QUIET)

    assert (found["measured_on"], found["images"]) == ("a golden sample of the bundle", 1)
    assert found["bundle_score"] is None


@pytest.mark.usefixtures("untraced")
def test_metadata_box_and_distance_are_proved_too(tmp_path: Path) -> None:
    from tlkit.models.saving import write_bundle

    columns = (NumberColumn("weight", 3.0, 2.0, -3.0, 3.0), CategoryColumn("boat", ("Anna", "Berta")))
    head = HeadSettings("dense", units=8)
    spec = BundleSpec(
        "mnist_cnn", (32, 32), "pad", LOADER_VERSION, "none", head, ("a", "b"), "multilabel", None, (0.5, 0.5),
        MetadataEncoding(columns), has_box=True,
    )  # fmt: skip
    classifier = make_classifier(spec)
    metadata = spec.metadata.encode([("12", "Anna"), ("", "Carla"), ("-1.5", "")])
    write_bundle(tmp_path / "bundle", classifier, classifier.spec, draw_images(3), metadata)

    [file] = run_export(ExportRequest(tmp_path / "bundle", out=tmp_path / "ship"), console=QUIET)["files"]

    assert file["agrees"]
    assert file["same_by_label"] == {"a": 1.0, "b": 1.0}
    assert max(file["box_difference"], file["distance_difference"]) < 1e-4
    assert file["smallest_iou"] > 0.999
    assert "The model also takes weight, boat" in (tmp_path / "ship" / "README.md").read_text("utf-8")


@pytest.fixture
def broken_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let exports ship a reader that gives BGR."""
    programs = tmp_path / "programs"
    shutil.copytree(_PROGRAMS, programs)
    reader = programs / "tlkit_reader.py"
    whole = "np.asarray(resize(rgb, width, height))"
    assert whole in reader.read_text("utf-8")
    reader.write_text(reader.read_text("utf-8").replace(whole, f"{whole}[..., ::-1]"), "utf-8")
    monkeypatch.setattr("tlkit.exports.folder._PROGRAMS", programs)


@pytest.mark.usefixtures("broken_programs")
def test_a_file_that_answers_otherwise_is_removed(bundle: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "ship"

    with pytest.raises(NumericsError) as caught:
        run_export(ExportRequest(bundle, out=out, data=photos), console=QUIET)

    assert re.fullmatch(
        r"openvino-float32: a probability differs by [\d.e-]+, more than 0.001.*\.\n"
        rf"  Expected: the answers of {re.escape(str(bundle))}; a file with others is removed\n"
        r"  Fix: leave it out, and please report this as a bug in tlkit\.",
        str(caught.value),
    )
    assert not any(path.name.startswith("openvino") for path in out.iterdir())
    assert not (out / "README.md").exists()
    assert [file["agrees"] for file in json.loads((out / "proof.json").read_text("utf-8"))["files"]] == [False]


def test_a_saved_model_has_named_inputs_and_outputs_and_its_weights_once(bundle: Path, tmp_path: Path) -> None:
    import numpy as np
    import tensorflow as tf

    from tlkit.exports.shipped import build_shipped_model
    from tlkit.models.saving import read_bundle

    classifier = read_bundle(bundle, loader_version=LOADER_VERSION)
    model = build_shipped_model(classifier)

    [path] = find_export("savedmodel").write(model, tmp_path, FLOAT32, None)

    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    answers = tf.saved_model.load(str(path)).signatures["serving_default"](image=tf.constant(images, tf.float32))
    assert {*answers} == {"probabilities", "map"}
    np.testing.assert_allclose(answers["probabilities"], classifier.predict(images), atol=1e-6)
    num_bytes = sum(file.stat().st_size for file in path.rglob("*"))
    assert num_bytes < 1.2 * 4 * sum(np.asarray(weight).size for weight in model.network.weights)
    assert (path / "assets.extra" / "model.json").is_file()
