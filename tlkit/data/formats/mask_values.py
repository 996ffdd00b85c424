"""What is in a file with a mask: a number or a colour at every pixel; and what they mean, decided on all files together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.data.formats.mask_classes import ClassTable, write_colour
from tlkit.data.formats.mask_parts import COLOUR, INDEX
from tlkit.data.images import UnusableImage, explain, open_picture, read_orientation, turn_upright
from tlkit.errors import DataError
from tlkit.segmentation.confusion import IGNORED, MAX_CLASSES

MAX_VALUES = 64
"""The most values of a file whose classes no table names; more come from smoothing or compression."""

_LOSSY = "a JPEG, whose compression mixes the classes at their edges"
_FIRST_LEVEL = 32
_VOC_IGNORED = write_colour(224, 224, 192)


@dataclass(frozen=True)
class MaskValues:
    """What a file has.

    Args:
        encoding: `index` or `colour`.
        values: The numbers or colours in it, in rising order.
        size: (height, width) in pixels, upright by the file's own EXIF orientation.
    """

    encoding: str
    values: tuple[str, ...]
    size: tuple[int, int]


@dataclass(frozen=True)
class Meanings:
    """What values mean in a set of masks.

    Args:
        by_value: The class of a number or colour; an empty name is background, None pixels to ignore.
        remarks: What was decided, one sentence each.
    """

    by_value: Mapping[str, str | None]
    remarks: tuple[str, ...] = ()


def read_mask_pixels(content: bytes) -> tuple[str, NDArray[np.integer]]:
    """Return the encoding of a mask file and its pixels, upright.

    Returns:
        `index` and numbers, uint8 or uint16 (height, width); or `colour` and 256 * (256 * red + green) + blue, uint32.

    Raises:
        UnusableImage: The bytes cannot be decoded, or are no mask.
    """
    try:
        with open_picture(content) as picture:
            if picture.format in ("JPEG", "MPO"):
                raise UnusableImage(_LOSSY)
            picture.load()
            orientation = read_orientation(picture)
            pixels = np.asarray(turn_upright(_simplify(picture), orientation))
    except UnusableImage:
        raise
    except Exception as error:  # damaged bytes raise anything
        raise UnusableImage(explain(content, error)) from error
    if pixels.ndim == 2:
        return INDEX, pixels
    if (pixels == pixels[..., :1]).all():
        return INDEX, pixels[..., 0]
    red, green, blue = np.moveaxis(pixels.astype(np.uint32), -1, 0)
    return COLOUR, (red << 16) | (green << 8) | blue


def list_values(encoding: str, pixels: NDArray[np.integer]) -> list[str]:
    """Return the numbers or colours of pixels as text, in rising order."""
    if pixels.dtype == np.uint8:
        found = np.flatnonzero(np.bincount(pixels.ravel(), minlength=256))
    else:
        found = np.unique(pixels)
    return [name_value(encoding, int(value)) for value in found]


def name_value(encoding: str, value: int) -> str:
    """Return a pixel's value as text."""
    return str(value) if encoding == INDEX else write_colour(value >> 16, value >> 8 & 255, value & 255)


def parse_value(encoding: str, text: str) -> int:
    """Return the pixel's value that `name_value` wrote."""
    return int(text) if encoding == INDEX else int(text[1:], 16)


def describe_excess(found: MaskValues, table: ClassTable | None) -> str | None:
    """Return why a file cannot be a mask, given the names of its classes if there are any; None if it can."""
    what = "grey levels" if found.encoding == INDEX else "colours"
    if table is not None and table.has_colours == (found.encoding == COLOUR):
        known = table.by_value.keys() | {"0", str(IGNORED), "#000000"}
        foreign = [value for value in found.values if value not in known]
        if foreign:
            return f"{what} that {table.source.name} does not list: {_list(foreign)}"
        return None
    if len(found.values) > MAX_VALUES:
        return f"{len(found.values):,} {what}, as smooth edges or compression make them; a mask has one value for each class"
    return None


def find_meanings(files: Sequence[MaskValues], table: ClassTable | None, *, class_name: str | None = None) -> Meanings:
    """Decide what the values of all masks of one encoding mean.

    Args:
        files: What is in each file; all of one encoding, none of them with an excess of values.
        table: The names of classes, if there are any.
        class_name: The class of what is not background in masks of a single class.

    Raises:
        DataError: There are more values than classes can have.
    """
    encoding = files[0].encoding
    values = sorted({value for each in files for value in each.values}, key=lambda text: parse_value(encoding, text))
    if len(values) > MAX_CLASSES:
        raise DataError(
            f"the masks have {len(values):,} values: {_list(values)}.",
            expected=f"one value for each class, at most {MAX_CLASSES}",
            fix="give masks of classes, not of single objects, without smooth edges.",
        )
    if table is not None and table.has_colours == (encoding == COLOUR):
        return _use_table(values, table)
    remarks: tuple[str, ...] = ()
    if table is not None:
        listed, given = ("colours", "numbers") if table.has_colours else ("numbers", "colours")
        remarks = (f"{table.source} names {listed}, but masks have {given}; its names are not used.",)
    found = _name_numbers(values, class_name) if encoding == INDEX else _name_colours(values, class_name)
    return Meanings(found.by_value, (*remarks, *found.remarks))


def _use_table(values: Sequence[str], table: ClassTable) -> Meanings:
    defaults: dict[str, str | None] = {"0": "", "#000000": "", str(IGNORED): None}
    return Meanings({value: table.by_value.get(value, defaults.get(value)) for value in values})


def _name_numbers(values: Sequence[str], class_name: str | None) -> Meanings:
    others = [int(value) for value in values if value != "0"]
    if len(others) == 1:
        name = class_name or "class_1"
        return Meanings(
            {"0": "", str(others[0]): name}, (f"Masks have the values 0 and {others[0]}: background and {name}.",)
        )
    # Levels that are easily told apart by eye, such as 85, 170 and 255, are no count of classes.
    counts_classes = bool(others) and others[0] < _FIRST_LEVEL
    meanings: dict[str, str | None] = {"0": ""}
    for place, number in enumerate(others, 1):
        is_ignored = counts_classes and number == IGNORED
        meanings[str(number)] = None if is_ignored else f"class_{number if counts_classes else place}"
    ignored = ", 255 is ignored" if None in meanings.values() else ""
    remark = f"Masks have the values {_list(values)}: 0 is background{ignored}; {_explain(meanings)}."
    return Meanings(meanings, (remark,) if others else ())


def _name_colours(values: Sequence[str], class_name: str | None) -> Meanings:
    meanings: dict[str, str | None] = {}
    voc = {colour: number for number, colour in enumerate(make_voc_colours())}
    others = [value for value in values if value != "#000000"]
    is_voc = len(others) > 1 and all(value in voc or value == _VOC_IGNORED for value in others)
    place = 0
    for value in values:
        if value == "#000000":
            meanings[value] = ""
        elif is_voc and value == _VOC_IGNORED:
            meanings[value] = None
        else:
            place += 1
            meanings[value] = (
                class_name if class_name and len(others) == 1 else f"class_{voc[value] if is_voc else place}"
            )
    order = "in the order of PASCAL VOC's colours" if is_voc else "in the order of their codes"
    remark = f"Masks have the colours {_list(values)}; #000000 is background, and classes are numbered {order}: {_explain(meanings)}."
    return Meanings(meanings, (remark,))


def _explain(meanings: Mapping[str, str | None]) -> str:
    named = [f"{value} is {name}" for value, name in meanings.items() if name]
    return _list(named)


def _list(items: Iterable[str], most: int = 6) -> str:
    items = list(items)
    return ", ".join(items[:most]) + (f" and {len(items) - most:,} more" if len(items) > most else "")


def make_voc_colours() -> list[str]:
    """Return the 256 colours by which PASCAL VOC numbers classes: bits of the number spread over red, green and blue."""
    colours = []
    for number in range(256):
        parts = [sum((number >> 3 * place + channel & 1) << 7 - place for place in range(3)) for channel in range(3)]
        colours.append(write_colour(*parts))
    return colours


def _simplify(picture: Image.Image) -> Image.Image:
    """Return the picture with numbers (L, I;16) or RGB colours.

    Raises:
        UnusableImage: Its pixels are neither.
    """
    if picture.mode in ("L", "I;16", "RGB"):
        return picture
    if picture.mode == "P":
        return Image.frombytes("L", picture.size, picture.tobytes())
    if picture.mode == "1":
        return picture.convert("L")
    if picture.mode == "I":
        numbers = np.asarray(picture)
        if numbers.min() < 0 or numbers.max() > 65_535:
            raise UnusableImage("numbers beyond 0 to 65,535")
        return Image.fromarray(numbers.astype(np.uint16))
    if picture.mode in ("RGBA", "LA"):
        if picture.getchannel("A").getextrema() != (255, 255):
            raise UnusableImage("transparent pixels, whose class cannot be known")
        return picture.convert(picture.mode[:-1])
    raise UnusableImage(f"pixels of the kind {picture.mode}, not numbers or RGB colours")


def read_mask_values(content: bytes) -> MaskValues:
    """Return what is in a mask file.

    Raises:
        UnusableImage: The bytes cannot be decoded, or are no mask.
    """
    encoding, pixels = read_mask_pixels(content)
    return MaskValues(encoding, tuple(list_values(encoding, pixels)), (pixels.shape[0], pixels.shape[1]))


def is_binary(files: Iterable[MaskValues]) -> bool:
    """Return whether all masks have nothing but 0 and one other number."""
    return len({value for each in files for value in each.values if each.encoding == INDEX} - {"0"}) <= 1
