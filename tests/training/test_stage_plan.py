"""What the stages of a run are refused before anything heavy is loaded."""

from __future__ import annotations

import pytest

from tlkit.errors import SettingError
from tlkit.recipes import FIND, BackboneSettings, Recipe, Stage, resolve_backbone, resolve_recipe
from tlkit.training.stage_plan import StagePlan, plan_stages


def plan(*stages: Stage) -> list[StagePlan]:
    """Plan stages of a small backbone."""
    recipe = Recipe(backbone=BackboneSettings(name="tiny", weights="random", image_size=32), stages=stages)
    return plan_stages(resolve_recipe(recipe), resolve_backbone(recipe.backbone), None)


@pytest.mark.parametrize("unfreeze", ["none", "block4"])
def test_cached_features_are_not_cut(unfreeze: str) -> None:
    with pytest.raises(SettingError) as problem:
        plan(Stage(), Stage(unfreeze=unfreeze, cutmix=1.0))
    name = "2-head" if unfreeze == "none" else "2-unfreeze-block4"
    assert str(problem.value) == (
        f"Stage {name}: cutmix = 1 with unfreeze = {unfreeze!r}: this stage trains on cached features, not on pictures.\n"
        "  Expected: cutmix only where everything is unfrozen\n"
        "  Fix: set unfreeze to all, or use mixup, which mixes features as well."
    )


@pytest.mark.parametrize("unfreeze", ["all", "stem"])
def test_pictures_are_cut_where_everything_is_unfrozen(unfreeze: str) -> None:
    assert plan(Stage(), Stage(unfreeze=unfreeze, cutmix=1.0))[-1].boundary == "pixels"


def test_a_rate_for_a_frozen_group_is_refused() -> None:
    stage = Stage(unfreeze="block4", lr=FIND, group_lr={"block3": 0.5, "head": 1.0})
    with pytest.raises(SettingError) as problem:
        plan(stage)
    assert str(problem.value) == (
        "Stage 1-unfreeze-block4: group_lr names 'block3', which is not trained in this stage.\n"
        "  Expected: one of the trained groups: block4, head\n"
        "  Fix: did you mean 'block4'?"
    )
