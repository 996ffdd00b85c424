"""Weights are fetched before images are read; a backbone that was loaded before is built when something asks for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tlkit.commands.finetune import run_finetune
from tlkit.errors import CacheError
from tlkit.features import trunks
from tlkit.recipes import BackboneSettings, HeadSettings, Recipe, Stage
from tlkit.reports.console import Console
from tlkit.training.loop import fit_stage

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


def make_recipe(*unfrozen: str) -> Recipe:
    """Return a recipe of one epoch at each of these depths."""
    return Recipe(
        backbone=BackboneSettings(name="mnist_cnn", weights="random", image_size=32),
        head=HeadSettings(kind="linear"),
        stages=tuple(Stage(unfreeze=unfreeze, epochs=1, batch_size=12, views=1) for unfreeze in unfrozen),
    )


@pytest.fixture
def photos(tmp_path: Path, make_image_folder: Callable[..., Path]) -> Path:
    return make_image_folder(
        tmp_path / "photos", {"train/red": 9, "train/blue": 9, "validation/red": 4, "validation/blue": 4}
    )


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done from now on: a backbone built, a stage fitted."""
    done: list[str] = []
    build = trunks._build_backbone

    def note_and_build(request: Any) -> Any:
        done.append("built")
        return build(request)

    def note_and_fit(*arguments: Any, **settings: Any) -> Any:
        done.append("fitted")
        return fit_stage(*arguments, **settings)

    monkeypatch.setattr(trunks, "_build_backbone", note_and_build)
    monkeypatch.setattr("tlkit.training.stage.fit_stage", note_and_fit)
    return done


@pytest.mark.usefixtures("cache_root", "untraced")
@pytest.mark.parametrize(
    ("unfrozen", "second"),
    [
        (["none"], ["fitted", "built"]),
        (["none", "conv2"], ["built", "fitted", "fitted"]),  # its memory is planned before anything is trained
        (["conv2"], ["built", "fitted"]),
    ],
)
def test_a_backbone_that_was_loaded_before_is_built_once_and_where_it_is_needed(
    unfrozen: Sequence[str], second: list[str], photos: Path, tmp_path: Path, events: list[str]
) -> None:
    recipe, runs = make_recipe(*unfrozen), [tmp_path / name for name in ("first", "second")]
    for run in runs:
        events.append("run")
        run_finetune(recipe, photos, run, console=Console(verbosity=-1))
    assert events == ["run", "built", *["fitted"] * len(unfrozen), "run", *second]
    first, again = ((run / "bundle" / "weights.safetensors").read_bytes() for run in runs)
    assert first == again


@pytest.mark.usefixtures("untraced")
def test_other_weights_than_noted_are_refused_and_what_was_trained_is_kept(
    photos: Path, tmp_path: Path, cache_root: Path, events: list[str]
) -> None:
    recipe, run = make_recipe("none"), tmp_path / "run"
    run_finetune(recipe, photos, tmp_path / "first", console=Console(verbosity=-1))
    (note,) = (cache_root / "trunks").iterdir()
    whole = note.read_bytes()
    note.write_text(json.dumps({**json.loads(whole), "weights_sha256": "0" * 64}))
    with pytest.raises(CacheError) as caught:
        run_finetune(recipe, photos, run, console=Console(verbosity=-1))
    assert str(caught.value) == (
        f"{note}: this note on the weights of mnist_cnn is damaged.\n"
        "  Expected: the hash of the weights, as tlkit wrote it\n"
        "  Fix: remove it, and start again."
    )
