from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tlkit.backbones.catalogue import BACKBONES
from tlkit.backbones.imagenet_files import IMAGENET_FILES
from tlkit.commands.backbones import describe_backbone, list_backbones
from tlkit.reports.console import Console


def test_the_list_tells_whose_weights_are_on_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / IMAGENET_FILES["resnet50"].name).write_bytes(b"")
    payload = list_backbones(Console(verbosity=-1))
    weights = {entry["name"]: entry["weights"] for entry in payload["backbones"]}
    assert list(weights) == list(BACKBONES)
    assert weights["resnet50"] == "on this machine"
    assert weights["vgg16"] == "downloaded when used"
    assert (weights["tiny"], weights["mnist_cnn"]) == ("bundled", "random")
    assert capsys.readouterr().out == ""


def test_the_list_needs_no_tensorflow() -> None:
    script = (
        "import sys\n"
        "from tlkit.reports.console import Console\n"
        "from tlkit.commands.backbones import list_backbones\n"
        "list_backbones(Console(verbosity=-1))\n"
        "print(sorted({'tensorflow', 'keras', 'numpy', 'h5py'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"


def test_the_description_adds_up(capsys: pytest.CaptureFixture[str]) -> None:
    payload = describe_backbone("tiny", Console(verbosity=-1), edge_px=64)
    assert payload["image_size"] == 96
    assert payload["input_size"] == 64
    assert payload["total_parameters"] == sum(layer["parameters"] for layer in payload["layers"]) == 2_324_832
    assert payload["total_activations"] == sum(layer["activations"] for layer in payload["layers"])
    assert payload["activation_bytes"] == 4 * payload["total_activations"]
    assert payload["layer_groups"][-1] == {
        "group": "block4",
        "boundary": "top",
        "feature_shape": [4, 4, 224],
        "float16_bytes": 2 * 4 * 4 * 224,
        "parameters": 1_645_952,
    }
    assert capsys.readouterr().out == ""
