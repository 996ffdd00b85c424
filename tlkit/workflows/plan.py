"""Tell what a training on a data set would take on this machine, and how much of the backbone is worth training.

The story: read the images and show the class table; do a little of every step that a training might take, with the code
that would do it, and tell what the whole would take; then ask probes and neighbours what the features of at most about
1,000 images tell, follow the learning curve, and say what to do, with the command.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.backbones.weights import RANDOM
from tlkit.data.dataset import read_dataset
from tlkit.data.file_index import FileIndex
from tlkit.data.manifest import Manifest
from tlkit.evaluation.advice import Advice, Evidence, advise, advise_without_evidence
from tlkit.features.cache import default_cache_root
from tlkit.recipes import Recipe
from tlkit.reports.console import Console, format_duration
from tlkit.reports.figures import PlanScores, draw_plan
from tlkit.reports.output_folder import check_picture
from tlkit.runtime import start_keras
from tlkit.workflows.first_model import build_classifier
from tlkit.workflows.ways import find_last_groups, make_way

if TYPE_CHECKING:
    from tlkit.workflows.plan_costs import PlanCosts


def run_plan(
    data: Path,
    *,
    sections: Mapping[str, Mapping[str, Any]],
    views: int,
    policy: str,
    out: Path | None,
    console: Console,
) -> dict[str, Any]:
    """Plan a training.

    Args:
        data: A folder of images or a table.
        sections: Given settings of each section of a recipe, by field name, as for `tlkit finetune`.
        views: Cached views of each training image.
        policy: How they are made.
        out: The PNG to draw; None: `runs/` and the data's name.
        console: Tells the story.

    Returns:
        What `--json` prints: `images` by split, `steps` and `ways` with their cost, the `evidence` with the
        `learning_curve`, the `advice` with its `reasons` and `command`, the `picture` and the `seconds`.

    Raises:
        TlkitError: Any problem with settings, data, backbone, cache or picture that the user can mend.
    """
    started = time.perf_counter()
    ways = [make_way(unfreeze, views=views, policy=policy, sections=sections) for unfreeze in ("none", "all")]
    recipe = ways[0].recipe
    picture = out or Path("runs") / f"{data.resolve().stem}-plan.png"
    check_picture(picture, data)
    cache_root = default_cache_root()
    manifest = _read_images(data, recipe, cache_root, console)

    read_at = time.perf_counter()
    start_keras(recipe.training.seed)
    classifier = build_classifier(recipe, manifest, None)
    ready_seconds = time.perf_counter() - read_at
    last_groups = find_last_groups(classifier.backbone)
    ways.insert(1, make_way(last_groups, views=views, policy=policy, sections=sections))
    from tlkit.workflows.plan_costs import measure_ways
    from tlkit.workflows.plan_evidence import gather_evidence

    costs = measure_ways(
        ways, classifier, manifest, ready_seconds=ready_seconds, cache_root=cache_root, console=console
    )
    _tell_costs(costs, console)

    evidence = None
    if recipe.backbone.weights != RANDOM:
        evidence = gather_evidence(
            manifest,
            classifier.backbone,
            last_boundary=ways[1].plans[-1].boundary,
            recipe=recipe,
            cache_root=cache_root,
            console=console,
        )
    advice = advise(evidence) if evidence else advise_without_evidence(is_random=recipe.backbone.weights == RANDOM)
    command = ways[advice.depth].format_command(data)
    _tell_advice(evidence, advice, command, recipe, console)
    picture.parent.mkdir(parents=True, exist_ok=True)
    draw_plan(
        picture,
        ways=[(each.way.name, each.parts) for each in costs.ways],
        advised=advice.depth,
        scores=PlanScores(**evidence.chart()) if evidence else None,
    )
    console.say(f"Picture: {picture}")
    return {
        "images": {split: len(manifest.in_split(split)) for split in ("train", "validation", "test")},
        **costs.to_payload(),
        "evidence": evidence.to_payload() if evidence else None,
        "advice": {**advice.to_payload(), "unfreeze": ways[advice.depth].unfreeze, "command": command},
        "picture": picture,
        "seconds": round(time.perf_counter() - started, 2),
    }


def _read_images(data: Path, recipe: Recipe, cache_root: Path, console: Console) -> Manifest:
    manifest = read_dataset(
        data,
        recipe.data,
        seed=recipe.training.seed,
        index=FileIndex(cache_root),
        progress=lambda total: console.progress("Checking images", total),
    )
    console.table("Images", *manifest.class_table())
    for notice in manifest.notices:
        console.say(notice)
    return manifest


def _tell_costs(costs: PlanCosts, console: Console) -> None:
    console.table("What each step takes from here, on this machine", *costs.table())
    for note in costs.notes:
        console.say(note)
    console.table(
        "From here to a model, if no stage stops early",
        ("trained", "time"),
        [(each.way.name, format_duration(each.seconds)) for each in costs.ways],
    )


def _tell_advice(evidence: Evidence | None, advice: Advice, command: str, recipe: Recipe, console: Console) -> None:
    """Print what was found, what follows from it, and the command."""
    if evidence:
        console.table(*evidence.table())
        console.say(evidence.curve.sentence)
    if evidence and recipe.data.boxes:
        console.say("Boxes are in the costs; what the features tell of them was not asked.")
    if evidence and recipe.data.metadata:
        console.say("Metadata are in the costs; what the features tell was asked without them.")
    for reason in advice.reasons:
        console.say(reason)
    console.say(f"Advice: train {advice.in_words}.\n  {command}")
