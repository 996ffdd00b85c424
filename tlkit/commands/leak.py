"""Find leaks in metadata: how well metadata, the image, and both together predict the target.

The steps: read the images with all columns of the table and facts about the files, compute features, fit probes that
predict the target from each, and report verdicts in words.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.catalogue import TOP
from tlkit.backbones.weights import check_weights
from tlkit.data.formats.box_columns import find_box
from tlkit.data.formats.table import TABLE_SUFFIXES, TableColumns, list_other_columns
from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.errors import SettingError, name_fix
from tlkit.features.ensure import ensure_features
from tlkit.features.request import FeatureRequest
from tlkit.features.trunk_notes import TrunkRequest
from tlkit.features.trunks import open_trunk
from tlkit.metadata.columns import (
    ALL_IMAGE_FACTS,
    IMAGE_FACTS,
    ColumnRequest,
    format_metadata,
    parse_metadata,
    quote_column_name,
)
from tlkit.metadata.encoding import fit_encoding
from tlkit.places.cache_root import default_cache_root
from tlkit.probes.folds import make_group_folds
from tlkit.probes.images import make_probe_targets, read_probe_images
from tlkit.probes.leak_columns import LeakColumns, make_leak_columns
from tlkit.probes.leak_report import LeakReport
from tlkit.probes.leaks import compute_leak_report
from tlkit.recipes import BackboneSettings, DataSettings, Recipe, ResolvedBackbone, check_recipe, resolve_backbone
from tlkit.reports.console import Console
from tlkit.reports.figures import draw_leaks
from tlkit.reports.output_folder import choose_picture
from tlkit.tasks import find_task
from tlkit.training.first_model import fetch_weights


def run_leak(
    data: Path,
    *,
    data_settings: DataSettings,
    backbone_settings: BackboneSettings,
    group_by: str | None,
    seed: int,
    out: Path | None,
    console: Console,
) -> dict[str, Any]:
    """Test the metadata of images for leaks.

    Args:
        data: A folder of images, or a table. Images of the test split take no part.
        data_settings: How to read the images; `metadata` names the columns to test, all of them if empty.
        backbone_settings: The network that computes the features of the images.
        group_by: A column of groups to hold out as a whole, or None.
        seed: Seed of the folds, and of the sample if there are more than 2,000 images.
        out: The PNG to draw; None for `runs/`, named after the data.
        console: Prints progress and results.

    Returns:
        The JSON result: the scores, the verdict on each column, the `picture` and the `seconds`.

    Raises:
        SettingError: A setting is wrong, or does not apply.
        RunError: `out` lies in the data folder.
        DataError: The data set is not usable.
        BackboneError: The backbone or its weights are not there.
    """
    started = time.perf_counter()
    backbone = resolve_backbone(backbone_settings)
    check_weights(backbone.entry, backbone.weights)
    _refuse_places(data_settings.task)
    check_recipe(Recipe(data=data_settings), source="settings")
    picture = choose_picture(out, data, "metadata")
    data_settings = _choose_columns(data, data_settings, group_by)
    cache_root = default_cache_root()
    fetch_weights(backbone, data)
    manifest = read_probe_images(data, data_settings, seed, cache_root, console)
    records, features = _read_features(manifest, backbone, seed, cache_root, console)

    texts = [record.metadata for record in records]
    requests = parse_metadata(data_settings.metadata)
    groups = []
    if group_by:
        keys = [row[manifest.metadata_columns.index(group_by)] or "(missing)" for row in texts]
        _check_groups(group_by, keys, [record.sha256 for record in records])
        groups = [(group_by, keys)]
    columns = make_leak_columns(fit_encoding(requests, texts), texts)
    report = compute_leak_report(
        manifest.task,
        make_probe_targets(manifest, records, data_settings),
        features,
        columns.judged,
        groups=groups,
        duplicates=[record.sha256 for record in records],
        seed=seed,
    )
    _print_result(report, columns, picture, console)
    left_out = {"one_value": columns.constant, "all_different": columns.unique}
    return {
        **report.to_payload(),
        "left_out": left_out,
        "picture": picture,
        "seconds": round(time.perf_counter() - started, 2),
    }


def _refuse_places(task: str) -> None:
    """Raise SettingError for objects and masks: what is where cannot be read from metadata, and no score says how much."""
    if find_task(task).has_objects:
        raise SettingError(
            f"tlkit leak does not apply to {task}: metadata may tell what is in an image, but not where.",
            expected="one answer for each image: a class, labels or a value",
            fix="to find columns that tell what is in an image, list its classes in a table and use --task multilabel.",
        )


def _choose_columns(data: Path, settings: DataSettings, group_by: str | None) -> DataSettings:
    """Return the settings with the columns to test, including the one to group by."""
    others = _list_columns(data, settings) if data.is_file() and data.suffix.lower() in TABLE_SUFFIXES else []
    names = settings.metadata or format_metadata(map(ColumnRequest, (*others, ALL_IMAGE_FACTS)))
    known = [*others, *IMAGE_FACTS]
    if group_by and data.exists() and group_by not in known:
        raise SettingError(
            f"--group-by {group_by}: no such column.",
            expected=f"one of {', '.join(known)}",
            fix=name_fix(group_by, known),
        )
    if group_by and group_by not in [request.name for request in parse_metadata(names)]:
        names = f"{names},{quote_column_name(group_by)}"
    return dataclasses.replace(settings, metadata=names)


def _list_columns(data: Path, settings: DataSettings) -> list[str]:
    """Return the columns of a table that can be tested: not path, target, split or box."""
    answer = settings.target if not find_task(settings.task).has_names else settings.label_column
    columns = TableColumns(settings.image_column, answer, settings.split_column, task=settings.task)
    others = list_other_columns(data, columns)
    boxes = find_box(others)
    return [name for name in others if name not in boxes]


def _check_groups(name: str, keys: Sequence[str], duplicates: Sequence[str]) -> None:
    if len(set(keys)) < 2:
        raise SettingError(
            f"--group-by {name}: all images are in one group, {keys[0]!r}.",
            expected="a column with two or more values",
            fix="use another column.",
        )
    try:
        make_group_folds(keys, duplicates=duplicates)
    except ValueError as error:
        raise SettingError(
            f"--group-by {name}: the groups share their images, so none remain for training.",
            expected="groups with images of their own",
            fix="use another column.",
        ) from error


def _read_features(
    manifest: Manifest, backbone: ResolvedBackbone, seed: int, cache_root: Path, console: Console
) -> tuple[list[ImageRecord], NDArray[np.float32]]:
    """Return the images that have features, and the features, pooled, float32 (n, channels)."""
    features = ensure_features(
        manifest,
        open_trunk(TrunkRequest(backbone, "avg", TOP, seed), cache_root, console),
        FeatureRequest(backbone, TOP),
        cache_root=cache_root,
        console=console,
    )
    parts = [features.splits[split] for split in ("train", "validation")]
    records = [record for part in parts for record in part.records]
    positions = np.concatenate([part.positions[:, 0] for part in parts])
    return records, features.cache.read(positions).astype(np.float32)


def _print_result(report: LeakReport, columns: LeakColumns, picture: Path, console: Console) -> None:
    for table in report.tables():
        console.table(*table)
    for sentence in report.sentences:
        console.say(sentence)
    if columns.constant:
        console.say(f"Skipped, because they have only one value: {', '.join(columns.constant)}.")
    if columns.unique:
        console.say(f"Skipped, because every image has a different value: {', '.join(columns.unique)}.")
    picture.parent.mkdir(parents=True, exist_ok=True)
    draw_leaks(picture, **report.chart())
    console.say(f"Picture: {picture}")
