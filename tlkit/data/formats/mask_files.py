"""Which file is the mask of which image: by the names, with folders mirrored."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from tlkit.data.boxes import Complaint
from tlkit.data.signatures import IMAGE_SUFFIXES
from tlkit.data.sources import walk_files

_MASK_WORDS = "masks?|seg|segmentation|groundtruth|ground_truth|gt|labels?|labelids|annotations?|l"
_MASK_NAME = re.compile(rf"(.+?)[ _.-]+(?:{_MASK_WORDS})", re.IGNORECASE)
_CLASS_NAME = re.compile(r"[ _.-]+(.+)")


@dataclass(frozen=True)
class MaskFile:
    """A file with a mask, its image, and the class that its name gives, if any."""

    path: Path
    image: Path
    class_name: str | None = None


def match_masks(folder: Path, images: Sequence[Path], image_folder: Path) -> Iterator[MaskFile | Complaint]:
    """Yield the masks below a folder, each with its image, and the files that belong to none.

    A mask has its image's name with any suffix, and may have a word for a mask after it: `1.png`, `1_mask.png`. With
    another word it is the mask of that class: `1_fish.png`. Of images of the same name, the one is meant whose folders
    below `image_folder` end like those of the mask below `folder`.

    Args:
        folder: The masks' folder, absolute.
        images: Absolute. If `folder` is within their folder, those in it are passed over; otherwise, those that are masks
            by their names.
        image_folder: The images' folder, absolute.
    """
    by_stem = _index_images(folder, images, image_folder)
    for file in walk_files(folder):
        path = file.path
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        if file.problem is not None:
            yield Complaint(f"mask that is {file.problem}; skipped", path)
            continue
        if any(path == image for image in by_stem.get(_fold(path.stem), ())):
            continue  # an image among its masks
        yield _match(path, path.parent.relative_to(folder), by_stem, image_folder)


def is_named_as_mask(path: Path, images: Iterable[str]) -> bool:
    """Return whether a file has the name of an image, folded, and a word for a mask."""
    match = _MASK_NAME.fullmatch(path.stem)
    return match is not None and _fold(match[1]) in images


def _index_images(folder: Path, images: Sequence[Path], image_folder: Path) -> dict[str, list[Path]]:
    is_shared = image_folder.is_relative_to(folder)
    outside = [image for image in images if is_shared or not image.is_relative_to(folder)]
    stems = {_fold(image.stem) for image in outside}
    index: defaultdict[str, list[Path]] = defaultdict(list)
    for image in outside:
        if not (is_shared and is_named_as_mask(image, stems)):
            index[_fold(image.stem)].append(image)
    return index


def _match(path: Path, under: PurePath, by_stem: dict[str, list[Path]], image_folder: Path) -> MaskFile | Complaint:
    for stem, class_name in _split_name(path.stem, by_stem):
        found = _choose(by_stem[stem], under, image_folder)
        if len(found) == 1:
            return MaskFile(path, found[0], class_name)
        return Complaint("mask that has the name of several images; skipped", path)
    return Complaint("mask without an image of its name; skipped", path)


def _split_name(name: str, by_stem: dict[str, list[Path]]) -> Iterator[tuple[str, str | None]]:
    """Yield the image names that a mask's name may stand for, folded, with the class that it then gives."""
    folded = _fold(name)
    if folded in by_stem:
        yield folded, None
    match = _MASK_NAME.fullmatch(name)
    if match and _fold(match[1]) in by_stem:
        yield _fold(match[1]), None
    for end in range(len(name) - 1, 0, -1):
        rest = _CLASS_NAME.fullmatch(name[end:])
        if rest and _fold(name[:end]) in by_stem:
            yield _fold(name[:end]), unicodedata.normalize("NFC", rest[1])


def _choose(images: list[Path], under: PurePath, image_folder: Path) -> list[Path]:
    """Return the images whose folders share the most trailing parts with the mask's."""
    if len(images) == 1:
        return images
    wanted = [_fold(part) for part in under.parts]

    def count_shared(image: Path) -> int:
        parts = [_fold(part) for part in image.parent.parts]
        shared = 0
        while shared < min(len(parts), len(wanted)) and parts[-1 - shared] == wanted[-1 - shared]:
            shared += 1
        return shared

    most = max(map(count_shared, images))
    best = [image for image in images if count_shared(image) == most]
    at_root = [image for image in best if image.parent == image_folder]
    return at_root if not wanted and len(at_root) == 1 else best


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
