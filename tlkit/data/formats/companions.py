"""Files beside the images that are not training images: annotations, masks and thumbnails."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from tlkit.data.boxes import parse_numbers
from tlkit.data.formats.box_columns import find_box
from tlkit.data.signatures import IMAGE_SUFFIXES

ANNOTATION_SUFFIXES = frozenset({".xml", ".txt", ".json", ".yaml", ".yml", ".csv", ".tsv", ".parquet"})
VOC, COCO, YOLO, LABELME = "PASCAL VOC annotation", "COCO annotation", "YOLO annotation", "LabelMe annotation"
TABLE = "table of boxes"
READABLE = (VOC, COCO, TABLE, YOLO)
"""Formats that `--boxes` reads."""
MASK, THUMBNAIL = "mask of an image", "thumbnail of another file"

ANNOTATION_SUFFIXES = frozenset({".xml", ".json", ".txt", ".csv", ".tsv"})
_HEAD_BYTES = 1 << 16
_MASK_FOLDERS = frozenset({"mask", "masks", "segmentation", "segmentations", "segmentationclass", "segmentationobject"})
_MASK_NAME = re.compile(r"(.+?)[ _.-]*(?:mask|masks|seg|segmentation|groundtruth|gt)(?:[ _-]?\d+)?", re.IGNORECASE)


def find_companions(files: Iterable[Path]) -> dict[Path, str]:
    """Return the companion files and their kinds, each one of the names above.

    A mask is recognized by its name and its image: `1_mask.png` beside `1.png`, or `masks/1.png` beside `images/1.png`.

    Args:
        files: All files of a class or a folder; annotations are opened, images are not.
    """
    files = list(files)
    stems = {(path.parent, path.stem.casefold()) for path in files if path.suffix.lower() in IMAGE_SUFFIXES}
    beside = {(path.parent.parent, path.stem.casefold()) for path in files if not is_mask_folder(path.parent.name)} | {
        (path.parent, path.stem.casefold()) for path in files
    }
    kinds: dict[Path, str] = {}
    for path in files:
        suffix = path.suffix.lower()
        if suffix in ANNOTATION_SUFFIXES:
            kind = recognize_annotation(path, has_image=(path.parent, path.stem.casefold()) in stems)
        elif suffix == ".thm":
            kind = THUMBNAIL
        else:
            kind = MASK if suffix in IMAGE_SUFFIXES and _is_mask(path, stems, beside) else None
        if kind:
            kinds[path] = kind
    return kinds


def is_mask_folder(name: str) -> bool:
    """Return whether a folder of this name contains masks if it is next to an image folder."""
    return name.casefold() in _MASK_FOLDERS


def is_thumbnail_folder(name: str) -> bool:
    """Return whether a folder of this name may contain thumbnails."""
    return name.casefold().strip("_ ") in ("thumb", "thumbs", "thumbnail", "thumbnails")


def recognize_annotation(path: Path, *, has_image: bool = False) -> str | None:
    """Return the kind of annotation that a file is, by its suffix and first bytes; None if it is not one.

    Args:
        path: The file.
        has_image: Whether an image of the same name is beside it; an empty text file then means no boxes.
    """
    suffix = path.suffix.lower()
    if suffix not in ANNOTATION_SUFFIXES:
        return None
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except (OSError, ValueError):
        return None
    if suffix == ".xml":
        return VOC if b"<annotation" in head.replace(b"\0", b"") else None
    if suffix == ".json":
        is_coco = b'"annotations"' in head or (b'"images"' in head and b'"file_name"' in head)
        may_go_on = len(head) == _HEAD_BYTES and b'"categories"' in head
        return COCO if is_coco or may_go_on else LABELME if b'"shapes"' in head else None
    first_line = next(iter(head.decode("utf-8-sig", "replace").strip().splitlines()), "")
    if suffix in (".csv", ".tsv"):
        return TABLE if find_box([name.strip(" \"'") for name in re.split("[,;\t]", first_line)]) else None
    return _recognize_text(first_line.split(), has_image)


def _recognize_text(first_line: list[str], has_image: bool) -> str | None:
    return YOLO if (has_image and not first_line) or (len(first_line) >= 5 and parse_numbers(first_line)) else None


def _is_mask(path: Path, stems: set[tuple[Path, str]], beside: set[tuple[Path, str]]) -> bool:
    match = _MASK_NAME.fullmatch(path.stem)
    names = {path.stem.casefold(), *([match[1].casefold()] if match else [])}
    if is_mask_folder(path.parent.name):
        return any((path.parent.parent, name) in beside for name in names)
    return match is not None and (path.parent, match[1].casefold()) in stems
