"""The recipe that the options of `tlkit finetune` make."""

from __future__ import annotations

from typing import Any

import pytest

from tlkit.recipes import SECTIONS, Recipe
from tlkit.runs.recipe import describe_reach, make_finetune_recipe

FIRST = "A head is trained first, then unfrozen layers with it: "


def make_recipe(stage: dict[str, Any], **backbone: str) -> Recipe:
    """Return what a stage's options make, with a tiny backbone."""
    sections: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    sections["backbone"] = {"name": "tiny", "weights": "bundled", **backbone}
    return make_finetune_recipe(stage=stage, sections=sections, start_from=None)


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        ({"unfreeze": "block4", "epochs": 3}, "--epochs governs the unfreezing only."),
        ({"unfreeze": "block4", "epochs": 3, "lr": 0.1}, "--epochs, --lr govern the unfreezing only."),
        ({"unfreeze": "block4", "policy": "strong"}, "--policy governs the unfreezing only."),
        (
            {"unfreeze": "block4", "batch_size": 8, "views": 4, "policy": "strong"},
            "--batch-size governs the unfreezing only; --views, --policy govern both.",
        ),
        (
            {"unfreeze": "all", "epochs": 3, "views": 4, "policy": "strong"},
            "--views governs the head only; --epochs governs the unfreezing only; --policy governs both.",
        ),
        (
            {"unfreeze": "all", "gradual": True, "epochs": 3, "views": 4},
            "--epochs governs the unfreezing only; --views governs both.",
        ),
    ],
)
def test_it_is_said_which_stages_an_option_governs(stage: dict[str, Any], told: str) -> None:
    recipe = make_recipe(stage)
    assert describe_reach(stage, recipe) == FIRST + told
    head, last = recipe.stages
    for name, value in stage.items():
        governs = told.partition(f"--{name.replace('_', '-')}")[2].partition(";")[0]
        if governs:
            assert (getattr(head, name) == value) == ("the unfreezing only" not in governs)
            assert (getattr(last, name) == value) == ("the head only" not in governs)


@pytest.mark.parametrize("stage", [{"epochs": 3}, {"unfreeze": "block4"}, {"unfreeze": "all", "gradual": True}])
def test_nothing_is_said_where_no_option_leaves_a_question(stage: dict[str, Any]) -> None:
    assert describe_reach(stage, make_recipe(stage)) == ""


def test_nothing_is_said_of_training_from_random_weights() -> None:
    stage = {"unfreeze": "all", "epochs": 3}
    assert describe_reach(stage, make_recipe(stage, weights="random")) == ""
