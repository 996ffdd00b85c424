"""Read boxes from COCO: JSON files with images, annotations and categories, one for all images or one per split."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from tlkit.data.boxes import CROWD, Annotation, BoxLabel, Complaint, FindImage, parse_numbers, parse_size
from tlkit.data.formats.given_splits import find_split_in_name, find_splits_in_path
from tlkit.data.sources import walk_files
from tlkit.errors import DataError
from tlkit.outputs import normalize_name

MAX_JSON_BYTES = 2**30

_Id = int | float | str
_Entries = dict[_Id, dict[str, Any]]


def read_coco(path: Path, find_image: FindImage) -> Iterator[Annotation | Complaint]:
    """Yield annotations from a COCO file, or from all COCO files in a folder, in the order of their images.

    The box of a crowd, which encloses many objects, is marked. An annotation without a box gets the bounding box of its
    segmentation.

    Args:
        path: The file, or a folder with such files at any depth; absolute.
        find_image: Called with every image's `file_name`.

    Raises:
        DataError: The file cannot be read, or is not COCO.
    """
    if not path.is_dir():
        yield from _read_file(path, _read_json(path), find_image)
        return
    for file in walk_files(path):
        if file.path.suffix.lower() != ".json":
            continue
        try:
            content = _read_json(file.path)
        except DataError:
            yield Complaint("JSON file that is not a COCO annotation; skipped", file.path)
            continue
        if content["annotations"] and not any(map(_has_place, content["annotations"])):
            yield Complaint("COCO file without boxes; skipped", file.path)
            continue
        yield from _read_file(file.path, content, find_image)


def _read_file(path: Path, content: dict[str, Any], find_image: FindImage) -> Iterator[Annotation | Complaint]:
    complaints: list[Complaint] = []
    images = _by_id(content["images"], "image", path, complaints)
    categories = _by_id(content.get("categories", []), "category", path, complaints)
    names = {key: _text(entry.get("name")) for key, entry in categories.items()}
    boxes: dict[_Id, list[BoxLabel]] = {key: [] for key in images}
    for entry in content["annotations"]:
        kind = _file_box(entry, boxes, names)
        if kind:
            complaints.append(Complaint(kind, path))
    yield from complaints
    split = find_split_in_name(path.stem)
    for key, entry in images.items():
        name = _text(entry.get("file_name"))
        found = find_image(name, beside=[path.parent])
        if len(found) > 1 and split:
            found = [image for image in found if split in find_splits_in_path(image)]
        if len(found) == 1:
            size = parse_size(entry.get("width"), entry.get("height"))
            yield Annotation(found[0], size, tuple(boxes[key]), shape="extents", source=path)
        else:
            what = "ambiguous" if found else "missing"
            yield Complaint(f"image entry whose file is {what}; skipped", path.parent / name)


def _has_place(entry: object) -> bool:
    return isinstance(entry, dict) and bool(entry.get("bbox") or entry.get("segmentation"))


def _file_box(entry: object, boxes: Mapping[_Id, list[BoxLabel]], names: Mapping[_Id, str]) -> str:
    """Add an annotation's box to its image; return what is wrong with it, or an empty string."""
    if not isinstance(entry, dict):
        return "annotation that is not an object; skipped"
    image, category, bbox = entry.get("image_id"), entry.get("category_id"), entry.get("bbox")
    if not _is_id(image) or image not in boxes:
        return "annotation of an unknown image id; skipped"
    if not bbox:
        bbox = _enclose(entry.get("segmentation"))
    numbers = parse_numbers(bbox) if isinstance(bbox, list) else None
    if numbers is None or len(numbers) != 4:
        return "annotation whose bbox is not four numbers; skipped"
    left, top, width, height = numbers
    class_name = names.get(category) if _is_id(category) else None
    # A negative size means an empty box, not swapped edges.
    edges = left, top, left + max(width, 0.0), top + max(height, 0.0)
    mark = CROWD if entry.get("iscrowd") in (1, "1") else ""
    boxes[image].append(BoxLabel(*edges, class_name or "", mark))
    return "annotation of an unknown category id; its box has no class" if class_name is None else ""


def _enclose(outlines: object) -> list[float] | None:
    """Return the box (x, y, width, height) around polygon points x, y, x, y …; None for anything else."""
    if not isinstance(outlines, list) or not all(isinstance(outline, list) for outline in outlines):
        return None
    numbers = [parse_numbers(outline) for outline in outlines]
    if not numbers or any(not each or len(each) < 6 or len(each) % 2 for each in numbers):
        return None
    xs = [x for each in numbers for x in (each or [])[::2]]
    ys = [y for each in numbers for y in (each or [])[1::2]]
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def _by_id(entries: Iterable[object], what: str, path: Path, complaints: list[Complaint]) -> _Entries:
    """Index entries by id, keeping the first of each id."""
    found: _Entries = {}
    for entry in entries:
        key = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not _is_id(key):
            complaints.append(Complaint(f"{what} without an id; skipped", path))
        elif key in found:
            complaints.append(Complaint(f"{what} with a duplicate id; skipped", path))
        else:
            found[key] = entry
    return found


def _is_id(value: object) -> TypeGuard[_Id]:
    return isinstance(value, (int, float, str))


def _text(value: object) -> str:
    return normalize_name(value.strip()) if isinstance(value, str) else ""


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ValueError("larger than 1 GiB")
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict):
            raise ValueError("not a JSON object")
        for key in ("images", "annotations"):
            if not isinstance(content.get(key), list):
                raise ValueError(f"no list of {key}")
        if not isinstance(content.get("categories", []), list):
            raise ValueError("categories is not a list")
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: the annotations cannot be read ({error}).",
            expected='a COCO file: a JSON object with the lists "images", "annotations" and "categories"',
            fix="export the annotations again as COCO, or as PASCAL VOC, YOLO or a table.",
        ) from error
    return content
