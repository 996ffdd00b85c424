"""What a command checks and hands on before and between its stages."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.test_near_copies import draw_folder
from tlkit.backbones.build import Backbone
from tlkit.commands.finetune import run_finetune
from tlkit.recipes import BackboneSettings, Recipe, Stage
from tlkit.reports.console import Console

RunCli = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("bundles_are_read_once")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, make_image_folder: Callable[..., Path]) -> Path:
    return make_image_folder(tmp_path_factory.mktemp("data") / "photos", {"red": 10, "striped": 10})


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, make_bundle: Callable[..., Path]) -> Path:
    """A model with batch norm."""
    return make_bundle(tmp_path_factory.mktemp("model") / "bundle", ("red", "striped"), backbone="tiny")


@pytest.mark.parametrize("command", ["finetune", "lr-find"])
def test_small_batches_are_warned_of_and_a_wrong_cut_is_refused_before_a_feature_is_computed(
    command: str,
    photos: Path,
    bundle: Path,
    tmp_path: Path,
    cache_root: Path,
    run_cli: RunCli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = Backbone.trunk

    def cut_wrongly(self: Backbone, boundary: str) -> Any:
        trunk = original(self, boundary)
        assert trunk is not None
        return lambda pixels, training: 2 * trunk(pixels, training=training)

    monkeypatch.setattr(Backbone, "trunk", cut_wrongly)
    words = ("--start-from", bundle, "--unfreeze", "block4", "--bn", "train", "--batch-size", 8)
    result = run_cli(command, photos, *words, "--out", tmp_path / "out.png", "-q")
    assert result.exit_code == 1
    warnings, error = result.stderr.split("Error: ")
    assert warnings.splitlines()[-1] == (
        "Warning: bn = train with batches of 8: statistics of so few images are noisy and often undo what the backbone has "
        "learnt."
    )
    assert error.startswith("tiny cut at 'block3' gives other features than the whole network: relative difference ")
    assert not (cache_root / "features").exists()


def test_near_copies_on_both_sides_of_the_split_are_noted_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = draw_folder(tmp_path / "photos", split="train", copies_in="validation")
    monkeypatch.setattr("tlkit.commands.finetune._run", lambda run, *_: {"manifest": run.manifest})
    recipe = Recipe(backbone=BackboneSettings(name="mnist_cnn", weights="random", image_size=32), stages=(Stage(),))
    manifest = run_finetune(recipe, photos, tmp_path / "run", console=Console(verbosity=-1))["manifest"]
    copies = sum(path.suffix == ".jpg" for path in photos.rglob("*.*"))
    assert manifest.notices[-1].startswith(f"Of {copies} images compared, {copies} validation images have a near copy")
    assert (tmp_path / "run" / "findings.csv").read_text().count("near copy of a training image") == copies


@pytest.mark.usefixtures("untraced")
def test_a_stage_begins_with_what_the_stage_before_has_learnt_at_another_image_size(
    photos: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    """Without it the head, which begins with zeros, would say of both classes that they are as likely."""
    recipe = tmp_path / "recipe.toml"
    stages = "[[stage]]\nepochs = 4\nlr = 0.05\nbatch_size = 4\nresize_to = 16\n[[stage]]\nepochs = 1\n"
    recipe.write_text(
        '[backbone]\nname = "mnist_cnn"\nweights = "random"\nimage_size = 32\n[head]\nkind = "linear"\n' + stages
    )
    first, second = run_cli("run", recipe, photos, "--out", tmp_path / "run", "--json").json()["validation"]
    assert first["before"]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert second["before"]["loss"] == pytest.approx(first["after"]["loss"], abs=0.3)
    assert second["before"]["loss"] < 0.65
