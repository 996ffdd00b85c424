"""Every setting says what it is, and its default obeys its own rule."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tlkit.devices import ALL
from tlkit.errors import BackboneError, SettingError
from tlkit.recipes import SECTIONS, BackboneSettings, Recipe, Stage, build_settings, resolve_backbone, resolve_stage
from tlkit.recipes.origin import MadeBy

FIELDS = [field for section in (*SECTIONS.values(), Stage) for field in dataclasses.fields(section)]


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_a_setting_has_a_sentence_of_help_and_a_default_that_is_allowed(field: dataclasses.Field[object]) -> None:
    assert field.metadata["help"].endswith(".")
    if field.default not in (None, dataclasses.MISSING):
        assert field.metadata["rule"].allows(field.default)


def test_no_two_settings_share_a_flag() -> None:
    flags = [field.metadata["flag"] or field.name for field in FIELDS]
    assert sorted(flags) == sorted(set(flags))


ZEROS = {
    "sample": "a fraction, 0 < x <= 1",
    "image_size": "a whole number, 1 to 1,000,000",
    "devices": "a whole number, 1 to 1,000,000, or all",
    "units": "a whole number, 1 to 1,000,000",
    "whiten_floor": "a fraction, 0 < x <= 1",
    "box_weight": "a number above 0",
    "epochs": "a whole number, 1 to 1,000,000",
    "batch_size": "a whole number, 1 to 1,000,000, or all",
    "lr": "a number above 0, or find",
    "lr_ratio": "a number, 1 or more",
    "views": "a whole number, 1 to 1,000,000",
    "resize_to": "a whole number, 1 to 1,000,000",
    "cycle_len": "a whole number, 1 to 1,000,000",
    "cycle_mult": "a whole number, 1 to 1,000,000",
}
"""What is expected where zero makes no sense; everywhere else zero is taken at its word."""

NUMBERS = [
    (section, field)
    for section in (*SECTIONS.values(), Stage)
    for field in dataclasses.fields(section)
    if {"int", "float"} & set(str(field.type).split(" | "))
]


@pytest.mark.parametrize(("section", "field"), NUMBERS, ids=[field.name for _, field in NUMBERS])
def test_an_explicit_zero_stays_zero_or_is_refused(section: type, field: dataclasses.Field[object]) -> None:
    zero = 0.0 if "float" in str(field.type) else 0
    if field.name not in ZEROS:
        settings = build_settings(section, {field.name: zero}, "a.toml:")
        assert getattr(settings, field.name) == 0
        if section is Stage:
            assert getattr(resolve_stage(settings, number=1, from_scratch=False), field.name) == 0
        return
    with pytest.raises(SettingError) as problem:
        build_settings(section, {field.name: zero}, "a.toml:")
    assert str(problem.value) == (
        f"a.toml: {field.name} is {zero!r}.\n"
        f"  Expected: {ZEROS[field.name]}\n"
        f"  Fix: correct {field.name}, or leave it out for the default."
    )


def test_no_number_stands_for_nothing() -> None:
    assert {field.name: field.default for _, field in NUMBERS if field.default in (0, -1)} == {
        "test_fraction": 0.0,
        "seed": 0,
        "label_smoothing": 0.0,
        "focal": 0.0,
        "mixup": 0.0,
        "cutmix": 0.0,
        "average": 0,
    }


TEXTS = [field for field in FIELDS if str(field.type).startswith("str") and not field.metadata["choices"]]


@pytest.mark.parametrize(
    "field",
    [field for field in TEXTS if field.default is None and field.name != "label_separator"],
    ids=lambda field: field.name,
)
def test_an_empty_text_is_refused(field: dataclasses.Field[object]) -> None:
    (section,) = (each for each in (*SECTIONS.values(), Stage) if field in dataclasses.fields(each))
    with pytest.raises(SettingError, match="Expected: non-empty text"):
        build_settings(section, {field.name: " "}, "a.toml:")


def test_auto_takes_what_the_run_of_the_recipe_took() -> None:
    made_by = MadeBy(engines="top openvino bfloat16, block4 keras float32", precision="bfloat16")
    backbone = resolve_backbone(BackboneSettings())
    assert backbone.at("top", made_by) == dataclasses.replace(backbone, engine="openvino", precision="bfloat16")
    assert backbone.at("block4", made_by) == dataclasses.replace(backbone, engine="keras", precision="float32")
    assert backbone.at("block3", made_by) == backbone
    recipe = Recipe(made_by=made_by)
    assert recipe.training_precision == "bfloat16"
    assert Recipe().training_precision == "auto"


def test_a_setting_wins_over_what_the_run_of_the_recipe_took() -> None:
    recipe = Recipe(
        backbone=BackboneSettings(engine="keras", precision="float32"),
        made_by=MadeBy(engines="top openvino bfloat16", precision="bfloat16"),
    )
    backbone = resolve_backbone(recipe.backbone)
    assert backbone.at("top", recipe.made_by) == backbone
    assert recipe.training_precision == "float32"


@pytest.mark.parametrize("engines", ["top openvino", "top onnx float32", "top keras float32,", ""])
def test_engines_that_no_run_has_written_are_refused(engines: str) -> None:
    with pytest.raises(SettingError) as problem:
        build_settings(MadeBy, {"engines": engines}, "recipe.toml: [made_by]")
    assert problem.value.expected == (
        "boundaries, each with its engine and precision: top openvino float32, block4 keras float32"
    )


def test_a_resolved_backbone_leaves_nothing_open() -> None:
    backbone = resolve_backbone(BackboneSettings(name="tiny"))
    assert (backbone.entry.name, backbone.weights, backbone.image_size) == ("tiny", "bundled", (96, 96))
    given = resolve_backbone(BackboneSettings(name="tiny", weights="random", image_size=64, fit="pad"))
    assert (given.weights, given.image_size, given.fit) == ("random", (64, 64), "pad")
    with pytest.raises(BackboneError, match=r"^There is no backbone 'tinny'\."):
        resolve_backbone(BackboneSettings(name="tinny"))


@pytest.mark.parametrize(
    ("settings", "option", "fix"),
    [
        ({"engine": "openvino"}, "--engine openvino", "use --engine keras"),
        ({"precision": "int8"}, "--precision int8", "use another --precision"),
    ],
)
def test_devices_are_refused_where_openvino_computes_the_frozen_layers(
    settings: dict[str, Any], option: str, fix: str
) -> None:
    with pytest.raises(SettingError) as problem:
        resolve_backbone(BackboneSettings(**settings, devices=ALL))
    assert str(problem.value) == (
        f"--devices all does not go with {option}: OpenVINO uses all cores of the processor as one device.\n"
        "  Expected: several devices only with Keras, which computes on GPUs\n"
        f"  Fix: leave out --devices, or {fix}."
    )


def test_a_run_is_refused_before_it_begins_where_there_are_not_as_many_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr("tlkit.recipes.defaults.choose_devices", asked.append)
    assert resolve_backbone(BackboneSettings(devices=4)).devices == 4
    assert resolve_backbone(BackboneSettings()).devices == 1
    assert asked == [4]
