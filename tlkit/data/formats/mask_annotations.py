"""Masks that are outlines in JSON: COCO's polygons and run lengths, and LabelMe's shapes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.data.boxes import Complaint, FindImage
from tlkit.data.formats.coco import MAX_JSON_BYTES
from tlkit.data.formats.mask_classes import find_role
from tlkit.data.formats.mask_parts import COCO, LABELME
from tlkit.data.formats.mask_shapes import check_area, draw_segmentation, draw_shape
from tlkit.errors import DataError
from tlkit.files import read_regular_file


@dataclass(frozen=True)
class OutlinedMask:
    """The outlines of an image in a file.

    Args:
        path: The file.
        image: The image's absolute path.
        encoding: `coco` or `labelme`.
        item: The image's id in the file; empty for LabelMe.
        size: (height, width) of the image as the file states it.
        classes: The category ids or labels of its shapes and their classes; None for those to ignore.
    """

    path: Path
    image: Path
    encoding: str
    item: str
    size: tuple[int, int]
    classes: Mapping[str, str | None]


Shape = tuple[str, Any]
"""The category id or label of a shape, and its entry in the file."""


def read_annotation_file(path: Path) -> tuple[dict[str, Any], str]:
    """Return the content of a COCO or LabelMe file, and the hash of its bytes.

    Raises:
        DataError: The file cannot be read, or is neither.
    """
    try:
        content = read_regular_file(path, max_bytes=MAX_JSON_BYTES)
        return parse_annotations(content), sha256(content).hexdigest()
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: the masks cannot be read ({error}).",
            expected='a COCO file with the lists "images", "annotations" and "categories", or a LabelMe file with "shapes"',
            fix="export the masks again, as COCO or as PNG files.",
        ) from error


def parse_annotations(content: bytes) -> dict[str, Any]:
    """Return the content of a COCO or LabelMe file.

    Raises:
        ValueError: It is neither.
    """
    try:
        found = json.loads(content)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    if all(isinstance(found.get(key), list) for key in ("images", "annotations", "categories")):
        return found
    if isinstance(found.get("shapes"), list):
        return found
    raise ValueError("no lists of images, annotations and categories, and no list of shapes")


def list_masks(path: Path, content: dict[str, Any], find_image: FindImage) -> Iterator[OutlinedMask | Complaint]:
    """Yield the masks of a file, one per image, and what is wrong with it."""
    if "shapes" in content:
        yield _list_labelme(path, content, find_image)
    else:
        yield from _list_coco(path, content, find_image)


def draw_mask(
    content: dict[str, Any], encoding: str, item: str, labels: Mapping[str, int]
) -> tuple[NDArray[np.uint8], list[str]]:
    """Draw the outlines of an image.

    Of COCO's shapes a smaller one covers a larger one; of LabelMe's, a later one an earlier one.

    Args:
        content: From `parse_annotations`.
        encoding: `coco` or `labelme`.
        item: The image's id in a COCO file.
        labels: The number, 0..255, of each category id or label.

    Returns:
        uint8 (height, width), and the kinds of faults of shapes that are left out.

    Raises:
        ValueError: The image is not in the file, or its size is not stated.
    """
    size, shapes = _find_shapes(content, encoding, item)
    faults, drawn = [], []
    for key, entry in shapes:
        if key not in labels:
            continue
        inside = (
            draw_segmentation(entry.get("segmentation"), size)
            if encoding == COCO
            else draw_shape(entry.get("shape_type"), entry.get("points"), size)
        )
        if inside is None:
            faults.append("shape without a usable outline; skipped")
        else:
            drawn.append((labels[key], inside))
    if encoding == COCO:
        drawn.sort(key=lambda each: -int(each[1].sum()))
    mask = np.zeros(size, np.uint8)
    for label, inside in drawn:
        mask[inside] = label
    return mask, faults


def _find_shapes(content: dict[str, Any], encoding: str, item: str) -> tuple[tuple[int, int], list[Shape]]:
    if encoding == LABELME:
        size = _read_size(content.get("imageHeight"), content.get("imageWidth"))
        shapes = [(str(entry.get("label")), entry) for entry in content.get("shapes", ()) if isinstance(entry, dict)]
    else:
        image = next((each for each in content["images"] if isinstance(each, dict) and str(each.get("id")) == item), {})
        size = _read_size(image.get("height"), image.get("width"))
        shapes = [(str(entry.get("category_id")), entry) for entry in _group(content).get(item, ())]
    if size is None:
        raise ValueError("states no size of the image")
    return size, shapes


def _group(content: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the annotations of each image; they are grouped once for all images of a file."""
    grouped: dict[str, list[dict[str, Any]]] | None = content.get(_GROUPED)
    if grouped is None:
        grouped = {}
        for entry in content["annotations"]:
            if isinstance(entry, dict):
                grouped.setdefault(str(entry.get("image_id")), []).append(entry)
        content[_GROUPED] = grouped
    return grouped


_GROUPED = "\0grouped"


def _list_labelme(path: Path, content: dict[str, Any], find_image: FindImage) -> OutlinedMask | Complaint:
    size = _read_size(content.get("imageHeight"), content.get("imageWidth"))
    name = content.get("imagePath")
    found = find_image(path.stem, beside=[path.parent], any_suffix=True)
    if not found and isinstance(name, str):
        found = find_image(name, beside=[path.parent])
    if len(found) != 1:
        return Complaint(f"LabelMe file whose image is {'ambiguous' if found else 'missing'}; skipped", path)
    if size is None:
        return Complaint("LabelMe file without the size of its image; skipped", path)
    labels = [entry.get("label") for entry in content["shapes"] if isinstance(entry, dict)]
    return OutlinedMask(path, found[0], LABELME, "", size, _name(labels, {}))


def _list_coco(path: Path, content: dict[str, Any], find_image: FindImage) -> Iterator[OutlinedMask | Complaint]:
    names = {str(each.get("id")): each.get("name") for each in content["categories"] if isinstance(each, dict)}
    grouped, seen = _group(content), set()
    for image in content["images"]:
        if not isinstance(image, dict) or not isinstance(image.get("file_name"), str):
            yield Complaint("image entry without a file name; skipped", path)
            continue
        item, size = str(image.get("id")), _read_size(image.get("height"), image.get("width"))
        found = find_image(image["file_name"], beside=[path.parent])
        if item in seen:
            yield Complaint("image entry with a duplicate id; skipped", path)
        elif len(found) != 1:
            what = "ambiguous" if found else "missing"
            yield Complaint(f"image entry whose file is {what}; skipped", path.parent / image["file_name"])
        elif size is None:
            yield Complaint("image entry without a size; skipped", path.parent / image["file_name"])
        else:
            keys = [entry.get("category_id") for entry in grouped.get(item, ())]
            yield OutlinedMask(path, found[0], COCO, item, size, _name(keys, names))
        seen.add(item)
    unknown = grouped.keys() - seen
    yield from (Complaint("annotation of an unknown image id; skipped", path) for key in unknown for _ in grouped[key])


def _name(keys: Iterable[object], names: Mapping[str, object]) -> dict[str, str | None]:
    """Return the class of each key that is one; what has no name is ignored, and background is left out."""
    classes: dict[str, str | None] = {}
    for key in keys:
        name = names.get(str(key)) if names else key
        role = find_role(name) if isinstance(name, str) and name.strip() else None
        if role != "":
            classes[str(key)] = role
    return classes


def _read_size(height: object, width: object) -> tuple[int, int] | None:
    if type(height) is not int or type(width) is not int or not check_area((height, width)):
        return None
    return height, width
