"""Read boxes from COCO: one JSON file that lists images, annotations and categories."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from tlkit.data.answers import normalize_class_name
from tlkit.data.boxes import Annotation, BoxLabel, Complaint, FindImage, parse_numbers, parse_size
from tlkit.errors import DataError

MAX_JSON_BYTES = 2**30

_Id = int | float | str
_Entries = dict[_Id, dict[str, Any]]


def read_coco(path: Path, find_image: FindImage) -> Iterator[Annotation | Complaint]:
    """Yield what a COCO file says, in the order of its images.

    Annotations of crowds are left out: their boxes enclose many things at once.

    Args:
        path: The file, absolute.
        find_image: Asked for every image's `file_name`.

    Raises:
        DataError: The file cannot be read, or is not in the format.
    """
    content = _read_json(path)
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
    for key, entry in images.items():
        name = _text(entry.get("file_name"))
        found = find_image(name, beside=[path.parent])
        if len(found) == 1:
            yield Annotation(found[0], parse_size(entry.get("width"), entry.get("height")), tuple(boxes[key]))
        else:
            what = "ambiguous" if found else "not there"
            yield Complaint(f"entry of an image that is {what}; left out", path.parent / name)


def _file_box(entry: object, boxes: Mapping[_Id, list[BoxLabel]], names: Mapping[_Id, str]) -> str:
    """Put an annotation's box to those of its image; return what is wrong with it, or an empty text."""
    if not isinstance(entry, dict):
        return "annotation that is no object; left out"
    image, category, bbox = entry.get("image_id"), entry.get("category_id"), entry.get("bbox")
    if not _is_id(image) or image not in boxes:
        return "annotation of an unknown image id; left out"
    if entry.get("iscrowd") in (1, "1"):
        return "annotation of a crowd; left out"
    numbers = parse_numbers(bbox) if isinstance(bbox, list) else None
    if numbers is None or len(numbers) != 4:
        return "annotation whose bbox is not four numbers; left out"
    left, top, width, height = numbers
    class_name = names.get(category) if _is_id(category) else None
    # A negative size is an empty box, not one with its edges exchanged.
    edges = left, top, left + max(width, 0.0), top + max(height, 0.0)
    boxes[image].append(BoxLabel(*edges, class_name or ""))
    return "annotation of an unknown category id; its box has no class" if class_name is None else ""


def _by_id(entries: Iterable[object], what: str, path: Path, complaints: list[Complaint]) -> _Entries:
    """Return entries by their ids, the first of each id."""
    found: _Entries = {}
    for entry in entries:
        key = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not _is_id(key):
            complaints.append(Complaint(f"{what} without an id; left out", path))
        elif key in found:
            complaints.append(Complaint(f"{what} with the id of an earlier one; left out", path))
        else:
            found[key] = entry
    return found


def _is_id(value: object) -> TypeGuard[_Id]:
    return isinstance(value, (int, float, str))


def _text(value: object) -> str:
    return normalize_class_name(value.strip()) if isinstance(value, str) else ""


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ValueError("larger than 1 GiB")
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict):
            raise ValueError("no JSON object")
        for key in ("images", "annotations"):
            if not isinstance(content.get(key), list):
                raise ValueError(f"no list of {key}")
        if not isinstance(content.get("categories", []), list):
            raise ValueError("categories are no list")
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: the annotations cannot be read ({error}).",
            expected='a COCO file: a JSON object with the lists "images", "annotations" and "categories"',
            fix="write the annotations again as COCO, or give them as PASCAL VOC, YOLO or a table.",
        ) from error
    return content
