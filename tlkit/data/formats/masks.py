"""Read masks: which files belong to which images, and what their values mean.

The pixels of a mask are looked at once, for its size and its values, and read again when they are needed
(`tlkit.data.masks`).
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from tlkit.data.boxes import Complaint
from tlkit.data.formats.boxes import ImageFinder
from tlkit.data.formats.mask_annotations import list_masks, read_annotation_file
from tlkit.data.formats.mask_classes import ClassTable, find_class_table, find_role
from tlkit.data.formats.mask_files import MaskFile, match_masks
from tlkit.data.formats.mask_parts import MAX_PARTS, MaskPart
from tlkit.data.formats.mask_values import (
    MaskValues,
    Meanings,
    describe_excess,
    find_meanings,
    is_binary,
    read_mask_values,
)
from tlkit.data.images import UnusableImage, read_content
from tlkit.data.signatures import IMAGE_SUFFIXES
from tlkit.data.sources import walk_files
from tlkit.errors import DataError

EXPECTED = (
    "a folder of PNG files with a number or a colour for each class, or of LabelMe's JSON files, or a .json file (COCO)"
)


@dataclass(frozen=True)
class FoundMask:
    """The mask of an image, before it is compared with the image.

    Args:
        parts: Its files, in the order in which they cover each other.
        size: (height, width) of the mask, in pixels.
    """

    parts: tuple[MaskPart, ...]
    size: tuple[int, int]


@dataclass
class FoundMasks:
    """What is found at a path.

    Args:
        by_image: The mask of each image, by its absolute path.
        complaints: What is skipped.
        remarks: How the masks are read, one sentence each.
    """

    by_image: dict[Path, FoundMask] = field(default_factory=dict)
    complaints: list[Complaint] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def sentences(self) -> tuple[str, ...]:
        """Return notices for the user: how masks are read, and one sentence for each kind of complaint."""
        by_kind: defaultdict[str, list[Complaint]] = defaultdict(list)
        for complaint in self.complaints:
            by_kind[complaint.kind].append(complaint)
        return *self.remarks, *(f"{len(found):,} × {kind}, e.g. {found[0].path}." for kind, found in by_kind.items())


Advance = Callable[[int], None]


def read_masks(
    path: Path, *, images: Sequence[Path], image_folder: Path, advance: Advance = lambda count: None
) -> FoundMasks:
    """Read the masks at a path.

    Args:
        path: A folder of image files or of LabelMe's JSON files, or a `.json` file (COCO, LabelMe).
        images: The absolute paths of the images; files among them that are masks themselves are passed over.
        image_folder: Folder of the images.
        advance: Called with the number of files read since the last call.

    Raises:
        DataError: The path does not exist, has no masks, or has no mask of an image.
    """
    path, image_folder = (Path(os.path.abspath(each)) for each in (path, image_folder))  # noqa: PTH100 - takes ".." away
    if path.is_file() and path.suffix.lower() == ".json":
        found = _read_outlines([path], image_folder, is_single=True)
    elif path.is_dir():
        found = _read_folder(path, images, image_folder, advance)
    else:
        what = "not a folder and not a .json file" if path.exists() else "no such file or folder"
        raise DataError(f"{path}: {what}.", expected=EXPECTED, fix="use the folder or the file with the masks.")
    if not found.by_image:
        counts = Counter(complaint.kind for complaint in found.complaints)
        reasons = "; ".join(f"{number:,} × {kind}" for kind, number in counts.most_common())
        example = f" ({reasons}; e.g. {found.complaints[0].path})" if counts else ""
        raise DataError(
            f"{path}: it has no masks of images in {image_folder}{example}.",
            expected="a mask of the same name for each image",
            fix="check that masks and images belong together, and have the same names.",
        )
    return found


def _read_folder(folder: Path, images: Sequence[Path], image_folder: Path, advance: Advance) -> FoundMasks:
    files = [file.path for file in walk_files(folder) if file.problem is None]
    outlines = sorted(path for path in files if path.suffix.lower() == ".json")
    pictures = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    masks: list[MaskFile] = []
    found = FoundMasks()
    for match in match_masks(folder, images, image_folder):
        if isinstance(match, Complaint):
            found.complaints.append(match)
        else:
            masks.append(match)
    if masks:
        if outlines:
            found.remarks.append(
                f"{folder} has {len(outlines):,} JSON file{'s' * (len(outlines) > 1)}; only masks that are images are read."
            )
        _read_pictures(folder, masks, found, advance)
    elif outlines:
        found = _read_outlines(outlines, image_folder, is_single=False)
    elif not pictures:
        raise DataError(
            f"{folder}: the folder has no masks.", expected=EXPECTED, fix="use the folder or the file with the masks."
        )
    return found


def _read_pictures(folder: Path, masks: Sequence[MaskFile], found: FoundMasks, advance: Advance) -> None:
    """Read masks that are images; all of them say together what values mean."""
    table = find_class_table(folder)
    if table:
        found.remarks.append(f"Classes of masks are named by {table.source}.")
    read: list[tuple[MaskFile, str, MaskValues]] = []
    for mask in masks:
        try:
            content = read_content(mask.path)
            values = read_mask_values(content)
            excess = describe_excess(values, table)
            if excess:
                raise UnusableImage(excess)
            read.append((mask, sha256(content).hexdigest(), values))
        except UnusableImage as error:
            found.complaints.append(Complaint(f"mask that is not read: {error}", mask.path))
        advance(1)
    meanings = _find_all_meanings(read, table, found)
    parts: defaultdict[Path, list[tuple[MaskPart, tuple[int, int]]]] = defaultdict(list)
    for mask, digest, values in sorted(read, key=lambda each: each[0].path):
        known = meanings[values.encoding, mask.class_name].by_value
        classes = tuple((value, known[value]) for value in values.values if known[value] != "")
        part = MaskPart(mask.path.as_posix(), digest, values.encoding, classes)
        parts[mask.image].append((part, values.size))
    for image, each in parts.items():
        _join(image, each, found)


def _find_all_meanings(
    read: Sequence[tuple[MaskFile, str, MaskValues]], table: ClassTable | None, found: FoundMasks
) -> dict[tuple[str, str | None], Meanings]:
    """Return what values mean in masks of each encoding and of each class that file names give."""
    groups: defaultdict[tuple[str, str | None], list[MaskValues]] = defaultdict(list)
    named = [values for mask, _, values in read if mask.class_name is not None]
    are_of_classes = bool(named) and is_binary(named)
    for mask, _, values in read:
        groups[values.encoding, mask.class_name].append(values)
    meanings = {}
    for (encoding, class_name), files in groups.items():
        own = class_name if are_of_classes else None
        role = find_role(own) if own else None
        found_meanings = find_meanings(files, None if own else table, class_name=own if role is None else role or own)
        meanings[encoding, class_name] = found_meanings
        if own is None:
            found.remarks += [remark for remark in found_meanings.remarks if remark not in found.remarks]
    if are_of_classes:
        names = sorted({mask.class_name for mask, _, _ in read if mask.class_name})
        found.remarks.append(f"Masks are of one class each, which their names give: {', '.join(names)}.")
    return meanings


def _join(image: Path, parts: Sequence[tuple[MaskPart, tuple[int, int]]], found: FoundMasks) -> None:
    sizes = {size for _, size in parts}
    if len(parts) > MAX_PARTS or len(sizes) > 1:
        what = (
            "masks of one image that differ in size" if len(sizes) > 1 else f"more than {MAX_PARTS:,} masks of an image"
        )
        found.complaints.append(Complaint(f"{what}; the image is skipped", image))
        return
    found.by_image[image] = FoundMask(tuple(part for part, _ in parts), parts[0][1])


def _read_outlines(files: Sequence[Path], image_folder: Path, *, is_single: bool) -> FoundMasks:
    """Read masks that are outlines; a file that is neither COCO nor LabelMe is an error only if it is the single one."""
    found = FoundMasks()
    find_image = ImageFinder(image_folder).find
    for path in files:
        try:
            content, digest = read_annotation_file(path)
        except DataError:
            if is_single:
                raise
            found.complaints.append(Complaint("JSON file without masks; skipped", path))
            continue
        for mask in list_masks(path, content, find_image):
            if isinstance(mask, Complaint):
                found.complaints.append(mask)
            elif mask.image in found.by_image:
                found.complaints.append(Complaint("second mask of an image; skipped", path))
            else:
                part = MaskPart(path.as_posix(), digest, mask.encoding, tuple(mask.classes.items()), mask.item)
                found.by_image[mask.image] = FoundMask((part,), mask.size)
    return found
