"""Where an image's mask is and how it is read."""

from __future__ import annotations

from dataclasses import dataclass

INDEX, COLOUR, COCO, LABELME = "index", "colour", "coco", "labelme"
MAX_PARTS = 1_000


@dataclass(frozen=True, slots=True)
class MaskPart:
    """A file, or a part of one, with a mask.

    Args:
        path: Absolute, with slashes.
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
