"""The recipes that come with tlkit can be run as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlkit.backbones.catalogue import find_backbone
from tlkit.recipes import check_recipe, read_recipe, resolve_recipe
from tlkit.workflows.stage_plan import plan_stages

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))


def test_there_are_recipes() -> None:
    assert {"quick", "six_steps", "small_data", "far_domain", "fisheries"} <= {path.stem for path in RECIPES}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_stage_of_a_recipe_has_a_boundary_of_its_backbone(path: Path) -> None:
    recipe = resolve_recipe(check_recipe(read_recipe(path), source=path.name))
    boundaries = find_backbone(recipe.backbone.name).boundaries
    plans = plan_stages(recipe, None)
    assert plans
    assert all(plan.boundary in boundaries for plan in plans)
