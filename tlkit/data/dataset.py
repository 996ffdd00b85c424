"""From what the user named to a manifest: find the files, check them, divide them, tell what is odd about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from tlkit.data.class_checks import (
    check_class_names,
    check_enough_images,
    check_trainable,
    find_notices,
)
from tlkit.data.file_index import FileIndex
from tlkit.data.formats.candidates import Candidate, Candidates
from tlkit.data.formats.folder import has_class_folders, read_folder
from tlkit.data.formats.table import TABLE_SUFFIXES, read_table
from tlkit.data.image_boxes import ImageBoxes, read_image_boxes
from tlkit.data.manifest import SPLITS, ImageRecord, Manifest, SetAside
from tlkit.data.splits import assign_splits, sample_stratified
from tlkit.errors import DataError, SettingError
from tlkit.recipes.settings import DataSettings

Progress = Callable[[int], AbstractContextManager[Callable[[int], None]]]
"""Called with the number of files to check; gives a context in which a function is told of files done."""

_NOT_GIVEN = ""


def _no_progress(total: int) -> AbstractContextManager[Callable[[int], None]]:
    return nullcontext(lambda count: None)


def read_dataset(
    data: Path,
    settings: DataSettings,
    *,
    seed: int,
    index: FileIndex,
    class_names: Sequence[str] | None = None,
    keep: Mapping[str, str] | None = None,
    progress: Progress = _no_progress,
) -> Manifest:
    """Read a data set to train on.

    Splits that the data gives are used as they are. What it lacks is cut from its training images, or from all images
    where it gives no splits: a validation split always, a test split if `settings.test_fraction` is above 0.

    Args:
        data: A folder of class folders, with or without split folders above them, or a table.
        settings: How the images are found, sampled and divided.
        seed: Decides over the sample and the division.
        index: Knows the files of earlier looks.
        class_names: The classes of a model that is trained on, in label order; the data must have the same ones. None:
            the classes found, sorted.
        keep: Splits of images by hash, from the run that this one starts from. They are honoured where the data gives
            none, so that no image that was validated on is trained on.
        progress: Shows how far the check of the files has come.

    Raises:
        DataError: There is no such data, it is not a data set, or a class lacks images.
        SettingError: A setting does not apply to this data.
    """
    boxes = read_image_boxes(data, settings.boxes)
    found = _find_candidates(data, settings, boxes)
    names = sorted({item.class_name for item in found.items})
    check_class_names(data, names, class_names)
    records, unusable = _check_files(data, found.items, index, progress, boxes)
    set_aside = (*found.set_aside, *unusable)
    _check_strict(settings, set_aside)
    ordered_names = tuple(names if class_names is None else class_names)
    records = _sample(records, settings.sample, seed)
    records = _complete_splits(data, ordered_names, records, settings, seed, keep)
    check_trainable(data, ordered_names, records, with_boxes=boxes is not None)
    return _build_manifest(found, ordered_names, records, set_aside, boxes)


def read_evaluation_set(
    data: Path,
    settings: DataSettings,
    *,
    class_names: Sequence[str],
    index: FileIndex,
    split: str | None = None,
    seed: int = 0,
    progress: Progress = _no_progress,
) -> Manifest:
    """Read labelled images to score a model on; in the manifest all of them are test images.

    Args:
        data: A folder of class folders or a table, all of which is used; or one with splits, of which one is used.
        settings: How the images are found and sampled.
        class_names: The model's classes, in label order. The data need not have all of them.
        index: Knows the files of earlier looks.
        split: The split to use; None means `test`, and is right for data without splits.
        seed: Decides over the sample.
        progress: Shows how far the check of the files has come.

    Raises:
        DataError: There is no such data, no usable image, no such split, or a class that the model does not know.
        SettingError: A split was asked for, but the data has none.
    """
    boxes = read_image_boxes(data, settings.boxes)
    found = _find_candidates(data, settings, boxes)
    items = _choose_split(data, found.items, split)
    check_class_names(data, {item.class_name for item in items}, class_names)
    records, unusable = _check_files(data, items, index, progress, boxes)
    set_aside = (*found.set_aside, *unusable)
    _check_strict(settings, set_aside)
    records = [dataclasses.replace(record, split="test") for record in _sample(records, settings.sample, seed)]
    return _build_manifest(found, tuple(class_names), records, set_aside, boxes)


def _find_candidates(data: Path, settings: DataSettings, boxes: ImageBoxes | None) -> Candidates:
    """Return the files that the folder or the table names; at least one.

    Where boxes are learnt, a folder may hold images without class folders: their classes are those of their boxes.
    """
    columns = {name: getattr(settings, name) for name in ("image_column", "label_column", "split_column")}
    if data.is_dir():
        asked = next((name for name, value in columns.items() if value), None)
        if asked:
            raise SettingError(
                f"{asked} is {columns[asked]!r}, but {data} is a folder.",
                expected="the names of columns only with a table",
                fix=f"leave out --{asked.replace('_', '-')}, or name the table instead of the folder.",
            )
        found = read_folder(data) if boxes is None or has_class_folders(data) else boxes.candidates(data)
    elif data.is_file() and data.suffix.lower() in TABLE_SUFFIXES:
        found = read_table(data, **columns)
    else:
        raise DataError(
            f"{data}: {'neither a folder nor a table' if data.exists() else 'there is no such file or folder'}.",
            expected=f"a folder of class folders, or a table ({', '.join(TABLE_SUFFIXES)})",
            fix="check the path.",
        )
    if not found.items:
        first = f"; {found.set_aside[0].path} is {found.set_aside[0].reason}" if found.set_aside else ""
        raise DataError(
            f"{data}: there are no images with a class{first}.",
            expected="DATA/CLASS/images, DATA/train/CLASS/images, or a table of paths and labels",
            fix="sort the images into one folder a class, or name their classes in a table.",
        )
    return found


def _choose_split(data: Path, items: Sequence[Candidate], split: str | None) -> Sequence[Candidate]:
    given = [name for name in SPLITS if any(item.split == name for item in items)]
    if not given:
        if split is not None:
            raise SettingError(
                f"the split {split!r} was asked for, but {data} has no splits.",
                expected="--split only with data that has split folders or a split column",
                fix="leave out --split to use all of it.",
            )
        return items
    wanted = split or "test"
    if wanted not in given:
        raise DataError(
            f"{data}: there is no {wanted} split.",
            expected=f"one that it has: {', '.join(given)}",
            fix=f"use --split {given[-1]}, or name other data.",
        )
    return [item for item in items if item.split == wanted]


def _check_files(
    data: Path, items: Sequence[Candidate], index: FileIndex, progress: Progress, boxes: ImageBoxes | None
) -> tuple[list[ImageRecord], list[SetAside]]:
    """Decode what is not known to be sound; return the usable images, not given splits empty, and the other files."""
    with progress(len(items)) as advance:
        facts = index.look([item.path for item in items], advance=advance)
    records, set_aside = [], []
    for item, fact in zip(items, facts, strict=True):
        if fact.reason is None:
            split = item.split or _NOT_GIVEN
            box = boxes.find(fact) if boxes else None
            records.append(ImageRecord(item.path, fact.sha256, fact.width, fact.height, split, item.class_name, box))
        else:
            set_aside.append(SetAside(item.path, fact.reason))
    if not records:
        raise DataError(
            f"{data}: none of {len(items):,} files is a usable image; {set_aside[0].path}: {set_aside[0].reason}.",
            expected="images in any format that Pillow reads",
            fix="check the folder, or the paths in the table.",
        )
    return records, set_aside


def _check_strict(settings: DataSettings, set_aside: Sequence[SetAside]) -> None:
    """Raise DataError for the first file that cannot be used, if the user wants none set aside."""
    if settings.strict and set_aside:
        raise DataError(
            f"{set_aside[0].path}: {set_aside[0].reason}.",
            expected="nothing but usable images, as --strict demands",
            fix="mend or remove the file, or leave out --strict to set it aside.",
        )


def _sample(records: list[ImageRecord], fraction: float, seed: int) -> list[ImageRecord]:
    if fraction == 1:
        return records
    hashes = [record.sha256 for record in records]
    strata = [(record.split, record.class_name) for record in records]
    return [records[position] for position in sample_stratified(hashes, strata, fraction=fraction, seed=seed)]


def _complete_splits(
    data: Path,
    names: Sequence[str],
    records: list[ImageRecord],
    settings: DataSettings,
    seed: int,
    keep: Mapping[str, str] | None,
) -> list[ImageRecord]:
    """Return the records, all with a split: what the data lacks is cut from training, or from everything."""
    given = {record.split for record in records} - {_NOT_GIVEN}
    _check_fractions(data, settings, given)
    validation_fraction = 0.0 if "validation" in given else settings.validation_fraction
    if validation_fraction == settings.test_fraction == 0:
        return records
    pool = [record for record in records if record.split in (_NOT_GIVEN, "train")]
    check_enough_images(data, names, pool)
    assigned = iter(
        assign_splits(
            [record.sha256 for record in pool],
            [record.class_name for record in pool],
            validation_fraction=validation_fraction,
            test_fraction=settings.test_fraction,
            seed=seed,
            keep=keep,
        )
    )
    return [
        dataclasses.replace(record, split=next(assigned)) if record.split in (_NOT_GIVEN, "train") else record
        for record in records
    ]


def _check_fractions(data: Path, settings: DataSettings, given: set[str]) -> None:
    """Check that the settings of the division go with the splits that the data gives.

    Raises:
        DataError: There is nothing to train on, or nothing to validate on.
        SettingError: A test fraction is asked for where there are test images.
    """
    if given and "train" not in given:
        raise DataError(
            f"{data}: there are no usable training images, only {' and '.join(sorted(given))}.",
            expected="a split named train or training",
            fix="add the training images, or name a folder of class folders.",
        )
    if "validation" not in given and settings.validation_fraction == 0:
        raise DataError(
            f"{data}: there are no validation images, and validation_fraction is 0.",
            expected="images to measure the training by",
            fix="set validation_fraction above 0, such as 0.2.",
        )
    if "test" in given and settings.test_fraction > 0:
        raise SettingError(
            f"test_fraction is {settings.test_fraction:g}, but {data} has test images of its own.",
            expected="a test fraction only where the data has no test split",
            fix="leave out test_fraction.",
        )
    if settings.validation_fraction + settings.test_fraction >= 1:
        raise SettingError(
            f"validation_fraction and test_fraction are {settings.validation_fraction:g} and {settings.test_fraction:g}.",
            expected="less than 1 together",
            fix="make one of them smaller.",
        )


def _build_manifest(
    found: Candidates,
    names: tuple[str, ...],
    records: list[ImageRecord],
    set_aside: tuple[SetAside, ...],
    boxes: ImageBoxes | None,
) -> Manifest:
    told = boxes.report.sentences() if boxes else ()
    notices = (*found.notices, *told, *find_notices(names, records, set_aside))
    return Manifest(found.root, names, tuple(records), set_aside, notices)
