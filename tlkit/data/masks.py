"""The masks of images: how they lie on the upright picture, and their pixels, read when they are needed.

A mask may be smaller or larger than its picture; it is looked up by fractions of the picture (`tlkit.data.mask_views`),
so it is never resized.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.data.file_index import FileFacts
from tlkit.data.formats.mask_annotations import draw_mask, parse_annotations
from tlkit.data.formats.mask_parts import COCO, LABELME, MaskPart, MaskReference
from tlkit.data.formats.mask_values import parse_value, read_mask_pixels
from tlkit.data.formats.masks import FoundMask
from tlkit.data.image_file import CHANGED
from tlkit.data.images import UnusableImage, read_content
from tlkit.segmentation.confusion import IGNORED

_SAME_PROPORTIONS = 0.01
_KEPT_FILES = 4
_UPRIGHT = {
    2: lambda mask: mask[:, ::-1],
    3: lambda mask: mask[::-1, ::-1],
    4: lambda mask: mask[::-1],
    5: lambda mask: mask.T,
    6: lambda mask: mask.T[:, ::-1],
    7: lambda mask: mask.T[::-1, ::-1],
    8: lambda mask: mask.T[::-1],
}


def fit_mask(mask: FoundMask, facts: FileFacts) -> MaskReference | str:
    """Return the reference of an image's mask, or why the mask does not fit the image.

    A mask whose size is that of the image as stored, and not of the upright one, is turned upright like the image.

    Args:
        mask: The mask as found.
        facts: Of the image's file.
    """
    upright = (facts.height, facts.width)
    if _is_like(mask.size, upright):
        return MaskReference(mask.parts)
    if facts.orientation >= 5 and _is_like(mask.size, upright[::-1]):
        return MaskReference(mask.parts, facts.orientation)
    (height, width), (mask_height, mask_width) = upright, mask.size
    return f"its mask has {mask_width} x {mask_height} pixels, other proportions than the image's {width} x {height}"


def load_mask(reference: MaskReference, names: Sequence[str]) -> NDArray[np.uint8]:
    """Read an image's mask.

    Args:
        reference: Where it is.
        names: The classes, in the order of their numbers; the first is number 1. Places of any other class are ignored.

    Returns:
        uint8 (height, width), upright: 0 for background, 1.. for classes, 255 for places to ignore. Without any file it
        is a single place of background.

    Raises:
        UnusableImage: A file is missing or has changed, or cannot be decoded; the message names it.
    """
    labels = {name: number for number, name in enumerate(names, 1)}
    mask: NDArray[np.uint8] | None = None
    for part in reference.parts:
        path = Path(part.path)
        numbers = {key: IGNORED if name is None else labels.get(name, IGNORED) for key, name in part.classes}
        try:
            drawn = _draw_part(path, part, numbers)
        except (UnusableImage, ValueError) as error:
            raise UnusableImage(f"its mask {path}: {error}") from error
        if mask is None:
            mask = drawn
        elif mask.shape != drawn.shape:
            raise UnusableImage(f"its mask {path}: another size than the other masks of the image")
        else:
            mask = np.where(drawn != 0, drawn, mask)
    if mask is None:
        return np.zeros((1, 1), np.uint8)
    turn = _UPRIGHT.get(reference.orientation)
    return mask if turn is None else np.ascontiguousarray(turn(mask))


def _draw_part(path: Path, part: MaskPart, numbers: dict[str, int]) -> NDArray[np.uint8]:
    if part.encoding in (COCO, LABELME):
        mask, _ = draw_mask(_read_outlines(path, part.sha256), part.encoding, part.item, numbers)
        return mask
    encoding, pixels = read_mask_pixels(_read_unchanged(path, part.sha256))
    if encoding != part.encoding:
        raise UnusableImage(CHANGED)
    mask = np.zeros(pixels.shape, np.uint8)
    for key, number in numbers.items():
        mask[pixels == parse_value(encoding, key)] = number
    return mask


@lru_cache(_KEPT_FILES)
def _read_outlines(path: Path, digest: str) -> dict[str, Any]:
    return parse_annotations(_read_unchanged(path, digest))


def _read_unchanged(path: Path, digest: str) -> bytes:
    content = read_content(path)
    if sha256(content).hexdigest() != digest:
        raise UnusableImage(CHANGED)
    return content


def _is_like(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Return whether two sizes have the same proportions, to one pixel of the smaller or to a hundredth."""
    scale = max(size[0] / other[0], size[1] / other[1])
    expected = (other[0] * scale, other[1] * scale)
    return all(
        abs(wanted - given) <= max(1.0, _SAME_PROPORTIONS * wanted)
        for wanted, given in zip(expected, size, strict=True)
    )
