"""Make the recipe of a run from options, a recipe file, and the run to start from.

The command line has precedence, then the recipe file, then the earlier run (for settings that must not change when a
model is trained further), then the defaults.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tlkit.backbones.engines.openvino_runtime import has_openvino
from tlkit.data.image_boxes import locate_boxes
from tlkit.data.manifest import Manifest
from tlkit.devices import native_precision
from tlkit.errors import DataError, RunError, SettingError
from tlkit.metadata.columns import format_metadata
from tlkit.models.spec import BundleSpec
from tlkit.models.storage import WEIGHTS_FILE, find_bundle
from tlkit.places.copies import show_path
from tlkit.places.packed.patterns import is_packed
from tlkit.places.place import is_place
from tlkit.recipes import (
    BackboneSettings,
    DataSettings,
    Inputs,
    Recipe,
    Stage,
    TrainingSettings,
    fill_views,
    make_absolute,
    make_sections,
    read_given_recipe,
    resolve_backbone,
)
from tlkit.recipes.given import setting_flag
from tlkit.recipes.settings import OPEN_PRECISIONS
from tlkit.reports.console import Console
from tlkit.reports.output_folder import name_after
from tlkit.runs.folder import EarlierRun, read_earlier_run
from tlkit.runtime import read_versions


def choose_inputs(path: Path, recorded: Inputs, data: Path | None, start_from: Path | None) -> Inputs:
    """Return the inputs of a recipe, with recorded ones and their hashes replaced by given ones."""
    if data:
        recorded = dataclasses.replace(recorded, data=show_path(data), data_sha256=None)
    elif not recorded.data:
        raise SettingError(
            f"{path} names no data set.",
            expected="a data set after the recipe, or data in its [inputs] table",
            fix=f"tlkit run {path} DATA",
        )
    elif not (is_place(recorded.data) or is_packed(recorded.data) or Path(recorded.data).exists()):
        raise RunError(
            f"{path}: its data set no longer exists: {recorded.data}.",
            expected="the data set that the recipe was made with",
            fix=f"give its new path: tlkit run {path} DATA",
        )
    if start_from:
        return dataclasses.replace(recorded, start_from=show_path(start_from), start_sha256=None)
    if recorded.start_from and not is_place(recorded.start_from) and not Path(recorded.start_from).exists():
        raise RunError(
            f"{path}: the run that it starts from no longer exists: {recorded.start_from}.",
            expected="the run or bundle that the recipe was made with",
            fix="give its new path: --start-from RUN.",
        )
    return recorded


def name_inputs(recipe: Recipe, data: Path, start_from: Path | None) -> Recipe:
    """Return the recipe with absolute paths of its data set, start, boxes, masks and weights."""
    here = Path.cwd()
    paths = Inputs(data=show_path(data), start_from=show_path(start_from) if start_from else None)
    inputs = dataclasses.replace(
        recipe.inputs, **{name: getattr(make_absolute(paths, here), name) for name in ("data", "start_from")}
    )
    boxes = recipe.data.boxes and show_path(locate_boxes(data, recipe.data.boxes))
    masks = recipe.data.masks and show_path(locate_boxes(data, recipe.data.masks, option="--masks"))
    return dataclasses.replace(
        recipe,
        inputs=inputs,
        data=make_absolute(dataclasses.replace(recipe.data, boxes=boxes, masks=masks), here),
        backbone=make_absolute(recipe.backbone, here),
    )


def check_start(recipe: Recipe, earlier: EarlierRun | None) -> Recipe:
    """Return the recipe with the hash of the start.

    Raises:
        RunError: The model has changed since the recipe was made.
    """
    sha256 = earlier.sha256 if earlier else None
    if recipe.inputs.start_sha256 not in (None, sha256):
        raise RunError(
            f"{recipe.inputs.start_from} has changed since the recipe was made.",
            expected="the same bundle, so that the run repeats",
            fix="restore it, or use it as it is now: add --start-from with its path.",
        )
    return dataclasses.replace(recipe, inputs=dataclasses.replace(recipe.inputs, start_sha256=sha256))


def check_data(recipe: Recipe, manifest: Manifest) -> Recipe:
    """Return the recipe with the hash of the images.

    Raises:
        DataError: The images have changed since the recipe was made.
    """
    sha256 = manifest.compute_hash()
    if recipe.inputs.data_sha256 not in (None, sha256):
        raise DataError(
            f"{recipe.inputs.data} has changed since the recipe was made: its images, splits or targets differ.",
            expected="the same images, so that the run repeats",
            fix="restore them, or use them as they are now: pass the data set after the recipe.",
        )
    return dataclasses.replace(recipe, inputs=dataclasses.replace(recipe.inputs, data_sha256=sha256))


def record_versions(recipe: Recipe, console: Console) -> Recipe:
    """Return the recipe with the current versions and the resolved precision; print a notice if versions differ."""
    versions = ", ".join(f"{name} {version}" for name, version in read_versions().items())
    if recipe.made_by.versions not in (None, versions):
        console.say(f"The recipe was made with {recipe.made_by.versions}; this is {versions}: numbers may differ.")
    precision = None
    if recipe.backbone.precision in OPEN_PRECISIONS:
        precision = recipe.made_by.precision or native_precision("keras")
    return dataclasses.replace(
        recipe, made_by=dataclasses.replace(recipe.made_by, versions=versions, precision=precision)
    )


def check_engines(recipe: Recipe, console: Console) -> Recipe:
    """Return the recipe without recorded engines that are not installed; print a notice if others replace them."""
    engines = recipe.made_by.read_engines()
    if has_openvino():
        return recipe
    there = {boundary: each for boundary, each in engines.items() if each[0] != "openvino"}
    if len(there) < len(engines) and recipe.backbone.engine == "auto":
        console.say(
            "The recipe's run computed its features with OpenVINO, which is not installed here: numbers may differ."
        )
    return dataclasses.replace(recipe, made_by=recipe.made_by.with_engines(there))


def record_engine(recipe: Recipe, boundary: str, engine: tuple[str, str]) -> Recipe:
    """Return the recipe with the engine that computed the features at a boundary."""
    engines = recipe.made_by.read_engines() | {boundary: engine}
    return dataclasses.replace(recipe, made_by=recipe.made_by.with_engines(engines))


Given = Mapping[str, Any]


def make_finetune_recipe(*, stage: Given, sections: Mapping[str, Given], start_from: Path | None) -> Recipe:
    """Return the recipe that `tlkit finetune` runs.

    Without a run to start from, the head is trained first, because gradients of an untrained head would damage the
    pretrained weights. With random weights there is no such stage.

    Args:
        stage: Given settings of the stage, by field name.
        sections: Given settings of each section.
        start_from: The run whose model to train further.
    """
    base = _base_recipe(sections, start_from, (Stage(**stage),))
    shared = fill_views(base.data.task, stage)
    last = Stage(**shared)
    draws_fresh_views = last.unfreeze == "all" and not last.gradual
    if draws_fresh_views and "views" not in stage:
        last = dataclasses.replace(last, views=1)
    recipe = choose_weights(dataclasses.replace(base, stages=(last,)), start_from)
    if last.unfreeze == "none" or start_from or recipe.is_from_scratch:
        return recipe
    head = Stage(**{name: shared[name] for name in ("views", "policy") if name in shared and "views" in shared})
    if draws_fresh_views:
        last = dataclasses.replace(last, views=1)
    return dataclasses.replace(recipe, stages=(head, last))


def describe_reach(stage: Given, recipe: Recipe) -> str:
    """Describe to which stages of `make_finetune_recipe` the given settings apply; "" for a single stage.

    Args:
        stage: Given settings of the stage, by field name.
        recipe: The resulting recipe.
    """
    if len(recipe.stages) < 2:
        return ""
    last = recipe.stages[-1]
    flags = {item.name: setting_flag(item) for item in dataclasses.fields(Stage) if item.name in stage}
    given = [name for name in flags if name not in ("unfreeze", "gradual")]
    for_head = [name for name in given if name in ("views", "policy") and "views" in stage]
    for_last = [name for name in given if name != "views" or last.views == stage["views"]]
    parts = (
        ("the head only", [name for name in for_head if name not in for_last]),
        ("the unfreezing only", [name for name in for_last if name not in for_head]),
        ("both", [name for name in for_head if name in for_last]),
    )
    unfrozen = [
        f"{', '.join(flags[name] for name in names)} {'applies' if len(names) == 1 else 'apply'} to {what}"
        for what, names in parts
        if names
    ]
    return f"A head is trained first, then the unfrozen layers with it: {'; '.join(unfrozen)}." if unfrozen else ""


def make_recipe_from_file(
    path: Path, *, data: Path | None, sections: Mapping[str, Given], start_from: Path | None
) -> Recipe:
    """Return the recipe in a file, with given settings replacing its own; its `inputs` name the data and the start.

    Args:
        path: The file.
        data: The data set; None for the one in the recipe.
        sections: Given settings of each section.
        start_from: The run whose model to train further; None for the one in the recipe, if any.

    Raises:
        SettingError: The file is not a valid recipe, or there is no data set.
        RunError: The data set or the start in the recipe no longer exists.
    """
    file = read_given_recipe(path, is_whole=not any(sections.values()))
    inputs = choose_inputs(path, file.recipe.inputs, data, start_from)
    merged = {name: {**file.sections.get(name, {}), **given} for name, given in sections.items()}
    base = _base_recipe(merged, Path(inputs.start_from) if inputs.start_from else None, file.recipe.stages)
    return dataclasses.replace(base, inputs=inputs, made_by=file.recipe.made_by)


def _base_recipe(sections: Mapping[str, Given], start_from: Path | None, stages: tuple[Stage, ...]) -> Recipe:
    """Return a recipe of some stages: given settings on top of the earlier run's model, split and seed.

    The earlier run's engine is not reused if no layer is frozen, nor its number of devices.
    """
    base = make_sections(sections["data"].get("task"))
    if start_from:
        if "weights" in sections["backbone"]:
            raise SettingError(
                f"--weights {sections['backbone']['weights']} has no effect: {start_from} brings its own weights.",
                expected="only settings that this run uses",
                fix="leave out --weights or --start-from.",
            )
        earlier = read_earlier_run(start_from)
        spec = earlier.spec
        if earlier.recipe:
            base["backbone"] = dataclasses.replace(earlier.recipe.backbone, devices=BackboneSettings().devices)
            if all(stage.unfreeze == "all" for stage in stages):
                base["backbone"] = dataclasses.replace(base["backbone"], engine=BackboneSettings().engine)
            base["data"] = dataclasses.replace(earlier.recipe.data, sample=DataSettings().sample)
            base["training"] = TrainingSettings(seed=earlier.recipe.training.seed)
        base["backbone"] = dataclasses.replace(
            base["backbone"],
            name=spec.backbone,
            image_size=spec.image_size[0],
            fit=spec.fit,
        )
        base["head"] = spec.head
        base["data"] = dataclasses.replace(base["data"], **describe_answer(spec))
    filled = {name: dataclasses.replace(base[name], **given) for name, given in sections.items()}
    return Recipe(**filled, stages=stages)


def describe_answer(spec: BundleSpec) -> Given:
    """Return the data settings that a model determines, by field: task, target and metadata."""
    target = {} if spec.target is None else {"target": spec.target.name}
    if spec.target is not None and spec.target.is_log:
        target["target_scale"] = "log"
    return {"task": spec.task, "metadata": format_metadata(spec.metadata.requests) or None, **target}


def choose_weights(recipe: Recipe, start_from: Path | None) -> Recipe:
    """Return the recipe with the initial weights of the backbone: those of the earlier run, if any.

    Raises:
        BackboneError: There is no such backbone.
        BundleError: There is no finished model in `start_from`.
    """
    weights = str(find_bundle(start_from) / WEIGHTS_FILE) if start_from else resolve_backbone(recipe.backbone).weights
    return dataclasses.replace(recipe, backbone=dataclasses.replace(recipe.backbone, weights=weights))


def choose_run_folder(data: Path, out: Path | None, *, resume: bool) -> Path:
    """Return the run folder: the given one, or the first free one in `runs/`, named after the data.

    Raises:
        RunError: If `resume` is given without `out`.
    """
    if out:
        return out
    if resume:
        raise RunError(
            "--resume needs the run to continue.",
            expected="--out with the folder of the interrupted run",
            fix="add --out RUN.",
        )
    name = name_after(data)
    return next(path for number in range(1, 1_000_000) if not (path := Path("runs") / f"{name}-{number}").exists())
