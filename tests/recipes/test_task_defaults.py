"""What settings are where nothing is said, by task."""

from __future__ import annotations

from pathlib import Path

from tlkit.outputs import DETECTION, SEGMENTATION, TASKS
from tlkit.recipes import Stage, build_recipe, make_sections, resolve_recipe
from tlkit.recipes.settings import SECTIONS
from tlkit.recipes.task_defaults import list_other_defaults
from tlkit.runs.recipe import make_finetune_recipe

OBJECTS = {"task": DETECTION, "boxes": "annotations"}


def give(**data: str) -> dict[str, dict[str, str]]:
    return {name: data if name == "data" else {} for name in SECTIONS}


def test_only_objects_have_defaults_of_their_own() -> None:
    for task in TASKS:
        sections = make_sections(task)
        differs = any(sections[name] != section() for name, section in SECTIONS.items())
        assert differs == (task in (DETECTION, SEGMENTATION))
    assert list_other_defaults("fit") == {DETECTION: "pad", SEGMENTATION: "pad"}
    assert list_other_defaults("seed") == {}


def test_what_is_given_replaces_the_default_of_the_task(tmp_path: Path) -> None:
    sections = give(**OBJECTS)
    sections["backbone"] = {"fit": "squash"}
    recipe = resolve_recipe(make_finetune_recipe(stage={"batch_size": 4}, sections=sections, start_from=None))
    assert (recipe.backbone.fit, recipe.backbone.image_size, recipe.head.kind) == ("squash", 320, "detector")
    (stage,) = recipe.stages
    assert (stage.batch_size, stage.views, stage.policy, stage.lr, stage.patience) == (4, 9, "scales", 2e-3, 0)


def test_a_recipe_file_has_the_same_defaults_as_the_options() -> None:
    built = build_recipe({"data": OBJECTS, "stage": [{"epochs": 3}]}, source="a.toml")
    made = make_finetune_recipe(stage={"epochs": 3}, sections=give(**OBJECTS), start_from=None)
    assert (built.head, built.stages) == (made.head, made.stages)
    assert (built.backbone.image_size, built.backbone.fit) == (made.backbone.image_size, made.backbone.fit)


def test_views_of_the_task_are_cached_where_there_is_a_cache() -> None:
    def stages(**given: object) -> list[tuple[str, int, str]]:
        made = make_finetune_recipe(stage=given, sections=give(**OBJECTS), start_from=None).stages
        return [(stage.unfreeze, stage.views, stage.policy) for stage in made]

    assert stages() == [("none", 9, "scales")]
    assert stages(policy="none") == [("none", 1, "none")]
    assert stages(views=1) == [("none", 1, Stage().policy)]
    assert stages(unfreeze="all") == [("none", 9, "scales"), ("all", 1, "scales")]
    assert stages(unfreeze="block_13", views=2) == [("none", 2, "scales"), ("block_13", 2, "scales")]
    content = {"data": OBJECTS, "stage": [{"unfreeze": "all"}, {"unfreeze": "all", "gradual": True}]}
    assert [stage.views for stage in build_recipe(content, source="a.toml").stages] == [1, 9]
