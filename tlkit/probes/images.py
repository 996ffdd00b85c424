"""The images and targets of probes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.data.dataset import read_dataset
from tlkit.data.file_index import FileIndex
from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.data.splits import limit_records
from tlkit.probes.folds import Fold, make_stratified_folds
from tlkit.recipes import DataSettings
from tlkit.reports.console import Console
from tlkit.tasks import find_task
from tlkit.training.first_model import check_target

MAX_IMAGES = 2000
MAX_IMAGES_WITH_PLACES = 500
"""Where objects or masks are wanted: an image is several hundred places, and its features are a megabyte."""


@dataclass(frozen=True, eq=False)
class Questions:
    """The images, targets and folds that all candidates of a comparison share.

    Attributes:
        manifest: The images, all marked as training images, since each is trained on in some fold.
        targets: The targets of the probes; see `tlkit.probes.probe`.
        folds: The cross-validation folds.
        seed: Seed of random weights, training order, and the validation images of a fold.
    """

    manifest: Manifest
    targets: NDArray[np.floating[Any]]
    folds: tuple[Fold, ...]
    seed: int

    @property
    def answers(self) -> NDArray[np.generic]:
        """The targets for training: class numbers, or labels and values as for probes."""
        is_exclusive = find_task(self.manifest.task).is_exclusive
        return self.manifest.targets(self.manifest.records) if is_exclusive else self.targets


def make_probe_targets(
    manifest: Manifest, records: Sequence[ImageRecord], settings: DataSettings
) -> NDArray[np.floating[Any]]:
    """Return the targets of probes, float (n, outputs); see `Task.encode_targets`."""
    targets = find_task(manifest.task).encode_targets(manifest.targets(records), len(manifest.class_names))
    if settings.target_scale == "log":
        check_target(manifest, settings)
        targets = np.log(targets)
    return targets


def make_questions(manifest: Manifest, settings: DataSettings, seed: int) -> Questions:
    """Divide the images of a manifest into folds, so that each image is predicted once."""
    records = tuple(dataclasses.replace(record, split="train") for record in manifest.records)
    targets = make_probe_targets(manifest, records, settings)
    duplicates = [record.sha256 for record in records]
    folds = make_stratified_folds(find_task(manifest.task).stratify(targets), duplicates=duplicates, seed=seed)
    return Questions(dataclasses.replace(manifest, records=records), targets, folds, seed)


def read_probe_images(data: Path, settings: DataSettings, seed: int, cache_root: Path, console: Console) -> Manifest:
    """Read a data set and keep at most about 2,000 images, 500 with objects or masks, without the test split.

    Raises:
        DataError: The data set is not usable.
        SettingError: A setting does not apply to it.
    """
    progress = partial(console.progress, "Checking")
    manifest = read_dataset(data, settings, seed=seed, index=FileIndex(cache_root), progress=progress)
    for notice in manifest.notices:
        console.detail(notice)
    used = list(manifest.for_training().records)
    task = find_task(manifest.task)
    at_most = MAX_IMAGES_WITH_PLACES if task.has_objects else MAX_IMAGES
    records = limit_records(used, task, seed, at_most=at_most)
    console.say(
        f"{len(records):,} of {len(manifest.records):,} images"
        + (" (without the test split)" if len(used) < len(manifest.records) else "")
        + (f", {len(manifest.metadata_columns)} columns." if manifest.metadata_columns else ".")
    )
    return dataclasses.replace(manifest, records=tuple(records))
