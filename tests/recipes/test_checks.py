"""Settings of the answer and of the metadata that do not go together are refused, each with the whole message."""

from __future__ import annotations

from typing import Any

import pytest

from tlkit.errors import SettingError
from tlkit.recipes import (
    BackboneSettings,
    DataSettings,
    HeadSettings,
    Recipe,
    Stage,
    TrainingSettings,
    build_recipe,
    check_recipe,
)
from tlkit.recipes.fields import ALL_IMAGES

ONLY_USED = "  Expected: only settings that this run uses\n"
VALUES = {"task": "regression", "target": "price"}


def message_of(data: dict[str, Any], *, head: str = "dense", **training: Any) -> str:
    recipe = Recipe(data=DataSettings(**data), head=HeadSettings(kind=head), training=TrainingSettings(**training))
    with pytest.raises(SettingError) as problem:
        check_recipe(recipe, source="a.toml")
    return str(problem.value)


def test_a_value_to_learn_must_be_named() -> None:
    assert message_of({"task": "regression"}) == (
        "a.toml: task is regression, but there is no target.\n"
        "  Expected: the name of a table column\n"
        "  Fix: add --target COLUMN."
    )


@pytest.mark.parametrize("task", ["classification", "multilabel"])
@pytest.mark.parametrize(("name", "value"), [("target", "price"), ("target_scale", "log")])
def test_settings_of_values_need_values(task: str, name: str, value: str) -> None:
    assert message_of({"task": task, name: value}) == (
        f"a.toml: {name} = {value} has no effect: the task is {task}.\n"
        f"{ONLY_USED}"
        "  Fix: remove it, or set task = regression."
    )


def test_values_have_no_column_of_labels() -> None:
    assert message_of({**VALUES, "label_column": "species"}) == (
        "a.toml: label_column = species has no effect: regression uses target.\n"
        f"{ONLY_USED}"
        "  Fix: remove it, or set target."
    )


@pytest.mark.parametrize("data", [{"task": "multilabel"}, VALUES])
def test_only_classes_are_weighted(data: dict[str, str]) -> None:
    assert message_of(data, class_weight="balanced") == (
        f"a.toml: class_weight = balanced has no effect: the task is {data['task']}.\n"
        f"{ONLY_USED}"
        "  Fix: remove it, or set task = classification."
    )


@pytest.mark.parametrize("setting", ["label_smoothing", "focal"])
def test_the_loss_of_values_is_not_shaped(setting: str) -> None:
    shaping: dict[str, Any] = {setting: 0.1}
    assert message_of(VALUES, **shaping) == (
        f"a.toml: {setting} = 0.1 has no effect: the task is regression.\n"
        f"{ONLY_USED}"
        "  Fix: remove it, or set task = classification."
    )


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_pictures_with_boxes_are_not_mixed(name: str) -> None:
    mixing: dict[str, Any] = {name: 0.4}
    recipe = Recipe(data=DataSettings(boxes="boxes.csv"), stages=(Stage(), Stage(unfreeze="all", **mixing)))
    with pytest.raises(SettingError) as problem:
        check_recipe(recipe, source="a.toml")
    assert str(problem.value) == (
        f"a.toml: stage 2: {name} = 0.4 with boxes: a mixed picture shows two objects, and the model predicts one box.\n"
        "  Expected: mixup and cutmix only without boxes\n"
        f"  Fix: remove {name}, or boxes."
    )


@pytest.mark.parametrize("metadata", ["boat", "image-size"])
def test_the_head_of_maps_takes_no_metadata(metadata: str) -> None:
    assert message_of({"metadata": metadata}, head="conv") == (
        "a.toml: the conv head cannot take metadata: no layer of it combines all features.\n"
        "  Expected: linear, dense, flat, fisheries or vgg\n"
        "  Fix: use --head dense."
    )


def test_metadata_that_cannot_be_read_are_refused_before_anything_is_done() -> None:
    assert message_of({"metadata": "boat,,hour"}) == (
        "metadata is 'boat,,hour': a name is empty.\n"
        "  Expected: column names separated by commas\n"
        "  Fix: remove the extra comma."
    )


@pytest.mark.parametrize(
    ("setting", "value", "choices", "fix"),
    [
        (
            "task",
            "multi-label",
            "classification, multilabel, regression, detection, segmentation",
            "did you mean 'multilabel'?",
        ),
        ("target_scale", "logarithm", "linear, log", "did you mean 'log'?"),
    ],
)
def test_a_word_out_of_a_list_is_one_of_the_list(setting: str, value: str, choices: str, fix: str) -> None:
    with pytest.raises(SettingError) as problem:
        build_recipe({"data": {setting: value}, "stage": [{}]}, source="a.toml")
    assert str(problem.value) == (f"a.toml: [data] {setting} is {value!r}.\n  Expected: one of {choices}\n  Fix: {fix}")


@pytest.mark.parametrize(
    ("data", "head", "training"),
    [
        ({**VALUES, "target_scale": "log", "metadata": "boat,image-size"}, "linear", {}),
        ({"task": "multilabel", "label_column": "labels", "metadata": "boat"}, "flat", {"label_smoothing": 0.1}),
        ({"metadata": "boat:category,hour"}, "dense", {"class_weight": "balanced", "label_smoothing": 0.1}),
        ({}, "conv", {}),
    ],
)
def test_settings_that_go_together_are_left_as_they_are(
    data: dict[str, Any], head: str, training: dict[str, Any]
) -> None:
    content = {"data": data, "head": {"kind": head}, "training": training, "stage": [{}]}
    recipe = build_recipe(content, source="a.toml")
    assert check_recipe(recipe, source="a.toml") is recipe
    assert recipe.data == DataSettings(**data)


def test_an_engine_needs_a_frozen_part() -> None:
    recipe = Recipe(backbone=BackboneSettings(engine="keras"), stages=(Stage(unfreeze="all"), Stage(unfreeze="all")))
    with pytest.raises(SettingError) as problem:
        check_recipe(recipe, source="a.toml")
    assert str(problem.value) == (
        "a.toml: engine = keras has no effect: no stage has frozen layers.\n"
        f"{ONLY_USED}"
        "  Fix: remove it, or set unfreeze to less than all."
    )
    check_recipe(Recipe(backbone=recipe.backbone, stages=(Stage(), Stage(unfreeze="all"))), source="a.toml")


OBJECTS: dict[str, Any] = {"task": "detection", "boxes": "annotations"}


@pytest.mark.parametrize(("name", "value"), [("label_smoothing", 0.1), ("focal", 2.0), ("box_loss", "ciou")])
def test_settings_of_one_answer_have_no_effect_on_objects(name: str, value: Any) -> None:
    needed = "boxes" if name == "box_loss" else "task = classification"
    assert message_of(OBJECTS, head="detector", **{name: value}) == (
        f"a.toml: {name} = {value} has no effect: the task is detection.\n{ONLY_USED}  Fix: remove it, or set {needed}."
    )


@pytest.mark.parametrize(
    ("head", "data"),
    [("linear", {"task": "classification"}), ("segmenter", {"task": "segmentation", "masks": "masks"})],
)
def test_only_objects_are_suppressed(head: str, data: dict[str, Any]) -> None:
    recipe = Recipe(data=DataSettings(**data), head=HeadSettings(kind=head, nms="hard"))
    with pytest.raises(SettingError) as problem:
        check_recipe(recipe, source="a.toml")
    assert str(problem.value) == (
        f"a.toml: nms = hard has no effect: the task is {data['task']}.\n{ONLY_USED}"
        "  Fix: remove it, or set task = detection."
    )


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_mosaics_are_for_objects(task: str) -> None:
    recipe = Recipe(data=DataSettings(task=task), stages=(Stage(views=4, policy="mosaic"),))
    with pytest.raises(SettingError) as problem:
        check_recipe(recipe, source="a.toml")
    assert str(problem.value) == (
        f"a.toml: stage 1: policy = mosaic with task = {task}: a mosaic shows four images, each with its own answer.\n"
        "  Expected: policy = mosaic only with task = detection\n"
        "  Fix: use policy = scales, or standard."
    )


def test_objects_take_no_metadata_and_must_have_boxes() -> None:
    assert message_of({**OBJECTS, "metadata": "weight"}, head="detector") == (
        "a.toml: metadata = weight has no effect: the task is detection.\n"
        f"{ONLY_USED}"
        "  Fix: remove it, or set task = classification."
    )
    assert message_of({"task": "detection"}, head="detector") == (
        "a.toml: task is detection, but there are no boxes.\n"
        "  Expected: the annotations of the images\n"
        "  Fix: add --boxes with a folder of PASCAL VOC or YOLO files, a COCO .json, or a table."
    )


def test_each_task_has_its_heads() -> None:
    assert message_of(OBJECTS, head="dense") == (
        "a.toml: the dense head does not fit the task detection: it gives one answer for an image.\n"
        "  Expected: detector for detection\n"
        "  Fix: use --head detector, or leave out --head."
    )
    assert message_of({}, head="detector") == (
        "a.toml: the detector head does not fit the task classification: it finds objects.\n"
        "  Expected: another head for classification\n"
        "  Fix: use --task detection, or another --head."
    )


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_pictures_with_objects_are_not_mixed(name: str) -> None:
    mixed: dict[str, Any] = {name: 0.4}
    stage = Stage(unfreeze="all", **mixed)
    recipe = Recipe(data=DataSettings(**OBJECTS), head=HeadSettings(kind="detector"), stages=(stage,))
    with pytest.raises(SettingError) as problem:
        check_recipe(recipe, source="a.toml")
    assert str(problem.value) == (
        f"a.toml: stage 1: {name} = 0.4 has no effect: the task is detection, whose pictures are not mixed.\n"
        f"{ONLY_USED}"
        "  Fix: remove it, or set task = classification."
    )


def test_frozen_layers_of_a_detector_are_not_computed_in_int8() -> None:
    recipe = Recipe(
        data=DataSettings(**OBJECTS), head=HeadSettings(kind="detector"), backbone=BackboneSettings(precision="int8")
    )
    with pytest.raises(SettingError) as problem:
        check_recipe(recipe, source="a.toml")
    assert str(problem.value) == (
        "a.toml: precision = int8 with task = detection: its loss is judged by one answer for an image.\n"
        "  Expected: float32, bfloat16 or auto\n"
        "  Fix: leave out --precision."
    )


def test_what_is_whitened_is_one_feature_of_pretrained_weights() -> None:
    def message(recipe: Recipe) -> str:
        with pytest.raises(SettingError) as problem:
            check_recipe(recipe, source="a.toml")
        return str(problem.value)

    objects = DataSettings(task="detection", boxes="boxes.csv")
    assert message(Recipe(data=objects, head=HeadSettings("detector", whiten="pca"))) == (
        "a.toml: whiten = pca with the detector head, which takes several maps at once.\n"
        "  Expected: whiten only with a head that takes one feature: linear, dense, conv, flat, fisheries or vgg\n"
        "  Fix: remove whiten."
    )
    scratch = BackboneSettings(weights="random")
    assert message(Recipe(backbone=scratch, head=HeadSettings(whiten="zca"), stages=(Stage(unfreeze="all"),))) == (
        "a.toml: whiten = zca, but the backbone's weights are random: what is fitted to their features would not suit those "
        "that they learn.\n"
        "  Expected: whiten only with pretrained weights\n"
        "  Fix: remove whiten, or set weights."
    )
    assert message(Recipe(head=HeadSettings(whiten="standard", whiten_floor=0.5))) == (
        "a.toml: whiten_floor = 0.5 has no effect: whiten is standard.\n"
        f"{ONLY_USED}"
        "  Fix: remove it, or set whiten = pca or zca."
    )


def test_adam_has_no_weight_decay() -> None:
    with pytest.raises(SettingError) as problem:
        check_recipe(Recipe(training=TrainingSettings(optimizer="adam", weight_decay=0.01)), source="a.toml")
    assert str(problem.value) == (
        "a.toml: weight_decay = 0.01 has no effect: the optimizer is adam.\n"
        f"{ONLY_USED}"
        "  Fix: remove it, or set optimizer = adamw."
    )
    recipe = Recipe(training=TrainingSettings(optimizer="lion", weight_decay=0.01))
    assert check_recipe(recipe, source="a.toml") == recipe


def test_full_batches_are_for_a_head_alone() -> None:
    recipe = Recipe(stages=(Stage(unfreeze="block4", batch_size=ALL_IMAGES),))
    with pytest.raises(SettingError) as problem:
        check_recipe(recipe, source="a.toml")
    assert str(problem.value) == (
        "a.toml: stage 1: batch_size = all with unfreeze = block4: the memory of a step grows with its images.\n"
        "  Expected: a number, unless only the head is trained\n"
        "  Fix: set batch_size = 64, or remove it for the default."
    )
