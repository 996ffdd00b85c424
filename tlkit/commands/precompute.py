"""Compute and cache the features of a data set.

The steps: read the data set, find missing rows of the feature cache, compute them, and print a summary. Training calls
`ensure_features` as well, so `tlkit precompute` is optional.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tlkit.backbones.catalogue import TOP
from tlkit.backbones.weights import check_weights
from tlkit.data.dataset import read_dataset
from tlkit.data.file_index import FileIndex
from tlkit.data.manifest import Manifest
from tlkit.data.mosaics import has_mosaics
from tlkit.data.parts import Part, check_part_settings, read_part
from tlkit.data.views import PICTURE_ITSELF, ViewPlan
from tlkit.distribution.cluster import check_cluster, opened_cluster
from tlkit.errors import SettingError
from tlkit.features.engine_choice import check_calibrated
from tlkit.features.ensure import DatasetFeatures, check_boundary, ensure_features
from tlkit.features.request import FeatureRequest
from tlkit.features.trunk_notes import TrunkRequest, find_note
from tlkit.features.trunks import open_trunk
from tlkit.places.cache_root import default_cache_root
from tlkit.recipes import BackboneSettings, DataSettings, HeadSettings, make_sections, resolve_backbone
from tlkit.recipes.checks import check_mosaics
from tlkit.reports.console import Console
from tlkit.runs.preparation import print_images
from tlkit.training.first_model import fetch_weights


@dataclass(frozen=True)
class PrecomputeOptions:
    """Which features are computed, and where.

    Attributes:
        boundary: Where the network is cut.
        head: The head that will use the features, which decides whether they are pooled at the top; None for the
            default head of the task.
        views: The views of the training images; its seed is also used for the split and for random weights.
        ray: A Ray cluster that computes them: auto, local or an address; None for this process.
        part: The part of the images; None for all of them.
    """

    boundary: str = TOP
    head: HeadSettings | None = None
    views: ViewPlan = PICTURE_ITSELF
    ray: str | None = None
    part: Part | None = None


def run_precompute(
    data: Path,
    options: PrecomputeOptions,
    *,
    data_settings: DataSettings,
    backbone_settings: BackboneSettings,
    console: Console,
) -> dict[str, Any]:
    """Compute the features of a data set that the cache lacks.

    Args:
        data: A folder of images, or a table that lists them.
        options: Which features are computed, and where.
        data_settings: How images are found, checked and split.
        backbone_settings: The network, and how images are prepared for it.
        console: Prints progress and results.

    Returns:
        The JSON result: numbers of `images`, `hits` and `misses` (rows of the cache) and `skipped` files, the total
        `seconds`, and `images_per_second`, the throughput for missing rows; the `part`, and the `cache` with its `engine`
        and `precision`.

    Raises:
        TlkitError: See `ensure_dataset_features`.
    """
    start = time.perf_counter()
    manifest, features = ensure_dataset_features(
        data, options, data_settings=data_settings, backbone_settings=backbone_settings, console=console
    )
    payload = _print_result(manifest, features, time.perf_counter() - start, console)
    if options.part:
        _name_engine(backbone_settings, features, console)
    spec = features.cache.spec
    return {
        **payload,
        "part": str(options.part) if options.part else None,
        "engine": spec.engine,
        "precision": spec.precision,
    }


def ensure_dataset_features(
    data: Path,
    options: PrecomputeOptions,
    *,
    data_settings: DataSettings,
    backbone_settings: BackboneSettings,
    console: Console,
) -> tuple[Manifest, DatasetFeatures]:
    """Read a data set, and return it with its features, computing missing ones.

    Args: As for `run_precompute`.

    Raises:
        SettingError: A setting is wrong, or does not apply.
        DataError: The data set is not usable.
        BackboneError: The backbone, its boundary or its weights are not there.
        CacheError: The cache cannot be written, or the disk is too small.
        ClusterError: Ray is not installed, or its cluster cannot be reached or has no workers.
        NumericsError: A feature does not fit into the number format.
    """
    check_cluster(options.ray, backbone_settings.devices)
    head, views = options.head, options.views
    check_mosaics(views.policy, data_settings.task, where="--policy")
    if options.part and has_mosaics(views.policy):
        raise SettingError(
            f"--policy {views.policy} with --part: a mosaic shows images of other parts.",
            expected="views of one image with --part",
            fix="use --policy scales, or leave out --part.",
        )
    backbone = resolve_backbone(backbone_settings)
    boundary = check_boundary(backbone.entry, options.boundary)
    if head and boundary != TOP:
        raise _head_below_the_top(head, boundary)
    check_weights(backbone.entry, backbone.weights)

    cache_root = default_cache_root()
    if options.part:
        check_part_settings(data_settings)
        check_calibrated(backbone, cache_root)
    pooling = (head or make_sections(data_settings.task)["head"]).record.pooling
    request = TrunkRequest(backbone, pooling, boundary, views.seed)
    with opened_cluster(options.ray) as cluster:
        if find_note(request, cache_root) is None:
            fetch_weights(backbone, data)
        manifest = _read_manifest(data, options, data_settings, cache_root, console)
        trunk = open_trunk(request, cache_root, console)
        wanted = FeatureRequest(backbone, boundary, views, is_part=options.part is not None)
        features = ensure_features(manifest, trunk, wanted, cache_root=cache_root, console=console, cluster=cluster)
    if data_settings.strict:
        features.refuse_skipped()
    return manifest, features


def _read_manifest(
    data: Path, options: PrecomputeOptions, settings: DataSettings, cache_root: Path, console: Console
) -> Manifest:
    progress = partial(console.progress, "Checking")
    index, views = FileIndex(cache_root), options.views
    if options.part:
        manifest = read_part(data, settings, options.part, views=views, index=index, progress=progress)
        for notice in manifest.notices:
            console.say(notice)
        return manifest
    manifest = read_dataset(data, settings, seed=views.seed, index=index, progress=progress)
    print_images(manifest, console)
    return manifest


def _name_engine(settings: BackboneSettings, features: DatasetFeatures, console: Console) -> None:
    """Say by which options the other parts come into the same cache, where they might choose otherwise."""
    spec = features.cache.spec
    if "auto" in (settings.engine, settings.precision):
        console.say(
            f"Other parts belong to the same cache if they, too, are computed by {spec.engine} in {spec.precision}: on "
            f"machines that differ, give all parts --engine {spec.engine} --precision {spec.precision}."
        )


def _print_result(manifest: Manifest, features: DatasetFeatures, seconds: float, console: Console) -> dict[str, Any]:
    for item in (*manifest.skipped, *features.skipped):
        console.detail(f"Skipped: {item.path}: {item.reason}")
    num_skipped = len(manifest.skipped) + len(features.skipped)
    rate = features.misses / features.seconds if features.seconds else 0.0
    speed = f", missing features at {rate:,.1f} per second" if features.misses else ""
    console.say(f"Done in {seconds:.1f} s{speed}. The cache is {features.cache.folder}.")
    if num_skipped:
        files = "1 file was" if num_skipped == 1 else f"{num_skipped:,} files were"
        console.say(f"{files} skipped; -v lists them with the reasons.")
    return {
        "images": sum(len(split.records) for split in features.splits.values()),
        "hits": features.hits,
        "misses": features.misses,
        "skipped": num_skipped,
        "seconds": round(seconds, 3),
        "images_per_second": round(rate, 3),
        "cache": str(features.cache.folder),
    }


def _head_below_the_top(head: HeadSettings, boundary: str) -> SettingError:
    return SettingError(
        f"--head {head.kind} has no effect at --boundary {boundary}: all heads share the features below the top.",
        expected="--head with --boundary top only",
        fix="leave out --head.",
    )
