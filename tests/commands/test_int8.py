from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import save_file

from tlkit.backbones.build import build_backbone
from tlkit.backbones.weights import read_arrays
from tlkit.cli.main import main
from tlkit.recipes import read_recipe

pytestmark = pytest.mark.usefixtures("openvino")


def test_a_head_learns_from_int8_and_the_saved_model_is_scored_in_float32(
    tmp_path: Path, make_image_folder: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    photos = make_image_folder(tmp_path / "photos", {"red": 12, "striped": 12})
    run = tmp_path / "run"
    command = ["finetune", str(photos), "--backbone", "tiny", "--image-size", "32", "--weights", "random"]
    status = main([*command, "--epochs", "2", "--head", "linear", "--precision", "int8", "--out", str(run)])
    captured = capsys.readouterr()
    assert status == 0, captured.err
    assert "Calibrated in int8 on " in captured.out
    assert "It learned from frozen layers in int8; the model and this score compute them in float32." in captured.out
    made_by = read_recipe(run / "recipe.toml").made_by
    assert made_by.read_engines() == {"top": ("openvino", "int8")}
    assert made_by.precision in ("float32", "bfloat16"), "that of the training steps"

    assert main(["predict", str(run), str(photos), "--json"]) == 0
    capsys.readouterr()
    assert main(["run", str(run / "recipe.toml"), str(photos), "--out", str(tmp_path / "again")]) == 0
    again = capsys.readouterr().out
    assert "Calibrated" not in again, "the recipe repeats with the trunk that is in the cache"


def test_a_plan_of_long_work_names_what_int8_saves_and_costs(
    tmp_path: Path,
    make_image_folder: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tlkit.probes.int8_cost.SECONDS_WORTH_CALIBRATING", 0.0)
    monkeypatch.setattr("tlkit.training.stage_costs.SECONDS_OF_A_TRIAL", 0.01)
    monkeypatch.setattr("tlkit.training.stage_costs.SECONDS_OF_STEPS", 0.01)
    photos = make_image_folder(tmp_path / "photos", {"red": 24, "striped": 24}, size=(16, 16))
    weights = tmp_path / "weights.safetensors"
    save_file(read_arrays(build_backbone("mnist_cnn", pooling="none", weights="random").model), weights)
    backbone = ["--backbone", "mnist_cnn", "--weights", str(weights), "--image-size", "16"]
    status = main(["plan", str(photos), *backbone, "--views", "8", "--json", "--out", str(tmp_path / "plan.png")])
    captured = capsys.readouterr()
    assert status == 0, captured.err
    int8 = json.loads(captured.out)["int8"]
    assert int8["boundary"] == "top"
    assert int8["seconds"] > 0
    assert int8["float_seconds"] > 0
    assert int8["verdict"]["similarity"] > 0.95
    assert "In int8 the features at top take " in captured.err
    assert "a linear head scores " in captured.err
    assert "--precision int8" not in json.loads(captured.out)["advice"]["command"], "a plan only names it"

    assert main(["precompute", str(photos), *backbone, "--precision", "int8"]) == 0
    assert "Calibrated" not in capsys.readouterr().out, "the plan's trunk is in the cache"


@pytest.mark.usefixtures("untraced")
def test_a_plan_of_short_work_does_not_calibrate(
    tmp_path: Path,
    make_image_folder: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tlkit.training.stage_costs.SECONDS_OF_A_TRIAL", 0.01)
    monkeypatch.setattr("tlkit.training.stage_costs.SECONDS_OF_STEPS", 0.01)
    photos = make_image_folder(tmp_path / "photos", {"red": 12, "striped": 12})
    backbone = ["--backbone", "tiny", "--image-size", "32"]
    assert main(["plan", str(photos), *backbone, "--json", "--out", str(tmp_path / "plan.png")]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["int8"] is None
    assert "int8" not in captured.err
