"""Find the images of a task whose answer is the objects in an image: with boxes, in a folder or by a table."""

from __future__ import annotations

import os
from pathlib import Path

from tlkit.data.class_checks import name_some
from tlkit.data.formats.candidates import Candidates
from tlkit.data.formats.scenes import list_images, name_class_folders, read_scenes
from tlkit.data.formats.table_file import TABLE_SUFFIXES
from tlkit.data.image_boxes import ImageBoxes
from tlkit.errors import DataError, SettingError
from tlkit.places.copies import show_path
from tlkit.recipes.settings import DataSettings

_TABLE_SETTINGS = ("image_column", "label_column", "label_separator", "split_column", "metadata")


def find_scenes(data: Path, settings: DataSettings, boxes: ImageBoxes | None) -> Candidates:
    """Return the images of a folder, or those that a table of boxes names, without opening them.

    Images of a folder without annotation are background, except where a COCO file lists all images.

    Raises:
        DataError: There is no image.
        SettingError: There are no boxes, or a setting does not apply.
    """
    if boxes is None:
        raise SettingError(
            f"task is {settings.task}, but no boxes are given.",
            expected="--boxes with the annotations of the images: PASCAL VOC, COCO, YOLO or a table",
            fix=f"add --boxes ANNOTATIONS, or --boxes {show_path(data)} if they are beside the images.",
        )
    _refuse_settings(data, settings)
    if data.is_dir():
        found = _read_folder(data, boxes)
    else:
        _check_table(data, settings, boxes)
        found = read_scenes(data.parent, boxes.annotations, source=boxes.source, others=(), are_background=False)
    boxes.name_only_class()
    if not found.items:
        first = f"; {found.skipped[0].path}: {found.skipped[0].reason}" if found.skipped else ""
        raise DataError(
            f"{data}: no annotated image{first}.",
            expected=f"images that {boxes.source} annotates",
            fix="check that the images and the annotations belong together.",
        )
    return found


def _read_folder(data: Path, boxes: ImageBoxes) -> Candidates:
    others = list_images(data, without=boxes.annotations.keys() | boxes.files)
    found = read_scenes(
        data,
        boxes.annotations,
        source=boxes.source,
        others=others,
        are_background=boxes.format_name != "COCO",
    )
    folders = name_class_folders(data)
    if folders:
        boxes.report.remarks.append(f"The boxes give the classes, not the image folders: {name_some(folders)}.")
    return found


def _refuse_settings(data: Path, settings: DataSettings) -> None:
    asked = next((name for name in _TABLE_SETTINGS if getattr(settings, name)), None)
    if asked:
        raise SettingError(
            f"{asked} is {getattr(settings, asked)!r}, but the task is {settings.task}.",
            expected="images, classes and splits from the annotations, or from split folders",
            fix=f"remove --{asked.replace('_', '-')}.",
        )


def _check_table(data: Path, settings: DataSettings, boxes: ImageBoxes) -> None:
    """Check that the data is the table of the boxes itself."""
    if not data.exists():
        raise DataError(f"{data}: no such file or folder.", expected="a folder of images", fix="check the path.")
    if boxes.source != Path(os.path.abspath(data)) or data.suffix.lower() not in TABLE_SUFFIXES:  # noqa: PTH100
        raise SettingError(
            f"task is {settings.task}, but {data} is neither a folder nor the table of the boxes.",
            expected="a folder of images with --boxes, or one table for both",
            fix=f"use the folder of the images, or --boxes {show_path(data)}.",
        )
