"""Recipes in and out of files, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tlkit.devices import ALL
from tlkit.errors import SettingError
from tlkit.recipes import (
    FIND,
    BackboneSettings,
    DataSettings,
    HeadSettings,
    Recipe,
    Stage,
    TrainingSettings,
    build_recipe,
    list_differences,
    read_recipe,
    resolve_recipe,
    resolve_stages,
    write_recipe,
)


def refused(content: dict[str, Any]) -> str:
    """Return the message with which a recipe is refused."""
    with pytest.raises(SettingError) as problem:
        build_recipe(content, source="a.toml")
    return str(problem.value)


def test_a_written_recipe_reads_back_equal(tmp_path: Path) -> None:
    recipe = Recipe(
        backbone=BackboneSettings(name="vgg16", fit="pad"),
        head=HeadSettings(kind="dense", dropout=0.6),
        training=TrainingSettings(seed=3, label_smoothing=0.1),
        stages=(Stage(views=4), Stage(unfreeze="all", group_lr={"block1": 1e-6}, lr=1e-3)),
    )
    write_recipe(recipe, tmp_path / "recipe.toml")
    assert read_recipe(tmp_path / "recipe.toml") == recipe


def test_whole_numbers_stand_for_fractions() -> None:
    recipe = build_recipe({"stage": [{"lr": 1, "unfreeze": "all", "group_lr": {"head": 2}}]}, source="a.toml")
    assert recipe.stages[0].lr == 1.0
    assert recipe.stages[0].group_lr == {"head": 2.0}


def test_resolving_fills_in_names_epochs_and_rates() -> None:
    recipe = resolve_recipe(Recipe(stages=(Stage(), Stage(unfreeze="conv5", epochs=3), Stage(name="mine", lr=0.5))))
    assert [(stage.name, stage.epochs, stage.batch_size, stage.lr) for stage in recipe.stages] == [
        ("1-head", 30, 64, 1e-3),
        ("2-unfreeze-conv5", 3, 32, 1e-4),
        ("mine", 30, 64, 0.5),
    ]


def test_what_is_trained_from_random_weights_has_defaults_of_its_own() -> None:
    scratch = Recipe(backbone=BackboneSettings(weights="random"), stages=(Stage(unfreeze="all"),))
    resolved = resolve_recipe(scratch)
    (stage,) = resolved.stages
    assert (resolved.training.bn, stage.lr, stage.lr_ratio, stage.patience) == ("train", 2e-3, 1.0, 0)
    assert (stage.name, stage.schedule) == ("1-from-scratch", "cosine")
    for pretrained in (
        dataclasses.replace(scratch, backbone=BackboneSettings(weights="imagenet")),
        dataclasses.replace(scratch, stages=(Stage(unfreeze="block4"),)),
    ):
        resolved = resolve_recipe(pretrained)
        (stage,) = resolved.stages
        assert (resolved.training.bn, stage.lr, stage.lr_ratio, stage.patience) == ("frozen", 1e-4, 10.0, 8)
    assert resolve_recipe(dataclasses.replace(scratch, training=TrainingSettings(bn="affine"))).training.bn == "affine"


def test_an_unknown_key_is_refused_with_the_nearest_valid_name() -> None:
    assert refused({"stage": [{"unfreze": "all"}]}) == (
        "a.toml: [[stage]] 1: unknown key 'unfreze'.\n"
        "  Expected: one of name, unfreeze, gradual, epochs, batch_size, lr, lr_ratio, group_lr, views, policy, mixup, cutmix, resize_to, schedule, warmup, cycle_len, cycle_mult, average, patience\n"
        "  Fix: did you mean 'unfreeze'?"
    )
    assert refused({"traning": {}, "stage": [{}]}) == (
        "a.toml: unknown key 'traning'.\n"
        "  Expected: one of data, backbone, head, training, stage, inputs, made_by\n"
        "  Fix: did you mean 'training'?"
    )


def test_a_value_outside_its_rule_is_refused() -> None:
    assert refused({"head": {"dropout": 1.5}, "stage": [{}]}) == (
        "a.toml: [head] dropout is 1.5.\n"
        "  Expected: a fraction, 0 <= x < 1\n"
        "  Fix: correct dropout, or leave it out for the default."
    )
    assert refused({"backbone": {"fit": "sqash"}, "stage": [{}]}) == (
        "a.toml: [backbone] fit is 'sqash'.\n  Expected: one of squash, crop, pad\n  Fix: did you mean 'squash'?"
    )


@pytest.mark.parametrize(
    ("section", "values", "expected"),
    [
        ("training", {"seed": 1.5}, "a whole number, 0 <= x < 2**32"),
        ("training", {"seed": True}, "a whole number, 0 <= x < 2**32"),
        ("training", {"weight_decay": float("nan")}, "a number, 0 or more"),
        ("backbone", {"name": 3}, "text in quotes"),
        ("data", {"strict": "yes"}, "true or false"),
    ],
)
def test_a_value_of_another_type_is_refused(section: str, values: dict[str, Any], expected: str) -> None:
    assert f"\n  Expected: {expected}\n" in refused({section: values, "stage": [{}]})


def test_a_rate_by_group_must_be_a_number() -> None:
    assert refused({"stage": [{"unfreeze": "all", "group_lr": {"conv1": "fast"}}]}) == (
        "a.toml: [[stage]] 1 group_lr conv1 is 'fast'.\n"
        "  Expected: a learning rate for each layer group, a number, 0 or more\n"
        "  Fix: correct the rate of conv1."
    )


def test_a_rate_is_a_number_or_is_found() -> None:
    stages = resolve_stages(build_recipe({"stage": [{"lr": "find"}, {"lr": 1}]}, source="a.toml"))
    assert [stage.lr for stage in stages] == [FIND, 1.0]
    assert stages[1].head_rate == 1.0
    with pytest.raises(ValueError, match=r"^the learning rate of stage 1-head has yet to be found$"):
        assert stages[0].head_rate
    assert refused({"stage": [{"lr": "fnd"}]}) == (
        "a.toml: [[stage]] 1 lr is 'fnd'.\n  Expected: a number above 0, or find\n  Fix: did you mean 'find'?"
    )


def test_a_recipe_without_stages_is_refused() -> None:
    assert refused({}) == (
        "a.toml has no [[stage]].\n"
        "  Expected: one or more [[stage]] tables, in training order\n"
        "  Fix: add [[stage]] with unfreeze, epochs and lr."
    )


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (
            {"stage": [{"lr_ratio": 5}]},
            "a.toml: stage 1: lr_ratio = 5 has no effect: only the head is trained.",
        ),
        (
            {"stage": [{"group_lr": {"head": 1}}]},
            "a.toml: stage 1: group_lr has no effect: only the head is trained.",
        ),
        (
            {"stage": [{"unfreeze": "all", "views": 3}]},
            "a.toml: stage 1: views = 3 has no effect: with everything unfrozen, each epoch draws fresh views.",
        ),
        (
            {"stage": [{"policy": "strong"}]},
            'a.toml: stage 1: policy = "strong" has no effect: the only view is the image itself.',
        ),
        (
            {"stage": [{"policy": "none", "views": 2}]},
            'a.toml: stage 1: views = 2 with policy = "none" would cache the same picture 2 times.',
        ),
        (
            {"head": {"kind": "linear", "units": 64}, "stage": [{}]},
            "a.toml: units = 64 has no effect: the linear head has no hidden layer.",
        ),
        (
            {"data": {"validation_fraction": 0.5, "test_fraction": 0.5}, "stage": [{}]},
            "a.toml: validation_fraction and test_fraction add up to 1.",
        ),
    ],
)
def test_a_setting_without_effect_is_refused(content: dict[str, Any], found: str) -> None:
    assert refused(content).splitlines()[0] == found


def test_a_missing_or_broken_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SettingError) as problem:
        read_recipe(tmp_path / "none.toml")
    assert problem.value.found == f"{tmp_path}/none.toml: the recipe cannot be read (No such file or directory)."
    (tmp_path / "bad.toml").write_text("a = = 1")
    with pytest.raises(SettingError) as problem:
        read_recipe(tmp_path / "bad.toml")
    assert problem.value.found == f"{tmp_path}/bad.toml: not valid TOML: Invalid value (at line 1, column 5)."


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a = " + b"[" * 100_000, "nested too deeply."),
        (b"a." * 400_000 + b"a = 1", "nested too deeply."),
        (b"[" + b'"a" . ' * 150_000 + b"a]", "nested too deeply."),
        (b"a = " + b"9" * 5000, "a whole number of more than 64 bits."),
        (b"a = [{b = 0x" + b"f" * 5000 + b"}]", "a whole number of more than 64 bits."),
        (b"[training]\nseed = 9223372036854775808", "a whole number of more than 64 bits."),
        (b"# " + b"x" * 1_000_000, "the recipe cannot be read (larger than 1,000,000 bytes)."),
    ],
    ids=["nested", "key", "table", "digits", "hexadecimal", "seed", "bytes"],
)
def test_a_hostile_file_is_a_clear_error(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(content)
    with pytest.raises(SettingError) as problem:
        read_recipe(path)
    assert problem.value.found == f"{path}: {reason}"


def test_a_device_is_no_recipe() -> None:
    with pytest.raises(SettingError) as problem:
        read_recipe(Path("/dev/zero"))
    assert problem.value.found == "/dev/zero: the recipe cannot be read (not a regular file)."


def test_differences_name_the_setting_and_both_values() -> None:
    left = Recipe(stages=(Stage(lr=1.0),))
    right = Recipe(training=TrainingSettings(seed=2), stages=(Stage(lr=2.0), Stage()))
    assert list_differences(left, right) == ["training.seed: 0 → 2", "number of stages: 1 → 2", "stage 1.lr: 1.0 → 2.0"]


def test_the_same_run_may_go_on_with_other_devices() -> None:
    left, right = (Recipe(backbone=BackboneSettings(devices=number), stages=(Stage(),)) for number in (8, ALL))
    assert list_differences(left, right) == []


def test_differences_are_written_as_a_recipe_writes_them() -> None:
    left = Recipe(stages=(Stage(gradual=True, group_lr={"stem": 0.0, "block4": 1e-4}),))
    right = Recipe(data=DataSettings(target="price"), stages=(Stage(),))
    assert list_differences(left, right) == [
        "data.target: not set → 'price'",
        "stage 1.gradual: true → false",
        "stage 1.group_lr: stem=0.0 block4=0.0001 → none",
    ]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("seed = true", "true"),
        ("seed = 1979-05-27", "1979-05-27"),
        ("seed = {a = 1, b = [false, 'x']}", "{a = 1, b = [false, 'x']}"),
        (f"seed = '{'9' * 5000}'", f"'{'9' * 79}…"),
    ],
)
def test_a_value_of_another_kind_is_shown_as_it_stands_in_the_file(tmp_path: Path, line: str, shown: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(f"[training]\n{line}\n[[stage]]\n")
    with pytest.raises(SettingError) as problem:
        read_recipe(path)
    assert problem.value.found == f"{path}: [training] seed is {shown}."
