"""What the frozen features of some images tell: by boundary, by neighbours, and with growing numbers of images."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.build import Backbone
from tlkit.data.division import limit_records
from tlkit.data.manifest import Manifest
from tlkit.data.views import ViewPlan
from tlkit.errors import DataError
from tlkit.evaluation.advice import Evidence
from tlkit.evaluation.folds import make_stratified_folds
from tlkit.evaluation.learning_curve import FEWEST_IMAGES, measure_learning_curve
from tlkit.evaluation.neighbours import run_neighbours
from tlkit.evaluation.probes import make_strata, run_majority, run_probes
from tlkit.recipes import Recipe
from tlkit.reports.console import Console
from tlkit.workflows.precompute import ensure_features
from tlkit.workflows.probing import make_probe_targets

MOST_IMAGES = 1000


def gather_evidence(
    manifest: Manifest, backbone: Backbone, *, last_boundary: str, recipe: Recipe, cache_root: Path, console: Console
) -> Evidence | None:
    """Probe the pooled features of at most about 1,000 images, none of them of the test split.

    Args:
        manifest: The data set.
        backbone: The network.
        last_boundary: Where it is cut below its last groups; it is one of the boundaries that are probed.
        recipe: How images are read and features are made, and the seed.
        cache_root: Where the caches lie.
        console: Tells the story.

    Returns:
        What was found; None where there are too few images or answers to find anything.

    Raises:
        DataError: An image was changed meanwhile.
    """
    used = list(manifest.for_training().records)
    records = limit_records(used, manifest.task, recipe.training.seed, at_most=MOST_IMAGES)
    targets = make_probe_targets(manifest, records, recipe.data)
    twins = [record.sha256 for record in records]
    if len(set(twins)) < FEWEST_IMAGES or len(np.unique(targets, axis=0)) < 2:
        return None
    part = dataclasses.replace(manifest, records=tuple(records))
    boundaries = choose_boundaries(backbone, last_boundary)
    console.say(f"\nWhat the features of {len(records):,} images tell, at {', '.join(boundaries)}:")
    features = {
        boundary: _read_pooled(part, backbone, boundary, recipe, cache_root, console) for boundary in boundaries
    }
    folds = make_stratified_folds(make_strata(manifest.task, targets), twins=twins, seed=recipe.training.seed)
    probes = {boundary: run_probes(manifest.task, targets, block, folds)[0] for boundary, block in features.items()}
    num_train = len(manifest.in_split("train"))
    return Evidence(
        task=manifest.task,
        num_images=num_train,
        num_groups=len(manifest.class_names),
        probes=probes,
        neighbours=run_neighbours(manifest.task, targets, features["top"], twins=twins),
        majority=run_majority(manifest.task, targets, folds),
        curve=measure_learning_curve(
            manifest.task, targets, features["top"], num_now=num_train, twins=twins, seed=recipe.training.seed
        ),
    )


def choose_boundaries(backbone: Backbone, last_boundary: str) -> list[str]:
    """Return the top, what lies below the last groups, and up to two boundaries further down, from the bottom upwards."""
    boundaries = backbone.entry.boundaries[1:]
    below = boundaries[: boundaries.index(last_boundary)]
    further = [below[place] for place in sorted({len(below) // 3, 2 * len(below) // 3})] if below else []
    return [*further, last_boundary, "top"]


def _read_pooled(
    manifest: Manifest, backbone: Backbone, boundary: str, recipe: Recipe, cache_root: Path, console: Console
) -> NDArray[np.float32]:
    """Return the pooled features of all images, in their order, float32 (n, channels)."""
    features = ensure_features(
        manifest,
        backbone,
        boundary=boundary,
        views=ViewPlan(),
        settings=recipe.backbone,
        cache_root=cache_root,
        console=console,
        is_pooled=True,
    )
    for item in features.set_aside:
        raise DataError(
            f"{item.path}: {item.reason}.",
            expected="the images to stay as they are while they are looked at",
            fix="start again.",
        )
    by_sha256 = {
        record.sha256: position
        for split in features.splits.values()
        for record, position in zip(split.records, split.positions[:, 0], strict=True)
    }
    positions = np.array([by_sha256[record.sha256] for record in manifest.records])
    return features.cache.read(positions).astype(np.float32)
