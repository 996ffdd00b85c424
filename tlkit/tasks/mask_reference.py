"""Where an image's mask is and how it is read, as one text: an image's answer in a manifest.

The text names the files with their hashes, so that a changed mask is noticed like a changed image, and what each value
means, so that the pixels can be read later and one at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from tlkit.outputs import MAX_CLASS_NAME_LENGTH, normalize_name
from tlkit.untrusted import is_clean_text

INDEX, COLOUR, COCO, LABELME = "index", "colour", "coco", "labelme"
ENCODINGS = (INDEX, COLOUR, COCO, LABELME)
MAX_PARTS = 1_000
_CACHED_ANSWERS = 2**14


@dataclass(frozen=True, slots=True)
class MaskPart:
    """A file, or a part of one, with a mask.

    Args:
        path: Absolute, or relative to the folder of the data; with slashes.
        sha256: Hash of the file's bytes, in hexadecimal digits.
        encoding: `index` (a number at every pixel), `colour` (RGB at every pixel), `coco` or `labelme` (outlines).
        classes: What the file's values mean, for those that the mask has: a number, a colour such as `#ff0000`, a
            category's id or a label, and the class; None for pixels to ignore. Other values are background.
        item: The image's id in a COCO file; empty for other files.
    """

    path: str
    sha256: str
    encoding: str
    classes: tuple[tuple[str, str | None], ...]
    item: str = ""


@dataclass(frozen=True, slots=True)
class MaskReference:
    """The mask of an image: its parts, of which a later one covers an earlier one.

    Args:
        parts: At least one, unless nothing in the image has a class.
        orientation: The EXIF orientation, 1..8, by which the mask is turned upright; 1 if it is upright.
    """

    parts: tuple[MaskPart, ...]
    orientation: int = 1

    @property
    def names(self) -> tuple[str, ...]:
        """The classes in the mask, sorted."""
        return tuple(sorted({name for part in self.parts for _, name in part.classes if name is not None}))


def write_mask(reference: MaskReference) -> str:
    """Return the text of a reference: compact JSON, the orientation and then one list per part.

    Examples:
        >>> write_mask(MaskReference((MaskPart("masks/1.png", "5feceb66", "index", (("1", "fish"), ("255", None))),)))
        '[1,["masks/1.png","5feceb66","index",{"1":"fish","255":null},""]]'
    """
    rows = [[each.path, each.sha256, each.encoding, dict(each.classes), each.item] for each in reference.parts]
    return json.dumps([reference.orientation, *rows], ensure_ascii=False, separators=(",", ":"))


@lru_cache(_CACHED_ANSWERS)
def read_mask_reference(text: str) -> MaskReference:
    """Return the reference that `write_mask` wrote.

    Raises:
        ValueError: The text is something else; the message says what, as the end of a sentence.
    """
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("is not JSON") from None
    if not isinstance(rows, list) or not rows or type(rows[0]) is not int or not 1 <= rows[0] <= 8:
        raise ValueError("is not a list that begins with an orientation, 1 to 8")
    if len(rows) > 1 + MAX_PARTS:
        raise ValueError(f"has {len(rows) - 1:,} files, more than {MAX_PARTS:,}")
    return MaskReference(tuple(_read_part(row) for row in rows[1:]), rows[0])


def list_mask_names(answers: Iterable[str]) -> list[str]:
    """Return the classes in the masks of some answers, sorted."""
    return sorted({name for answer in answers for name in read_mask_reference(answer).names})


def _read_part(row: object) -> MaskPart:
    if not isinstance(row, list) or len(row) != 5:
        raise ValueError("has a file that is not path, hash, encoding, classes and item")
    path, sha256, encoding, classes, item = row
    if not all(isinstance(each, str) for each in (path, sha256, item)) or not path:
        raise ValueError("has a file whose path, hash or item is no text")
    if encoding not in ENCODINGS:
        raise ValueError(f"has a file whose encoding is none of {', '.join(ENCODINGS)}")
    if not isinstance(classes, dict) or not all(map(_is_name, classes.values())):
        raise ValueError("has a class whose name is no clean text")
    named = tuple((key, None if name is None else normalize_name(name)) for key, name in classes.items())
    return MaskPart(path, sha256, encoding, named, item)


def _is_name(name: object) -> bool:
    return name is None or (is_clean_text(name, max_length=MAX_CLASS_NAME_LENGTH) and name != "")
