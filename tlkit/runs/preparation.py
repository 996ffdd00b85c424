"""What a run does before its model is built: the recipe resolved, the stages planned, the images read."""

from __future__ import annotations

from pathlib import Path

from tlkit.backbones.catalogue import find_backbone
from tlkit.data.dataset import read_dataset
from tlkit.data.file_index import FileIndex
from tlkit.data.manifest import Manifest
from tlkit.recipes import Recipe, check_recipe, expand_gradual, resolve_recipe
from tlkit.reports.console import Console
from tlkit.runs.folder import EarlierRun, read_earlier_run
from tlkit.runs.inputs import check_start
from tlkit.runs.recipe import choose_weights
from tlkit.training.stage_plan import StagePlan, check_same_model, plan_stages


def plan_run(recipe: Recipe, start_from: Path | None) -> tuple[Recipe, list[StagePlan], EarlierRun | None]:
    """Return the resolved recipe, its stages and the run to start from, checked before anything heavy is loaded.

    Raises:
        TlkitError: The settings do not fit together, the backbone, or the earlier run.
    """
    earlier = read_earlier_run(start_from) if start_from else None
    if earlier:
        check_same_model(recipe, earlier.spec)
    recipe = choose_weights(check_recipe(check_start(recipe, earlier), source="settings"), start_from)
    recipe = resolve_recipe(expand_gradual(recipe, find_backbone(recipe.backbone.name).groups))
    return recipe, plan_stages(recipe, earlier.spec if earlier else None), earlier


def read_images(data: Path, recipe: Recipe, earlier: EarlierRun | None, cache_root: Path, console: Console) -> Manifest:
    """Read the images with their splits; those of the earlier run stay in theirs."""
    if earlier and earlier.splits is None:
        console.warn(
            f"{earlier.path} is a bundle without its run, so it is not known which images it was trained on: "
            "validation may contain some of them and look too good."
        )
    return read_dataset(
        data,
        recipe.data,
        seed=recipe.training.seed,
        index=FileIndex(cache_root),
        class_names=earlier.spec.class_names if earlier else None,
        keep=earlier.splits if earlier else None,
        grey=earlier.spec.grey if earlier else None,
        progress=lambda total: console.progress("Checking images", total),
    )
