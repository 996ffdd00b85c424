"""tlkit from Python: the public names, what they cost to import, and that they give what the commands give."""

from __future__ import annotations

import ast
import csv
import doctest
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tlkit
from tlkit.errors import DataError, SettingError

pytestmark = pytest.mark.usefixtures("bundles_are_read_once", "untraced_module")

ROOT = Path(__file__).parent.parent
FAST: dict[str, Any] = {"backbone": "mnist_cnn", "head": "linear", "epochs": 1, "engine": "keras"}
WORDS = ["--backbone", "mnist_cnn", "--head", "linear", "--epochs", "1", "--engine", "keras"]


@pytest.fixture(scope="module")
def photos(make_image_folder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen images of two colours."""
    return make_image_folder(tmp_path_factory.mktemp("photos"), {"red": 8, "blue": 8})


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `finetune` returns."""
    return tlkit.finetune(photos, out=tmp_path_factory.mktemp("runs") / "run", **FAST)


def test_the_public_names_are_these() -> None:
    assert tlkit.__all__ == [
        "Console", "Manifest", "Model", "Prediction", "TlkitError", "__version__", "apply_moves", "audit_images",
        "card", "compare", "compute_features", "demo", "describe_backbone", "dream", "drift", "evaluate", "explain_images", "export", "export_container",
        "finetune", "leak", "list_backbones", "list_caches", "list_export_formats", "load", "lr_find", "merge_caches", "plan", "precompute", "predict", "prune_caches", "pull", "push", "read_data", "run", "serve", "suggest", "verify_caches",
    ]  # fmt: skip
    assert all(getattr(tlkit, name) for name in tlkit.__all__)
    assert set(tlkit.__all__) <= set(dir(tlkit))
    with pytest.raises(AttributeError, match="module 'tlkit' has no attribute 'train'"):
        _ = tlkit.train  # type: ignore[attr-defined]  # type checkers know it, too


def test_the_report_of_a_run_has_a_map_of_its_validation_images(run: dict[str, Any]) -> None:
    page = (Path(run["run"]) / "report.html").read_text("utf-8")
    found = re.search(r'<script type="application/json" id="map-data">(.*?)</script>', page)
    assert found
    drawn = json.loads(found[1])
    assert len(drawn["names"]) == len(drawn["pictured"]) == run["images"]
    assert [each["title"] for each in drawn["colorings"]] == ["class", "prediction", "answer"]


def test_importing_tlkit_loads_nothing_heavy() -> None:
    code = "import sys, tlkit; print(sorted({'numpy', 'keras', 'tensorflow', 'click', 'PIL'} & {*sys.modules}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
    code = "import sys; from tlkit import finetune; print(sorted({'numpy', 'keras', 'tensorflow'} & {*sys.modules}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_every_command_calls_its_function() -> None:
    called = {
        node.attr
        for path in (ROOT / "tlkit" / "cli").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "api"
    }
    others = {"Console", "Manifest", "Model", "Prediction", "TlkitError", "__version__"}
    assert called == {*tlkit.__all__} - others - {"load", "read_data", "compute_features"}


def test_a_run_from_python_is_the_run_of_the_command(
    photos: Path, run: dict[str, Any], tmp_path: Path, run_cli: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli("finetune", photos, *WORDS, "--out", tmp_path / "run").exit_code == 0
    weights = "bundle/weights.safetensors"
    assert (Path(run["run"]) / weights).read_bytes() == (tmp_path / "run" / weights).read_bytes()
    assert 'command = "tlkit finetune' in (tmp_path / "run" / "recipe.toml").read_text()
    assert "command" not in (Path(run["run"]) / "recipe.toml").read_text()
    capsys.readouterr()
    repeated = tlkit.run(Path(run["run"]) / "recipe.toml", out=tmp_path / "again")
    assert capsys.readouterr().out == ""
    assert (tmp_path / "again" / weights).read_bytes() == (tmp_path / "run" / weights).read_bytes()
    assert repeated["accuracy"] == run["accuracy"]


def test_functions_return_what_the_commands_print(
    photos: Path, run: dict[str, Any], run_cli: Callable[..., Any]
) -> None:
    calls: list[tuple[Callable[[], dict[str, Any]], list[object]]] = [
        (
            lambda: tlkit.evaluate(run["run"], photos, top_k=1),
            ["evaluate", run["run"], photos, "--top-k", "1"],
        ),
        (lambda: tlkit.predict(run["run"], photos, top_k=1), ["predict", run["run"], photos, "--top-k", "1"]),
        (lambda: tlkit.load(run["run"]).evaluate(photos, top_k=1), ["evaluate", run["run"], photos, "--top-k", "1"]),
        (
            lambda: tlkit.precompute(photos, backbone="mnist_cnn", head="linear"),
            ["precompute", photos, "--backbone", "mnist_cnn", "--head", "linear"],
        ),
        (tlkit.list_caches, ["cache", "list"]),
        (tlkit.verify_caches, ["cache", "verify"]),
        (lambda: tlkit.merge_caches(dry_run=True), ["cache", "merge", "--dry-run"]),
        (lambda: tlkit.prune_caches(everything=True, dry_run=True), ["cache", "prune", "--all", "--dry-run"]),
        (tlkit.list_backbones, ["backbones"]),
        (lambda: tlkit.describe_backbone("mnist_cnn"), ["backbones", "mnist_cnn"]),
    ]
    for function, words in calls:
        expected = json.loads(run_cli(*words, "--json").stdout)
        found = json.loads(json.dumps(function(), default=str))
        for payload in (expected, found):
            for name in ("seconds", "images_per_second", "hits", "misses"):
                payload.pop(name, None)
        assert found == expected


def test_a_model_predicts_files_arrays_and_pillows_images_alike(
    photos: Path, run: dict[str, Any], tmp_path: Path, run_cli: Callable[..., Any]
) -> None:
    model = tlkit.load(run["run"])
    assert model.class_names == ("blue", "red")
    assert repr(model) == "<tlkit.Model: mnist_cnn, classification, 2 classes>"
    path = min((photos / "red").iterdir())
    picture = Image.open(path)
    from_file, from_pillow, from_array = model.predict([path, picture, np.asarray(picture.convert("RGB"))])
    assert from_file.ranked == from_pillow.ranked == from_array.ranked
    assert from_file.path == from_pillow.path == str(path)
    assert from_array.path == ""
    assert model.predict(str(path))[0] == from_file
    assert model.predict(path, views=3)[0].ranked != from_file.ranked
    out = tmp_path / "rows.csv"
    assert run_cli("predict", run["run"], path, "--out", out).exit_code == 0
    with out.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["class_name"], float(row["probability"])) == from_file.ranked[0]


def test_the_examples_in_docstrings_run(
    photos: Path, run: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "first").symlink_to(run["run"])
    (tmp_path / "photos").symlink_to(photos)
    monkeypatch.chdir(tmp_path)
    for name in ("features", "model", "models", "training", "upkeep"):
        module = importlib.import_module(f"tlkit.api.{name}")
        result = doctest.testmod(module, extraglobs={"tlkit": tlkit}, optionflags=doctest.ELLIPSIS)
        assert (result.failed, result.attempted > 0) == (0, True)


def test_an_image_that_lies_on_its_side_is_turned_in_memory_too(run: dict[str, Any], tmp_path: Path) -> None:
    pixels = np.zeros((40, 64, 3), np.uint8)
    pixels[:, :32] = (200, 40, 40)
    exif = Image.Exif()
    exif[274] = 6
    path = tmp_path / "turned.png"
    Image.fromarray(pixels).save(path, exif=exif)
    from_file, from_pillow = tlkit.load(run["run"]).predict([path, Image.open(path)])
    assert from_file.ranked == from_pillow.ranked


def test_a_file_that_is_no_picture_has_an_error_and_an_array_that_is_none_is_refused(
    run: dict[str, Any], tmp_path: Path
) -> None:
    model = tlkit.load(run["run"])
    assert model.predict(tmp_path / "missing.png")[0].error == "no such file"
    assert model.predict([]) == []
    with pytest.raises(DataError) as problem:
        model.predict(np.zeros((8, 8, 3)))
    assert str(problem.value) == (
        "an array of float64, shape (8, 8, 3), is not a picture.\n"
        "  Expected: uint8, 0..255, of shape (height, width, 3), RGB, or (height, width), grey\n"
        "  Fix: scale the values to 0..255, convert them with .astype('uint8'), and put the channels last."
    )
    with pytest.raises(SettingError, match="the model takes none"):
        model.predict(np.zeros((8, 8), np.uint8), metadata=[{"size": 3}])
    with pytest.raises(DataError, match=r"missing\.png: no such file\."):
        model.features(tmp_path / "missing.png")


def test_features_of_a_model_are_those_of_the_cache(photos: Path, run: dict[str, Any]) -> None:
    rows, paths = tlkit.compute_features(photos, backbone="mnist_cnn", engine="keras", feature_dtype="float32")
    assert rows.shape == (16, 64)
    assert {path.parent.name for path in paths} == {"red", "blue"}
    found = tlkit.load(run["run"]).features(paths[:3])
    np.testing.assert_allclose(found, rows[:3], rtol=1e-4, atol=1e-5)
    assert tlkit.load(run["run"]).features([]).shape == (0, 64)
    maps, _ = tlkit.compute_features(photos, backbone="mnist_cnn", engine="keras", boundary="conv1")
    assert maps.ndim == 4


def test_a_manifest_becomes_a_table(photos: Path) -> None:
    manifest = tlkit.read_data(photos)
    table = manifest.to_arrow()
    assert table.num_rows == 16
    assert table.column_names == [
        "split", "answer", "path", "sha256", "width", "height", "left", "top", "right", "bottom",
    ]  # fmt: skip
    assert table["answer"].to_pylist() == [record.answer for record in manifest.records]
    with pytest.raises(SettingError, match="pandas is not installed"):
        manifest.to_pandas()


def test_a_setting_that_is_none_is_refused_with_the_nearest(photos: Path) -> None:
    with pytest.raises(SettingError) as problem:
        tlkit.finetune(photos, epoch=3)
    assert problem.value.found == "finetune takes no epoch."
    assert problem.value.fix == "did you mean 'epochs'?"
    with pytest.raises(SettingError, match="epochs"):
        tlkit.finetune(photos, epochs=-1)
