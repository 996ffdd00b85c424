"""Build a manifest from the user's path: find the files, check them, split them, and collect notices."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import NoReturn

from tlkit.data.class_checks import check_trainable, find_duplicates, find_notices, name_some
from tlkit.data.deep_grey import choose_grey_ranges, describe_grey
from tlkit.data.earlier import EarlierImages
from tlkit.data.file_index import FileIndex
from tlkit.data.formats.annotated import read_annotated
from tlkit.data.formats.box_columns import find_box
from tlkit.data.formats.candidates import Candidate, Candidates
from tlkit.data.formats.folder import read_folder
from tlkit.data.formats.given_splits import give_splits
from tlkit.data.formats.layout import find_layout, has_class_folders, lies_below_images, refuse_unread_annotations
from tlkit.data.formats.table import TABLE_SUFFIXES, TableColumns, read_table
from tlkit.data.image_boxes import ImageBoxes, read_image_boxes
from tlkit.data.image_masks import find_masked, read_image_masks
from tlkit.data.manifest import SPLITS, Finding, ImageRecord, Manifest, SkippedFile
from tlkit.data.near_copies import key_by_similarity
from tlkit.data.object_notices import describe_boxes
from tlkit.data.records import Progress, check_strict, describe_record, look_with, read_records
from tlkit.data.scenes import find_scenes
from tlkit.data.splits import complete_splits, sample_records
from tlkit.errors import DataError, SettingError
from tlkit.metadata.columns import IMAGE_FACTS, ColumnRequest, format_metadata, parse_metadata, texts_of
from tlkit.outputs import GreyRange
from tlkit.places.copies import list_failures
from tlkit.recipes.settings import DataSettings
from tlkit.tasks import find_task


def _no_progress(total: int) -> AbstractContextManager[Callable[[int], None]]:
    return nullcontext(lambda count: None)


def check_exists(data: Path) -> None:
    """Check that the path exists, before any download or heavy import.

    Raises:
        DataError: The path does not exist.
    """
    if not data.exists():
        raise _no_data_set(data, "no such file or folder")


def _no_data_set(data: Path, found: str) -> DataError:
    return DataError(
        f"{data}: {found}.",
        expected=f"a folder of class folders, or a table ({', '.join(TABLE_SUFFIXES)})",
        fix="check the path.",
    )


def read_dataset(
    data: Path,
    settings: DataSettings,
    *,
    seed: int,
    index: FileIndex,
    earlier: EarlierImages | None = None,
    progress: Progress = _no_progress,
) -> Manifest:
    """Read a data set for training.

    Splits in the data are used as they are. A missing validation split, and a missing test split if
    `settings.test_fraction` is above 0, is taken from the training images, or from all images if the data has no
    splits.

    Args:
        data: A folder of class folders, with or without split folders above them, or a table.
        settings: How the images are found, sampled and split.
        seed: Seed of the sample and the splits.
        index: Cached facts about files.
        earlier: What the model to continue from was trained on. None: the classes found, sorted, and grey levels measured
            on the data.
        progress: Shows the progress of the file check.

    Raises:
        DataError: The data does not exist, is not a data set, or a class lacks images.
        SettingError: A setting does not apply to this data.
    """
    boxes, masks = _read_boxes(data, settings), read_image_masks(data, settings, progress)
    found = find_masked(data, masks) if masks else find_candidates(data, settings, boxes)
    class_names = earlier.class_names if earlier else None
    records, unusable, names = read_records(
        data, found.items, settings, class_names, look_with(index, progress), boxes, masks
    )
    records = _add_metadata(records, settings)
    skipped = (*found.skipped, *unusable, *(SkippedFile(*each) for each in list_failures(data).items()))
    check_strict(settings, skipped)
    ordered_names = tuple(names if class_names is None else class_names)
    records = sample_records(records, find_task(settings.task), seed, fraction=settings.sample)
    find_keys = partial(key_by_similarity, grey=earlier.grey if earlier else (), progress=progress)
    keep = earlier.splits if earlier else {}
    records = complete_splits(data, ordered_names, records, settings, seed, keep, find_keys)
    check_trainable(data, find_task(settings.task), ordered_names, records, with_boxes=boxes is not None)
    return _build_manifest(found, settings, ordered_names, records, skipped, boxes, earlier.grey if earlier else None)


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
    """Read labelled images for evaluation; the manifest lists all of them as test images.

    Args:
        data: A folder of class folders or a table. Without splits, all images are used; with splits, one split is.
        settings: How the images are found and sampled; task, target and metadata are the model's.
        class_names: The model's classes or labels, in order. The data need not have all of them.
        index: Cached facts about files.
        split: The split to use; None means `test`, or all images if the data has no splits.
        seed: Seed of the sample.
        progress: Shows the progress of the file check.

    Raises:
        DataError: The data or the split does not exist, there is no usable image, or the model does not know a class.
        SettingError: A split was requested, but the data has none.
    """
    boxes, masks = _read_boxes(data, settings), read_image_masks(data, settings, progress)
    found = find_masked(data, masks) if masks else find_candidates(data, settings, boxes)
    items = _choose_split(data, found.items, split)
    look = look_with(index, progress)
    records, unusable, _ = read_records(data, items, settings, class_names, look, boxes, masks)
    records = _add_metadata(records, settings)
    skipped = (*found.skipped, *unusable, *(SkippedFile(*each) for each in list_failures(data).items()))
    check_strict(settings, skipped)
    records = sample_records(records, find_task(settings.task), seed, fraction=settings.sample)
    records = [dataclasses.replace(record, split="test") for record in records]
    return _build_manifest(found, settings, tuple(class_names), records, skipped, boxes)


def _read_boxes(data: Path, settings: DataSettings) -> ImageBoxes | None:
    return read_image_boxes(data, settings.boxes, with_crowds=find_task(settings.task).has_objects)


def find_candidates(data: Path, settings: DataSettings, boxes: ImageBoxes | None) -> Candidates:
    """Return the files in the folder or the table, at least one, without opening them.

    With boxes, a folder needs no class folders: the classes come from the boxes.

    Raises:
        DataError: There are none, or the data is not a data set.
        SettingError: A setting does not apply to this data.
    """
    if find_task(settings.task).has_objects:
        return find_scenes(data, settings, boxes)
    if data.is_dir():
        _refuse_columns(data, settings)
        found = _read_folder(data, boxes)
    elif data.is_file() and data.suffix.lower() in TABLE_SUFFIXES:
        answer = settings.target if not find_task(settings.task).has_names else settings.label_column
        metadata = _list_table_columns(settings)
        columns = TableColumns(
            settings.image_column,
            answer,
            settings.split_column,
            metadata,
            settings.task,
            settings.label_separator,
        )
        found = read_table(data, columns)
        if not settings.split_column:
            found = give_splits(
                found, annotations=boxes.annotations if boxes else {}, source=boxes.source if boxes else None
            )
    else:
        check_exists(data)
        raise _no_data_set(data, "neither a folder nor a table")
    if not found.items and data.is_file():
        _refuse_empty_table(data, settings, found.skipped)
    if not found.items:
        refuse_unread_annotations(data)
        first = f"; {found.skipped[0].path} is {found.skipped[0].reason}" if found.skipped else ""
        raise DataError(
            f"{data}: no images with a class{first}.",
            expected="DATA/CLASS/images, DATA/train/CLASS/images, or a table of paths and labels",
            fix="sort the images into one folder per class, or list their classes in a table.",
        )
    return found


def _read_folder(data: Path, boxes: ImageBoxes | None) -> Candidates:
    """Return the files of a folder; without class folders, the classes come from the boxes."""
    if boxes is None:
        return read_folder(data)
    layout = find_layout(data)
    if has_class_folders(layout):
        found = read_folder(data, annotation_files=boxes.files)
        names = {item.answer for item in found.items if item.answer}
        if boxes.are_classes(names, may_be_others=lies_below_images(layout, data)):
            return give_splits(found, annotations=boxes.annotations, source=boxes.source)
    return read_annotated(data, boxes.annotations, source=boxes.source)


def _refuse_empty_table(data: Path, settings: DataSettings, skipped: Sequence[SkippedFile]) -> NoReturn:
    task = find_task(settings.task)
    what, option = task.answer_noun, "--label-column" if task.has_names else "--target"
    first = f"; {skipped[0].path}: {skipped[0].reason}" if skipped else ""
    raise DataError(
        f"{data}: no row names an image and its {what}{first}.",
        expected=f"a column of paths and a column with the {what} of each image",
        fix=f"fill in the table, or name its columns with --image-column and {option}.",
    )


def _list_table_columns(settings: DataSettings) -> tuple[ColumnRequest, ...]:
    """Return the metadata columns that must be in the table: those that are not facts about the image file."""
    return tuple(request for request in parse_metadata(settings.metadata) if request.name not in IMAGE_FACTS)


def _refuse_columns(data: Path, settings: DataSettings) -> None:
    """Raise SettingError for settings that need a table, because the data is a folder."""
    if not find_task(settings.task).is_exclusive:
        raise SettingError(
            f"task is {settings.task}, but {data} is a folder.",
            expected=f"a table for {settings.task}: folders give each image only one class",
            fix="use a table of paths and targets instead of the folder.",
        )
    columns = {
        name: getattr(settings, name) for name in ("image_column", "label_column", "label_separator", "split_column")
    }
    columns["metadata"] = format_metadata(_list_table_columns(settings))
    asked = next((name for name, value in columns.items() if value), None)
    if asked:
        raise SettingError(
            f"{asked} is {columns[asked]!r}, but {data} is a folder.",
            expected="column names only with a table",
            fix=f"remove --{asked.replace('_', '-')}, or use a table instead of the folder.",
        )


def _add_metadata(records: list[ImageRecord], settings: DataSettings) -> list[ImageRecord]:
    """Return the records with the requested metadata: the table's cells, and facts about the files."""
    names = [request.name for request in parse_metadata(settings.metadata)]
    from_table = [request.name for request in _list_table_columns(settings)]
    if len(names) == len(from_table):
        return records
    return [
        dataclasses.replace(
            record,
            metadata=texts_of(
                {**describe_record(record), **dict(zip(from_table, record.metadata, strict=True))}, names
            ),
        )
        for record in records
    ]


def _choose_split(data: Path, items: Sequence[Candidate], split: str | None) -> Sequence[Candidate]:
    given = [name for name in SPLITS if any(item.split == name for item in items)]
    if not given:
        if split is not None:
            raise SettingError(
                f"the split {split!r} was requested, but {data} has no splits.",
                expected="--split only with data that has split folders or a split column",
                fix="remove --split to use all images.",
            )
        return items
    requested = split or "test"
    if requested not in given:
        raise DataError(
            f"{data}: there is no {requested} split.",
            expected=f"one of the existing splits: {', '.join(given)}",
            fix=f"use --split {given[-1]}, or other data.",
        )
    return [item for item in items if item.split == requested]


def _build_manifest(
    found: Candidates,
    settings: DataSettings,
    names: tuple[str, ...],
    records: list[ImageRecord],
    skipped: tuple[SkippedFile, ...],
    boxes: ImageBoxes | None,
    grey: tuple[GreyRange, ...] | None = None,
) -> Manifest:
    task = find_task(settings.task)
    box_notices = describe_boxes(boxes, task, records) if boxes else ()
    duplicates, findings = find_duplicates(task, records)
    if boxes:
        findings += (Finding(complaint.path, complaint.kind) for complaint in boxes.report.complaints)
    measured = [record.facts.grey for record in records if record.facts and record.facts.grey]
    ranges = choose_grey_ranges(measured) if grey is None else grey
    notices = (
        *found.notices,
        *name_unused_columns(found, settings),
        *box_notices,
        *duplicates,
        *find_notices(task, names, records, skipped),
        *describe_grey(ranges, measured),
    )
    columns = tuple(request.name for request in parse_metadata(settings.metadata))
    return Manifest(
        found.root, names, tuple(records), skipped, notices, settings.task, columns, tuple(findings), ranges
    )


def name_unused_columns(found: Candidates, settings: DataSettings) -> Iterator[str]:
    """Yield a notice of unused columns of the table; box columns count as used if boxes are requested."""
    boxes = find_box(found.unused_columns)
    unused = [name for name in found.unused_columns if not (settings.boxes and name in boxes)]
    if unused:
        shown = name_some([repr(name) for name in unused], at_most=20)
        yield f"Not used: the column{'s' if len(unused) > 1 else ''} {shown}."
