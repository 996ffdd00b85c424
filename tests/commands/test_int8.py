from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

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
