"""The steps of a run before its model is built: resolve the recipe, plan the stages, read the images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tlkit.data.dataset import read_dataset
from tlkit.data.earlier import EarlierImages
from tlkit.data.file_index import FileIndex
from tlkit.data.manifest import Manifest
from tlkit.data.object_notices import advise_on_size
from tlkit.recipes import Recipe, ResolvedBackbone, check_recipe, expand_gradual, resolve_backbone, resolve_recipe
from tlkit.reports.console import Console
from tlkit.runs.folder import EarlierRun, read_earlier_run
from tlkit.runs.recipe import check_start, choose_weights
from tlkit.training.first_model import fetch_weights
from tlkit.training.stage_plan import StagePlan, check_same_model, plan_stages


@dataclass(frozen=True)
class RunPlan:
    """A checked recipe, ready to run.

    Attributes:
        recipe: The recipe, with defaults filled in.
        backbone: The backbone that it names.
        stages: Its stages, in order.
        earlier: The run to start from, if there is one.
    """

    recipe: Recipe
    backbone: ResolvedBackbone
    stages: tuple[StagePlan, ...]
    earlier: EarlierRun | None


def plan_run(recipe: Recipe, start_from: Path | None) -> RunPlan:
    """Resolve a recipe and plan its stages, before anything heavy is imported.

    Raises:
        TlkitError: The settings do not fit together, or do not fit the backbone or the earlier run.
    """
    earlier = read_earlier_run(start_from) if start_from else None
    if earlier:
        check_same_model(recipe, earlier.spec)
    recipe = choose_weights(check_recipe(check_start(recipe, earlier), source="settings"), start_from)
    backbone = resolve_backbone(recipe.backbone)
    recipe = resolve_recipe(expand_gradual(recipe, backbone.entry.groups))
    stages = plan_stages(recipe, backbone, earlier.spec if earlier else None)
    return RunPlan(recipe, backbone, tuple(stages), earlier)


def fetch_inputs(data: Path, plan: RunPlan, cache_root: Path, console: Console) -> Manifest:
    """Download missing weights, then read the images; images of the earlier run keep their split."""
    recipe, earlier = plan.recipe, plan.earlier
    if earlier is None:
        fetch_weights(plan.backbone, data)
    if earlier and earlier.splits is None:
        console.warn(
            f"{earlier.path} is a bundle without its run, so its training images are not known: "
            "validation may contain some of them and look too good."
        )
    manifest = read_dataset(
        data,
        recipe.data,
        seed=recipe.training.seed,
        index=FileIndex(cache_root),
        earlier=EarlierImages(earlier.spec.class_names, earlier.spec.grey, earlier.splits or {}) if earlier else None,
        progress=lambda total: console.progress("Checking images", total),
    )
    return advise_on_size(manifest, image_size=plan.backbone.image_size, fit=recipe.backbone.fit)


def print_images(manifest: Manifest, console: Console) -> None:
    """Print the class table and the notices about the images."""
    console.table("Images", *manifest.class_table())
    for notice in manifest.notices:
        console.say(notice)
