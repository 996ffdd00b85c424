"""A gradual stage becomes one stage for each layer group, from the top down."""

from __future__ import annotations

import pytest

from tlkit.errors import SettingError
from tlkit.recipes import (
    BackboneSettings,
    Recipe,
    Stage,
    TrainingSettings,
    build_recipe,
    check_recipe,
    expand_gradual,
    find_usual_rate,
    resolve_recipe,
    resolve_stages,
)
from tlkit.recipes.fields import ALL_IMAGES
from tlkit.recipes.optimizers import OPTIMIZERS, RATE_FACTORS

GROUPS = ("stem", "block1", "block2", "block3")


def expand(stage: Stage) -> tuple[Stage, ...]:
    recipe = Recipe(stages=(Stage(), stage))
    head, *steps = expand_gradual(check_recipe(recipe, source="a.toml"), GROUPS).stages
    assert head == Stage()
    return tuple(steps)


@pytest.mark.parametrize(
    ("unfreeze", "expected"),
    [
        ("block3", ["block3"]),
        ("block1", ["block3", "block2", "block1"]),
        ("all", ["block3", "block2", "block1", "all"]),
        ("stem", ["block3", "block2", "block1", "stem"]),
    ],
)
def test_groups_are_unfrozen_from_the_top_down_to_the_one_named(unfreeze: str, expected: list[str]) -> None:
    steps = expand(Stage(unfreeze=unfreeze, gradual=True, epochs=3, lr=0.5))
    assert [step.unfreeze for step in steps] == expected
    assert {(step.gradual, step.epochs, step.lr) for step in steps} == {(False, 3, 0.5)}


def test_each_step_has_a_name_of_its_own() -> None:
    named = expand(Stage(name="deeper", unfreeze="block2", gradual=True))
    assert [step.name for step in named] == ["deeper-block3", "deeper-block2"]
    recipe = expand_gradual(Recipe(stages=(Stage(), Stage(unfreeze="block2", gradual=True))), GROUPS)
    assert [stage.name for stage in resolve_recipe(recipe).stages] == [
        "1-head",
        "2-unfreeze-block3",
        "3-unfreeze-block2",
    ]


def test_views_are_cached_as_long_as_something_is_frozen() -> None:
    steps = expand(Stage(unfreeze="all", gradual=True, views=4))
    assert [step.views for step in steps] == [4, 4, 4, 1]
    check_recipe(Recipe(stages=steps), source="a.toml")


def test_a_group_s_own_rate_waits_until_the_group_is_trained() -> None:
    steps = expand(
        Stage(unfreeze="all", gradual=True, group_lr={"stem": 1e-6, "block2": 1e-5, "head": 1e-3, "typo": 1.0})
    )
    assert [sorted(step.group_lr) for step in steps] == [
        ["head", "typo"],
        ["block2", "head", "typo"],
        ["block2", "head", "typo"],
        ["block2", "head", "stem", "typo"],
    ]


def test_an_unknown_group_is_left_for_the_check_of_names() -> None:
    assert [step.unfreeze for step in expand(Stage(unfreeze="blok1", gradual=True))] == ["blok1"]


def test_a_head_is_not_unfrozen_gradually() -> None:
    with pytest.raises(SettingError) as problem:
        check_recipe(Recipe(stages=(Stage(gradual=True),)), source="a.toml")
    assert str(problem.value) == (
        "a.toml: stage 1: gradual has no effect: only the head is trained.\n"
        "  Expected: only settings that this run uses\n"
        "  Fix: remove it, or set unfreeze."
    )


def test_random_weights_are_not_unfrozen_gradually() -> None:
    recipe = Recipe(backbone=BackboneSettings(weights="random"), stages=(Stage(unfreeze="all", gradual=True),))
    with pytest.raises(SettingError) as problem:
        check_recipe(recipe, source="a.toml")
    assert str(problem.value) == (
        "a.toml: stage 1: gradual, but the backbone's weights are random: frozen groups would stay untrained.\n"
        "  Expected: gradual only with pretrained weights\n"
        "  Fix: remove gradual, or set weights."
    )


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_has_a_usual_rate_of_its_own(optimizer: str) -> None:
    recipe = Recipe(
        training=TrainingSettings(optimizer=optimizer), stages=(Stage(), Stage(unfreeze="block3"), Stage(lr=0.5))
    )
    head, unfrozen, given = resolve_recipe(recipe).stages
    assert head.lr == pytest.approx(1e-3 * RATE_FACTORS[optimizer])
    assert unfrozen.lr == pytest.approx(1e-4 * RATE_FACTORS[optimizer])
    assert given.lr == 0.5
    assert find_usual_rate(Stage(), recipe) == head.lr


def test_a_full_batch_holds_as_many_images_as_there_are() -> None:
    (stage,) = resolve_stages(build_recipe({"stage": [{"batch_size": "all"}]}, source="a.toml"))
    assert stage.batch_size is ALL_IMAGES
    assert stage.images_per_step == 1_000_000
