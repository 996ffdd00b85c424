"""Sample a data set, and complete its splits."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from tlkit.data.class_checks import check_enough_images
from tlkit.data.manifest import ImageRecord
from tlkit.data.splits import assign_splits, sample_stratified
from tlkit.errors import DataError, SettingError
from tlkit.recipes.settings import DataSettings
from tlkit.tasks import Task, find_task

NOT_GIVEN = ""
"""The split of a record that has none in the data."""


def sample_records(records: list[ImageRecord], task: Task, seed: int, *, fraction: float) -> list[ImageRecord]:
    """Sample a fraction of the records, stratified by group and split; all of them if `fraction` is 1 or more."""
    if fraction >= 1:
        return records
    hashes = [record.sha256 for record in records]
    groups = task.find_strata([record.answer for record in records])
    strata = [(record.split, group) for record, group in zip(records, groups, strict=True)]
    return [records[position] for position in sample_stratified(hashes, strata, fraction=fraction, seed=seed)]


def limit_records(records: list[ImageRecord], task: Task, seed: int, *, at_most: int) -> list[ImageRecord]:
    """Sample at most about `at_most` records, stratified by group and split."""
    return sample_records(records, task, seed, fraction=at_most / max(1, len(records)))


def complete_splits(
    data: Path,
    names: Sequence[str],
    records: list[ImageRecord],
    settings: DataSettings,
    seed: int,
    keep: Mapping[str, str],
) -> list[ImageRecord]:
    """Return the records, all with a split; missing splits are taken from training, or from all images."""
    given = {record.split for record in records} - {NOT_GIVEN}
    _check_fractions(data, settings, given)
    validation_fraction = 0.0 if "validation" in given else settings.validation_fraction
    if validation_fraction == settings.test_fraction == 0:
        return records
    pool = [record for record in records if record.split in (NOT_GIVEN, "train")]
    task = find_task(settings.task)
    check_enough_images(data, task, names, pool)
    assigned = iter(
        assign_splits(
            [record.sha256 for record in pool],
            task.find_strata([record.answer for record in pool]),
            validation_fraction=validation_fraction,
            test_fraction=settings.test_fraction,
            seed=seed,
            keep=keep,
        )
    )
    return [
        dataclasses.replace(record, split=next(assigned)) if record.split in (NOT_GIVEN, "train") else record
        for record in records
    ]


def _check_fractions(data: Path, settings: DataSettings, given: set[str]) -> None:
    """Check that the split settings match the splits in the data.

    Raises:
        DataError: There are no training images, or no validation images.
        SettingError: A test fraction is set, but the data has test images.
    """
    if given and "train" not in given:
        raise DataError(
            f"{data}: there are no usable training images, only {' and '.join(sorted(given))}.",
            expected="a split named train or training",
            fix="add the training images, or use a folder of class folders.",
        )
    if "validation" not in given and settings.validation_fraction == 0:
        raise DataError(
            f"{data}: there are no validation images, and validation_fraction is 0.",
            expected="images to validate on",
            fix="set validation_fraction above 0, such as 0.2.",
        )
    if "test" in given and settings.test_fraction > 0:
        raise SettingError(
            f"test_fraction is {settings.test_fraction:g}, but {data} already has a test split.",
            expected="a test fraction only if the data has no test split",
            fix="remove test_fraction.",
        )
    if settings.validation_fraction + settings.test_fraction >= 1:
        raise SettingError(
            f"validation_fraction and test_fraction are {settings.validation_fraction:g} and "
            f"{settings.test_fraction:g}.",
            expected="a sum below 1",
            fix="make one of them smaller.",
        )
