"""`--devices` from the command line to the files: the processor, divided, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import draw_image_folder, make_once
from tlkit.recipes import read_recipe

RUN_COMMANDS = """
import json, sys
from tests.training.on_two_devices import divide_processor
from tlkit.cli.main import main
divide_processor()
for words in json.loads(sys.argv[1]):
    print("exit code", main(words), flush=True)
"""
KERAS = ("--engine", "keras")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_once(
        tmp_path_factory, "several-devices", lambda folder: (folder / "printed").write_text(run_commands(folder))
    )


@pytest.fixture(scope="module")
def printed(folder: Path) -> str:
    """What the commands print, one after the other."""
    return (folder / "printed").read_text()


def run_commands(folder: Path) -> str:
    photos, run = draw_image_folder(folder / "photos", {"red": 5, "striped": 5}), folder / "run"
    settings = (
        "--backbone",
        "tiny",
        "--image-size",
        "32",
        "--head",
        "linear",
        "--epochs",
        "2",
        "--precision",
        "float32",
    )
    commands: list[Sequence[object]] = [
        ("finetune", photos, *settings, *KERAS, "--devices", "2", "--out", run),
        ("predict", run, photos, *KERAS, "--batch-size", "2", "--devices", "2", "--out", folder / "two.csv"),
        ("predict", run, photos, *KERAS, "--batch-size", "2", "--out", folder / "one.csv"),
        ("evaluate", run, *KERAS, "--devices", "all", "--out", folder / "evaluation"),
        ("predict", run, photos, *KERAS, "--devices", "3", "--out", folder / "three.csv"),
        ("evaluate", run, *KERAS, "--devices", "3", "--out", folder / "third"),
        ("finetune", photos, *settings, *KERAS, "--devices", "3", "--out", folder / "other"),
    ]
    done = subprocess.run(
        [sys.executable, "-c", RUN_COMMANDS, json.dumps([list(map(str, words)) for words in commands])],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TLKIT_CACHE": str(folder / "cache")},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_training_and_features_name_their_devices_and_the_recipe_says_how_many(folder: Path, printed: str) -> None:
    assert [line for line in printed.splitlines() if "CPU:0 and CPU:1" in line][:2] == [
        "Each batch is divided among CPU:0 and CPU:1.",
        "Engine: keras in float32 on CPU:0 and CPU:1.",
    ]
    assert read_recipe(folder / "run" / "recipe.toml").backbone.devices == 2


def test_predictions_are_bitwise_those_of_one_device_in_the_same_order(folder: Path, printed: str) -> None:
    rows = (folder / "two.csv").read_bytes()
    assert rows == (folder / "one.csv").read_bytes()
    assert rows.count(b"\n") == 11


def test_an_evaluation_with_its_heat_maps_is_made_on_several_devices(folder: Path, printed: str) -> None:
    assert (folder / "evaluation" / "report.html").is_file()


def test_devices_that_are_not_there_are_refused_before_anything_is_written(folder: Path, printed: str) -> None:
    assert [int(part[0]) for part in printed.split("exit code ")[1:]] == [0, 0, 0, 0, 1, 1, 1]
    assert printed.count("Error: --devices 3: TensorFlow finds CPU:0 and CPU:1.\n  Expected: at most 2, or all\n") == 3
    assert not any((folder / name).exists() for name in ("three.csv", "third", "other"))
