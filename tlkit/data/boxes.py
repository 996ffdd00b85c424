"""Bounding boxes: annotations converted to the upright image and checked.

A reader (`tlkit.data.formats.boxes`) returns annotations as they were written. `check_boxes` converts their boxes to
pixels of the upright image, which is what the loader returns. Coordinates are continuous: an image of width w spans
0..w. Sizes are (width, height) here, as in every annotation format.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Literal, Protocol

from tlkit.outputs import Box

EMPTY = "box without width or height; skipped"
EXCHANGED = "box with left and right, or top and bottom, swapped; fixed"
PARTLY_OUTSIDE = "box that extends beyond the image; clipped"
OUTSIDE = "box entirely outside the image; skipped"
TOO_SMALL = "box smaller than one pixel; skipped"
SCALED = "stated size differs from the image's but has the same aspect ratio; boxes scaled"
FOREIGN_SIZE = "stated size has another aspect ratio than the image; its boxes are skipped"
UNKNOWN_ROTATION = (
    "image stored rotated or mirrored, without a size that shows whether its boxes are too; read as upright"
)

CROWD, DIFFICULT = "crowd", "difficult"
"""Marks of boxes: around many objects that nobody outlined one by one, and around one that is hard to recognize."""

_OVERHANG_PX = 1.0
_SAME_PROPORTIONS = 0.01
# With the six decimals of a YOLO file, a box of one pixel can come out slightly smaller.
_SMALLEST_EDGE_PX = 0.99


@dataclass(frozen=True, slots=True)
class BoxLabel:
    """A box, in pixels, with its class name, which may be empty, and a mark: CROWD, DIFFICULT or nothing."""

    left: float
    top: float
    right: float
    bottom: float
    class_name: str = ""
    mark: str = ""

    @property
    def corners(self) -> Box:
        """The box without its class: left, top, right, bottom."""
        return self.left, self.top, self.right, self.bottom


@dataclass(frozen=True)
class Annotation:
    """One annotation of one image.

    Args:
        image: The image's absolute path.
        size: (width, height) in pixels as the annotation states it, or None.
        boxes: In pixels, at the size that the annotation states; finite, otherwise unchecked.
        in_fractions: Whether the boxes are in fractions of the upright image size instead.
        shape: How the file stores a box: two `corners`, `extents` (a corner and a size) or `centres` (centre and size).
        source: The annotation's file.
        split: The image's split, if the annotations list one.
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
    """A problem that was fixed or skipped: its kind, in words, and its file."""

    kind: str
    path: Path


class FindImage(Protocol):
    """Finds the image that an annotation names."""

    def __call__(
        self, name: str, *, beside: Sequence[Path], under: PurePath | str = "", any_suffix: bool = False
    ) -> list[Path]:
        """Return the matching images: none, one, or several if the name is ambiguous.

        Args:
            name: A file name or a path, as in the annotation.
            beside: Folders that may contain the image.
            under: The annotation's folder, relative to the root of all annotations; distinguishes images of the same
                name.
            any_suffix: Whether `name` has no suffix.
        """


def check_boxes(
    annotation: Annotation, *, stored_size: tuple[int, int], orientation: int
) -> tuple[list[BoxLabel], list[Complaint]]:
    """Convert an annotation's boxes to the upright image, and report what is wrong with them.

    Annotation tools differ in whether they apply the EXIF orientation. If the stated size is that of the stored image
    and not of the upright one, the boxes are rotated with the image; otherwise they are read as upright.

    Args:
        annotation: As returned by a reader.
        stored_size: (width, height) in pixels of the image as stored.
        orientation: EXIF orientation, 1..8.

    Returns:
        The valid boxes, clipped, in pixels of the upright image; and the complaints, in the order of the boxes.
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
        corners = _order_edges(box.corners, complain)
        if corners is not None:
            corners = _clip(frame.place(corners), upright_size, complain)
        if corners is not None:
            boxes.append(BoxLabel(*corners, box.class_name, box.mark))
    return boxes, complaints


def turn_upright(box: Box, *, stored_size: tuple[int, int], orientation: int) -> Box:
    """Convert a box from the stored image to the upright one; both in pixels.

    Args:
        box: In the stored image.
        stored_size: (width, height) of the stored image, in pixels.
        orientation: EXIF orientation, 1..8.
    """
    left, top, right, bottom = box
    width, height = stored_size
    # Every orientation mirrors x, y, both or neither; 5 and above then swap x and y.
    if orientation in (2, 3, 7, 8):
        left, right = width - right, width - left
    if orientation in (3, 4, 6, 7):
        top, bottom = height - bottom, height - top
    return (top, left, bottom, right) if orientation >= 5 else (left, top, right, bottom)


def choose_box(boxes: Sequence[BoxLabel]) -> BoxLabel | None:
    """Return the largest box by area, the first if tied; None without boxes."""
    return max(boxes, key=lambda box: (box.right - box.left) * (box.bottom - box.top), default=None)


def compute_fractions(box: Box, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Convert a box in pixels to (centre x, centre y, width, height), in fractions 0..1 of a (width, height) size."""
    left, top, right, bottom = box
    width, height = size
    return (left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width, (bottom - top) / height


def parse_numbers(values: Iterable[object]) -> list[float] | None:
    """Parse numbers or numeric strings as floats; return None if any is invalid or not finite."""
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
    """Return the (width, height) that an annotation states; None if it is missing, which some tools write as zeros."""
    numbers = parse_numbers((width, height))
    return (round(numbers[0]), round(numbers[1])) if numbers and min(numbers) >= 1 else None


@dataclass(frozen=True, slots=True)
class _Frame:
    """How to map an annotation's coordinates to the upright image: scale, then optionally rotate."""

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
    """Return how to map the annotation's coordinates, or None if that is unknown."""
    stated, upright_size = annotation.size, _turn_size(stored_size, orientation)
    if orientation != 1 and (stated is None or stored_size == upright_size):
        complain(UNKNOWN_ROTATION)
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


def _order_edges(box: Box, complain: Callable[[str], None]) -> Box | None:
    """Return a box with its edges in order, or None if it is empty."""
    left, top, right, bottom = box
    if left == right or top == bottom:
        complain(EMPTY)
        return None
    if left > right or top > bottom:
        complain(EXCHANGED)
    return min(left, right), min(top, bottom), max(left, right), max(top, bottom)


def _clip(box: Box, size: tuple[int, int], complain: Callable[[str], None]) -> Box | None:
    """Clip a box to an image of (width, height) `size`; return None if nothing useful is left."""
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
