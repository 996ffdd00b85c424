"""Weights that have to come over the network are fetched before images are read, and after the data set has been found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RunCli = Callable[..., Any]
NEED_WEIGHTS = pytest.mark.parametrize("command", ["precompute", "finetune", "lr-find", "plan", "leak", "compare"])


@pytest.fixture(autouse=True)
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither weights nor a network; runs and pictures go into a folder of the test."""

    def fail(*_: object, **__: object) -> None:
        raise Exception("URL fetch failure")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr("keras.utils.get_file", fail)
    monkeypatch.chdir(tmp_path)


@NEED_WEIGHTS
def test_weights_are_fetched_before_the_images_are_read(command: str, run_cli: RunCli, tmp_path: Path) -> None:
    (tmp_path / "photos" / "empty").mkdir(parents=True)  # an error in itself, once it is read
    result = run_cli(command, "photos", "--backbone" + "s" * (command == "compare"), "vgg16")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: The ImageNet weights of vgg16 are not on this machine")
    assert result.stderr.endswith("or choose --backbone tiny, whose weights ship with tlkit.\n")
    assert not list(tmp_path.glob("runs/*"))


@NEED_WEIGHTS
def test_no_weights_are_fetched_for_a_data_set_that_is_not_there(command: str, run_cli: RunCli) -> None:
    result = run_cli(command, "photos", "--backbone" + "s" * (command == "compare"), "vgg16")
    assert result.stderr == (
        "Error: photos: no such file or folder.\n"
        "  Expected: a folder of class folders, or a table (.csv, .tsv, .parquet)\n"
        "  Fix: check the path.\n"
    )
