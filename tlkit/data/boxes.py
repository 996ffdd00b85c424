"""Boxes around what a picture shows: what an annotation says, brought into the upright picture, and checked.

A reader (`tlkit.data.formats.boxes`) gives annotations as they were written. `check_boxes` brings their boxes into the
pixels of the upright picture, the one that the loader shows. Coordinates are continuous: a picture of width w spans
0..w. Sizes are (width, height) here, as in every format of annotations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Literal, Protocol

from tlkit.outputs import Box

EMPTY = "box without width or height; skipped"
EXCHANGED = "box with left and right, or top and bottom, exchanged; fixed"
PARTLY_OUTSIDE = "box that reaches beyond the picture; clipped"
OUTSIDE = "box wholly outside the picture; skipped"
TOO_SMALL = "box of less than one pixel; skipped"
SCALED = "size stated otherwise than the picture's, with the same proportions; boxes scaled"
FOREIGN_SIZE = "size stated with other proportions than the picture's; its boxes are skipped"
UNTOLD_TURN = "picture stored turned or mirrored, and no word whether its boxes are, too; taken as upright"

_OVERHANG_PX = 1.0
_SAME_PROPORTIONS = 0.01
# The six decimals of a YOLO file can make a box of one pixel a little smaller.
_SMALLEST_EDGE_PX = 0.99


@dataclass(frozen=True, slots=True)
class BoxLabel:
    """A box, in pixels, and the name of what it encloses, which may be empty."""

    left: float
    top: float
    right: float
    bottom: float
    class_name: str = ""

    @property
    def corners(self) -> Box:
        """The box alone: left, top, right, bottom."""
        return self.left, self.top, self.right, self.bottom


@dataclass(frozen=True)
class Annotation:
    """What one annotation says of one image.

    Args:
        image: The image's absolute path.
        size: (width, height) in pixels as the annotation states it, or None.
        boxes: In pixels of the picture that the annotation states; finite, and otherwise unchecked.
        in_fractions: The boxes are in fractions of the upright picture's width and height instead.
        shape: How the file writes a box: as two `corners`, as `extents` (a corner and a size) or as `centres` (and sizes).
        source: The file that says so.
        split: The split that a list among the annotations gives the image.
    """

    image: Path
    size: tuple[int, int] | None
    boxes: tuple[BoxLabel, ...]
    in_fractions: bool = False
    shape: Literal["corners", "extents", "centres"] = field(default="corners", compare=False)
    source: Path | None = field(default=None, compare=False)
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Complaint:
    """Something wrong that was fixed or left out: its kind, in words, and the file in which it was met."""

    kind: str
    path: Path


class FindImage(Protocol):
    """A reader's way to the image that an annotation names."""

    def __call__(
        self, name: str, *, beside: Sequence[Path], under: PurePath | str = "", any_suffix: bool = False
    ) -> list[Path]:
        """Return the images that may be meant: none, the one, or several that cannot be told apart.

        Args:
            name: A file name or a path, as the annotation gives it.
            beside: Folders in which the image may lie.
            under: The annotation's own folder, seen from the root of all annotations; tells images of one name apart.
            any_suffix: `name` lacks its suffix.
        """


def check_boxes(
    annotation: Annotation, *, stored_size: tuple[int, int], orientation: int
) -> tuple[list[BoxLabel], list[Complaint]]:
    """Bring an annotation's boxes into the upright picture, and find what is wrong with them.

    Tools for annotation differ in whether they heed the EXIF orientation. A stated size tells: if it is the stored
    picture's and not the upright one's, the boxes are turned with the picture. If it does not tell, they are taken as
    upright.

    Args:
        annotation: As a reader gave it.
        stored_size: (width, height) in pixels of the picture as it is stored.
        orientation: EXIF orientation, 1..8.

    Returns:
        The sound boxes in pixels of the upright picture, within it; and the complaints, in the order of the boxes.
    """
    complaints: list[Complaint] = []

    def complain(kind: str) -> None:
        complaints.append(Complaint(kind, annotation.image))

    if not annotation.boxes:
        return [], complaints
    upright_size = _turn_size(stored_size, orientation)
    frame = _find_frame(annotation, stored_size, orientation, complain)
    if frame is None:
        return [], complaints
    boxes = []
    for box in annotation.boxes:
        corners = _mend(box.corners, complain)
        if corners is not None:
            corners = _clip(frame.place(corners), upright_size, complain)
        if corners is not None:
            boxes.append(BoxLabel(*corners, box.class_name))
    return boxes, complaints


def turn_upright(box: Box, *, stored_size: tuple[int, int], orientation: int) -> Box:
    """Return where a box of the stored picture lies in the upright one; both in pixels.

    Args:
        box: In the stored picture.
        stored_size: (width, height) of the stored picture, in pixels.
        orientation: EXIF orientation, 1..8.
    """
    left, top, right, bottom = box
    width, height = stored_size
    # Every orientation is a mirroring along x, along y, both or none, and from 5 on an exchange of x and y after it.
    if orientation in (2, 3, 7, 8):
        left, right = width - right, width - left
    if orientation in (3, 4, 6, 7):
        top, bottom = height - bottom, height - top
    return (top, left, bottom, right) if orientation >= 5 else (left, top, right, bottom)


def choose_box(boxes: Sequence[BoxLabel]) -> BoxLabel | None:
    """Return the box with the largest area, the first of several; None if there are no boxes."""
    return max(boxes, key=lambda box: (box.right - box.left) * (box.bottom - box.top), default=None)


def compute_fractions(box: Box, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return a box in pixels as (centre x, centre y, width, height) in fractions, 0..1, of a (width, height) `size`."""
    left, top, right, bottom = box
    width, height = size
    return (left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width, (bottom - top) / height


def compute_box(fractions: Sequence[float], size: tuple[int, int]) -> Box:
    """Return the box, in pixels, that `compute_fractions` turned into fractions of a (width, height) `size`."""
    centre_x, centre_y, box_width, box_height = fractions
    width, height = size
    return (
        (centre_x - box_width / 2) * width,
        (centre_y - box_height / 2) * height,
        (centre_x + box_width / 2) * width,
        (centre_y + box_height / 2) * height,
    )


def parse_numbers(values: Iterable[object]) -> list[float] | None:
    """Return numbers, or texts of numbers, as floats; None if one is anything else or not finite."""
    numbers = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            return None
        try:
            numbers.append(float(value))
        except (ValueError, OverflowError):
            return None
    return numbers if all(map(math.isfinite, numbers)) else None


def parse_size(width: object, height: object) -> tuple[int, int] | None:
    """Return the (width, height) that an annotation states; None if it states none, as tools do with zeros."""
    numbers = parse_numbers((width, height))
    return (round(numbers[0]), round(numbers[1])) if numbers and min(numbers) >= 1 else None


@dataclass(frozen=True, slots=True)
class _Frame:
    """How an annotation's coordinates lie in the upright picture: scaled, then turned with it or not."""

    scale_x: float = 1.0
    scale_y: float = 1.0
    stored_size: tuple[int, int] = (0, 0)
    orientation: int = 1

    def place(self, box: Box) -> Box:
        left, top, right, bottom = box
        scaled = left * self.scale_x, top * self.scale_y, right * self.scale_x, bottom * self.scale_y
        return turn_upright(scaled, stored_size=self.stored_size, orientation=self.orientation)


def _find_frame(
    annotation: Annotation, stored_size: tuple[int, int], orientation: int, complain: Callable[[str], None]
) -> _Frame | None:
    """Return how the annotation's coordinates are meant, or None if that cannot be known."""
    stated, upright_size = annotation.size, _turn_size(stored_size, orientation)
    if orientation != 1 and (stated is None or stored_size == upright_size):
        complain(UNTOLD_TURN)
    if annotation.in_fractions:
        return _Frame(*upright_size)
    if stated is None or stated == upright_size:
        return _Frame()
    if stated == stored_size:
        return _Frame(1, 1, stored_size, orientation)
    for size, turn in ((upright_size, 1), (stored_size, orientation)):
        (width, height), (stated_width, stated_height) = size, stated
        if math.isclose(stated_width / stated_height, width / height, rel_tol=_SAME_PROPORTIONS):
            complain(SCALED)
            return _Frame(width / stated_width, height / stated_height, stored_size, turn)
    complain(FOREIGN_SIZE)
    return None


def _turn_size(stored_size: tuple[int, int], orientation: int) -> tuple[int, int]:
    width, height = stored_size
    return (height, width) if orientation >= 5 else (width, height)


def _mend(box: Box, complain: Callable[[str], None]) -> Box | None:
    """Return a box with its edges in order, or None if it is empty."""
    left, top, right, bottom = box
    if left == right or top == bottom:
        complain(EMPTY)
        return None
    if left > right or top > bottom:
        complain(EXCHANGED)
    return min(left, right), min(top, bottom), max(left, right), max(top, bottom)


def _clip(box: Box, size: tuple[int, int], complain: Callable[[str], None]) -> Box | None:
    """Return the part of a box within a picture of (width, height) `size`, or None if nothing useful of it is."""
    left, top, right, bottom = box
    width, height = size
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        complain(OUTSIDE)
        return None
    if max(-left, -top, right - width, bottom - height) > _OVERHANG_PX:
        complain(PARTLY_OUTSIDE)
    left, top, right, bottom = max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
    if min(right - left, bottom - top) < _SMALLEST_EDGE_PX:
        complain(TOO_SMALL)
        return None
    return left, top, right, bottom
