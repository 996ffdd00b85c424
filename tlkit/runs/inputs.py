"""What a run is made from: named in its recipe by absolute paths and by hashes, and checked where a run is repeated."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tlkit.backbones.engines.openvino_runtime import has_openvino
from tlkit.data.image_boxes import locate_boxes
from tlkit.data.manifest import Manifest
from tlkit.errors import DataError, RunError, SettingError
from tlkit.recipes import Inputs, Recipe, make_absolute
from tlkit.reports.console import Console
from tlkit.runs.folder import EarlierRun
from tlkit.runtime import has_bfloat16, read_versions


def choose_inputs(path: Path, recorded: Inputs, data: Path | None, start_from: Path | None) -> Inputs:
    """Return the inputs of a recipe with the given ones in place of the recorded ones; hashes go with what they are of."""
    if data:
        recorded = dataclasses.replace(recorded, data=str(data), data_sha256=None)
    elif not recorded.data:
        raise SettingError(
            f"{path} names no data set.",
            expected="a data set after the recipe, or data in its [inputs] table",
            fix=f"tlkit run {path} DATA",
        )
    elif not Path(recorded.data).exists():
        raise RunError(
            f"{path}: its data set no longer exists: {recorded.data}.",
            expected="the data set that the recipe was made with",
            fix=f"give its new path: tlkit run {path} DATA",
        )
    if start_from:
        return dataclasses.replace(recorded, start_from=str(start_from), start_sha256=None)
    if recorded.start_from and not Path(recorded.start_from).exists():
        raise RunError(
            f"{path}: the run that it starts from no longer exists: {recorded.start_from}.",
            expected="the run or bundle that the recipe was made with",
            fix="give its new path: --start-from RUN.",
        )
    return recorded


def name_inputs(recipe: Recipe, data: Path, start_from: Path | None) -> Recipe:
    """Return the recipe with the places of its data set, start, boxes and weights, from the root of the file system."""
    here = Path.cwd()
    paths = Inputs(data=str(data), start_from=str(start_from) if start_from else None)
    inputs = dataclasses.replace(
        recipe.inputs, **{name: getattr(make_absolute(paths, here), name) for name in ("data", "start_from")}
    )
    found = recipe.data.boxes and str(locate_boxes(data, recipe.data.boxes))
    return dataclasses.replace(
        recipe,
        inputs=inputs,
        data=make_absolute(dataclasses.replace(recipe.data, boxes=found), here),
        backbone=make_absolute(recipe.backbone, here),
    )


def check_start(recipe: Recipe, earlier: EarlierRun | None) -> Recipe:
    """Return the recipe with the hash of the start.

    Raises:
        RunError: It is not the model that the recipe was made with.
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
        DataError: They are not those that the recipe was made with.
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
    """Return the recipe with the versions of now, and with what `auto` precision means; say so where versions are others."""
    versions = ", ".join(f"{name} {version}" for name, version in read_versions().items())
    if recipe.made_by.versions not in (None, versions):
        console.say(f"The recipe was made with {recipe.made_by.versions}; this is {versions}: numbers may differ.")
    precision = None
    if recipe.backbone.precision == "auto":
        precision = recipe.made_by.precision or ("bfloat16" if has_bfloat16() else "float32")
    return dataclasses.replace(
        recipe, made_by=dataclasses.replace(recipe.made_by, versions=versions, precision=precision)
    )


def check_engines(recipe: Recipe, console: Console) -> Recipe:
    """Return the recipe without the engines of its run that are not there; say so, as others compute in their place."""
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
    """Return the recipe with what computed the features at a boundary."""
    engines = recipe.made_by.read_engines() | {boundary: engine}
    return dataclasses.replace(recipe, made_by=recipe.made_by.with_engines(engines))
