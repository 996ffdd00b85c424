"""The recipe that the options of `tlkit finetune` make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tlkit.data.images import LOADER_VERSION
from tlkit.data.seen_images import UNKNOWN_IMAGES
from tlkit.models.spec import BundleSpec
from tlkit.recipes import SECTIONS, BackboneSettings, DataSettings, HeadSettings, Recipe, TrainingSettings
from tlkit.runs.folder import EarlierRun
from tlkit.runs.recipe import describe_reach, make_finetune_recipe

FIRST = "A head is trained first, then the unfrozen layers with it: "


def make_recipe(stage: dict[str, Any], **backbone: str) -> Recipe:
    """Return what a stage's options make, with a tiny backbone."""
    sections: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    sections["backbone"] = {"name": "tiny", "weights": "bundled", **backbone}
    return make_finetune_recipe(stage=stage, sections=sections, start_from=None)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"unfreeze": "block4", "epochs": 3}, "--epochs applies to the unfreezing only."),
        ({"unfreeze": "block4", "epochs": 3, "lr": 0.1}, "--epochs, --lr apply to the unfreezing only."),
        ({"unfreeze": "block4", "policy": "strong"}, "--policy applies to the unfreezing only."),
        (
            {"unfreeze": "block4", "batch_size": 8, "views": 4, "policy": "strong"},
            "--batch-size applies to the unfreezing only; --views, --policy apply to both.",
        ),
        (
            {"unfreeze": "all", "epochs": 3, "views": 4, "policy": "strong"},
            "--views applies to the head only; --epochs applies to the unfreezing only; --policy applies to both.",
        ),
        (
            {"unfreeze": "all", "gradual": True, "epochs": 3, "views": 4},
            "--epochs applies to the unfreezing only; --views applies to both.",
        ),
    ],
)
def test_the_message_names_the_stages_that_an_option_applies_to(stage: dict[str, Any], message: str) -> None:
    recipe = make_recipe(stage)
    assert describe_reach(stage, recipe) == FIRST + message
    head, last = recipe.stages
    for name, value in stage.items():
        governs = message.partition(f"--{name.replace('_', '-')}")[2].partition(";")[0]
        if governs:
            assert (getattr(head, name) == value) == ("the unfreezing only" not in governs)
            assert (getattr(last, name) == value) == ("the head only" not in governs)


@pytest.mark.parametrize("stage", [{"epochs": 3}, {"unfreeze": "block4"}, {"unfreeze": "all", "gradual": True}])
def test_nothing_is_said_where_no_option_leaves_a_question(stage: dict[str, Any]) -> None:
    assert describe_reach(stage, make_recipe(stage)) == ""


def test_nothing_is_said_of_training_from_random_weights() -> None:
    stage = {"unfreeze": "all", "epochs": 3}
    assert describe_reach(stage, make_recipe(stage, weights="random")) == ""


def install_earlier(recipe: Recipe, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `folder` be the run of a recipe, with a linear head on the tiny backbone."""
    spec = BundleSpec("tiny", (64, 64), "squash", LOADER_VERSION, "avg", HeadSettings(kind="linear"), ("eel", "carp"))
    earlier = EarlierRun(folder, spec, UNKNOWN_IMAGES, recipe, "0" * 64)
    monkeypatch.setattr("tlkit.runs.recipe.read_earlier_run", lambda path: earlier)
    monkeypatch.setattr("tlkit.runs.recipe.find_bundle", lambda path: path)


@pytest.mark.parametrize(("unfreeze", "engine"), [("all", "auto"), ("block4", "keras"), ("none", "keras")])
def test_the_engine_of_an_earlier_run_but_not_its_devices_is_taken_over_where_it_has_something_to_run(
    unfreeze: str, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_earlier(Recipe(backbone=BackboneSettings(name="tiny", engine="keras", devices=8)), tmp_path, monkeypatch)
    sections: dict[str, dict[str, Any]] = {"data": {}, "backbone": {}, "head": {}, "training": {}}
    made = make_finetune_recipe(stage={"unfreeze": unfreeze}, sections=sections, start_from=tmp_path)
    assert (made.backbone.engine, made.backbone.devices) == (engine, 1)
    asked = {**sections, "backbone": {"engine": "openvino"}}
    made = make_finetune_recipe(stage={"unfreeze": unfreeze}, sections=asked, start_from=tmp_path)
    assert made.backbone.engine == "openvino"


def test_the_split_of_an_earlier_run_is_taken_over_and_its_sample_and_training_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = DataSettings(group_by="boat", sample=0.5)
    install_earlier(Recipe(data=data, training=TrainingSettings(seed=7, focal=2.0)), tmp_path, monkeypatch)
    sections: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    made = make_finetune_recipe(stage={}, sections=sections, start_from=tmp_path)
    assert (made.data.group_by, made.data.sample) == ("boat", DataSettings().sample)
    assert made.training == TrainingSettings(seed=7)
