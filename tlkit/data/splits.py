"""Split images into training, validation and test, stratified by class.

The order of images depends only on the seed and the hash of their bytes, not on names, list order or the other images
of the class. Images with the same bytes stay together.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from pathlib import Path

from tlkit.data.class_checks import check_enough_images
from tlkit.data.manifest import SPLITS, ImageRecord
from tlkit.errors import DataError, SettingError
from tlkit.recipes.settings import SIMILARITY, DataSettings
from tlkit.tasks import Task, find_task


def assign_splits(
    sha256s: Sequence[str],
    class_names: Sequence[str],
    *,
    validation_fraction: float,
    test_fraction: float,
    seed: int,
    keep: Mapping[str, str] | None = None,
) -> list[str]:
    """Assign a split to every image.

    Each class is split separately. Its distinct images are allotted by the largest-remainder method; with two or more
    images, at least one goes to training and one to each other split with a fraction, validation first.

    Args:
        sha256s: Hash of each image's bytes.
        class_names: Class of each image. Identical images in two classes count for the alphabetically first class.
        validation_fraction: Fraction of the images for validation, 0 <= x < 1; 0 for no validation.
        test_fraction: Fraction of the images for test, likewise. The sum of both is below 1.
        seed: Seed of the split.
        keep: Splits by hash from an earlier run. They are kept, whatever the fractions; new images fill up the splits.

    Returns:
        One of SPLITS for each image.
    """
    if not 0 <= validation_fraction + test_fraction < 1:
        raise ValueError(f"Fractions must leave images for training. Received: {validation_fraction}, {test_fraction}")
    fractions = {
        "train": 1 - validation_fraction - test_fraction,
        "validation": validation_fraction,
        "test": test_fraction,
    }
    home = _find_home_classes(sha256s, class_names)
    split_of: dict[str, str] = {}
    for members in _group(home).values():
        split_of |= _divide(_rank(members, f"split/{seed}"), fractions, keep or {})
    return [split_of[sha256] for sha256 in sha256s]


def sample_stratified(
    sha256s: Sequence[str], strata: Sequence[Hashable], *, fraction: float, seed: int, least: int = 2
) -> list[int]:
    """Return the positions, ascending, of a stratified sample of the images.

    Args:
        sha256s: Hash of each image's bytes; images with the same bytes stay together.
        strata: Stratum of each image: its class, or its class and split.
        fraction: Fraction of each stratum's distinct images, 0 < x <= 1, rounded.
        seed: Seed of the sample. With the same seed, a larger fraction contains a smaller one.
        least: Minimum number of distinct images per stratum, if it has that many.
    """
    by_stratum: dict[Hashable, set[str]] = defaultdict(set)
    for sha256, stratum in zip(sha256s, strata, strict=True):
        by_stratum[stratum].add(sha256)
    taken = {
        stratum: set(_rank(members, f"sample/{seed}")[: max(least, math.floor(fraction * len(members) + 0.5))])
        for stratum, members in by_stratum.items()
    }
    pairs = enumerate(zip(sha256s, strata, strict=True))
    return [position for position, (sha256, stratum) in pairs if sha256 in taken[stratum]]


def _find_home_classes(sha256s: Sequence[str], class_names: Sequence[str]) -> dict[str, str]:
    home: dict[str, str] = {}
    for sha256, class_name in zip(sha256s, class_names, strict=True):
        home[sha256] = min(class_name, home.get(sha256, class_name))
    return home


def _group(home: Mapping[str, str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for sha256, class_name in home.items():
        groups[class_name].append(sha256)
    return groups


def _rank(sha256s: Iterable[str], salt: str) -> list[str]:
    """Return hashes in a random order given by the salt, consistent for every subset."""
    return sorted(sha256s, key=lambda sha256: hashlib.sha256(f"{salt}/{sha256}".encode()).digest())


def _divide(ranked: Sequence[str], fractions: Mapping[str, float], keep: Mapping[str, str]) -> dict[str, str]:
    """Return the split of each distinct image of one class."""
    split_of = {sha256: keep[sha256] for sha256 in ranked if sha256 in keep}
    kept = Counter(split_of.values())
    waiting = [sha256 for sha256 in ranked if sha256 not in keep]
    targets = _count_shares(len(ranked), fractions)
    for split in ("validation", "test"):
        num_missing = max(0, targets[split] - kept[split])
        split_of |= dict.fromkeys(waiting[:num_missing], split)
        waiting = waiting[num_missing:]
    return split_of | dict.fromkeys(waiting, "train")


def _count_shares(num_images: int, fractions: Mapping[str, float]) -> dict[str, int]:
    """Return the number of images for each split, by the largest-remainder method; ties go to the earlier of SPLITS."""
    shares = {split: math.floor(num_images * fractions[split]) for split in SPLITS}
    by_remainder = sorted(SPLITS, key=lambda split: shares[split] - num_images * fractions[split])
    for split in by_remainder[: num_images - sum(shares.values())]:
        shares[split] += 1
    needy = [split for split in SPLITS if fractions[split] > 0 and shares[split] == 0]
    for split in needy:
        richest = max(SPLITS, key=lambda name: shares[name])
        if shares[richest] > 1:
            shares[richest] -= 1
            shares[split] += 1
    return shares


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
    find_keys: Callable[[Sequence[ImageRecord]], Mapping[str, str]],
) -> list[ImageRecord]:
    """Return the records, all with a split; missing splits are taken from training, or from all images.

    With `group_by = similarity`, images to whose hashes `find_keys` gives the same key stay together, as equal files do.
    """
    given = {record.split for record in records} - {NOT_GIVEN}
    check_fractions(data, settings, given)
    validation_fraction = 0.0 if "validation" in given else settings.validation_fraction
    groups_copies = settings.group_by == SIMILARITY
    if validation_fraction == settings.test_fraction == 0:
        if groups_copies:
            raise SettingError(
                f"group_by is {SIMILARITY}, but {data} has all its splits already.",
                expected="data of which a split is made here",
                fix="remove --group-by, or use a folder of class folders without split folders.",
            )
        return records
    pool = [record for record in records if record.split in (NOT_GIVEN, "train")]
    task = find_task(settings.task)
    check_enough_images(data, task, names, pool)
    keys = find_keys(pool) if groups_copies else {record.sha256: record.sha256 for record in pool}
    kept = {keys[sha256]: keep[sha256] for sha256 in keys if sha256 in keep}
    shared_keys = [keys[record.sha256] for record in pool]
    splits = assign_splits(
        shared_keys,
        task.find_strata([record.answer for record in pool]),
        validation_fraction=validation_fraction,
        test_fraction=settings.test_fraction,
        seed=seed,
        keep=kept,
    )
    if task.has_objects and validation_fraction > 0:
        splits = _spread_names(shared_keys, [task.names_of(record.answer) for record in pool], splits, kept)
    assigned = iter(splits)
    return [
        dataclasses.replace(record, split=next(assigned)) if record.split in (NOT_GIVEN, "train") else record
        for record in records
    ]


def _spread_names(
    keys: Sequence[str], names: Sequence[Collection[str]], splits: Sequence[str], keep: Collection[str]
) -> list[str]:
    """Return the splits with an image of every name for training and, as far as there is another, for validation.

    An image has several names and one stratum, its rarest, so one split may have got all images of another name. Images
    with the same key move together; those of an earlier run, whose keys are in `keep`, stay.
    """
    names_of: dict[str, set[str]] = defaultdict(set)
    for key, of_image in zip(keys, names, strict=True):
        names_of[key].update(of_image)
    split_of = dict(zip(keys, splits, strict=True))
    counts = Counter((split_of[key], name) for key, own in names_of.items() for name in own)
    every_name = sorted({name for own in names_of.values() for name in own})
    for wanted, givers in (("train", ("validation", "test")), ("validation", ("train",))):
        for name in every_name:
            if counts[wanted, name]:
                continue
            movable = [key for key in names_of if name in names_of[key] and split_of[key] in givers and key not in keep]
            spare = [key for key in movable if all(counts[split_of[key], own] > 1 for own in names_of[key])]
            for moved in (spare or (movable if wanted == "train" else []))[:1]:
                counts.subtract((split_of[moved], own) for own in names_of[moved])
                counts.update((wanted, own) for own in names_of[moved])
                split_of[moved] = wanted
    return [split_of[key] for key in keys]


def check_fractions(data: Path, settings: DataSettings, given: set[str]) -> None:
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
            fix="reduce one of them.",
        )
