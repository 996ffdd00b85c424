"""Detect the unit and layout of box coordinates: pixels, fractions or percent; two corners or a corner and a size.

Exports often break their own format: fractions in a table of pixels, or two corners in COCO, whose boxes are a corner
and a size. Another reading is used only if it makes sense for all boxes in their images and the format's own reading
does not. Nothing is guessed for a single box.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tlkit.data.boxes import Annotation, BoxLabel
from tlkit.errors import DataError
from tlkit.outputs import Box

_LARGEST_FRACTION = 1.5
_MIN_BOXES = 4
_TOLERANCE = 0.02
_PERCENT_FRAME = (100, 100)
_PERCENT_REACH = 90
_CHANCE = 1e-6
"""How unlikely it must be by chance that all boxes lie within the first 100 pixels."""

_Framed = Sequence[tuple[Box, tuple[int, int]]]
"""Boxes, each with the (width, height) of its image in the boxes' unit."""


@dataclass(frozen=True)
class _Unit:
    """The unit of the coordinates.

    Attributes:
        sentence: Description for the user; empty if the unit is the format's own.
        frame: Width and height of every image in this unit; None: each image's own size, in pixels.
    """

    sentence: str
    frame: tuple[int, int] | None

    def as_fractions(self, box: Box) -> Box:
        """Return a box in fractions of its image; a box in pixels is returned unchanged."""
        if self.frame != _PERCENT_FRAME:
            return box
        left, top, right, bottom = box
        return left / 100, top / 100, right / 100, bottom / 100


_FRACTIONS = _Unit("the boxes are read as fractions of the image size, because no number is above 1.", frame=(1, 1))
_PERCENT = _Unit(
    "the boxes are read as percentages of the image size, because no number is above 100 in images that are much "
    "larger.",
    frame=_PERCENT_FRAME,
)
_PIXELS = _Unit("the numbers are read as pixels, because none is a fraction of its image.", frame=None)
_PERHAPS_PERCENT = (
    "the boxes are read as pixels, but no number is above 100 although the images are much larger. If they are "
    "percentages, divide them by 100."
)


def settle_units(
    annotations: Mapping[Path, Annotation], sizes: Mapping[Path, tuple[int, int]], *, source: Path
) -> tuple[dict[Path, Annotation], tuple[str, ...]]:
    """Return the annotations with their boxes in the detected unit and layout, and notices for the user.

    Args:
        annotations: By image path.
        sizes: Upright (width, height) of the valid images.
        source: Where the annotations were read, for messages.

    Raises:
        DataError: Fractions and pixels are mixed, or more than one other reading makes sense.
    """
    known = {path: item for path, item in annotations.items() if path in sizes and item.boxes}
    if not known:
        return dict(annotations), ()
    first = next(iter(known.values()))
    in_pixels = [(box.corners, item.size or sizes[path]) for path, item in known.items() for box in item.boxes]
    unit = _find_unit(in_pixels, first, source)
    framed = [(box, unit.frame or size) for box, size in in_pixels]
    shape, convert = _find_shape(framed, first.shape, source)
    settled = {
        path: replace(
            item,
            boxes=tuple(
                BoxLabel(*unit.as_fractions(convert(box.corners)), box.class_name, box.mark) for box in item.boxes
            ),
            in_fractions=unit.frame is not None,
        )
        for path, item in annotations.items()
    }
    doubt = _PERHAPS_PERCENT if unit.frame is None and _are_in_first_pixels(in_pixels, first.shape) else ""
    return settled, tuple(f"{source.name}: {sentence}" for sentence in (unit.sentence, doubt, shape) if sentence)


def _find_unit(in_pixels: _Framed, first: Annotation, source: Path) -> _Unit:
    """Return what the numbers of boxes are counted in."""
    num_boxes = len(in_pixels)
    num_small = sum(_find_largest(box, first.shape) <= _LARGEST_FRACTION for box, _ in in_pixels)
    if first.in_fractions and num_small > 0:
        return replace(_FRACTIONS, sentence="")
    if num_small == num_boxes:
        return _FRACTIONS
    if num_small * 4 >= num_boxes:
        raise DataError(
            f"{source}: {num_small:,} of {num_boxes:,} boxes have no number above 1 and look like fractions; the "
            "others are in pixels.",
            expected="all boxes in pixels, or all in fractions of the image size",
            fix="convert all boxes to the same unit.",
        )
    if _are_in_percent(in_pixels, first.shape):
        return _PERCENT
    return _PIXELS if first.in_fractions else replace(_PIXELS, sentence="")


def _are_in_percent(in_pixels: _Framed, shape: str) -> bool:
    """Return whether boxes reach 100 along both axes and never go beyond, in larger images.

    Identical boxes, such as a mask over all images of a fixed camera, count once.
    """
    reach_x, reach_y = (max(box[edge] for box, _ in in_pixels) for edge in (2, 3))
    distinct = list({box: (box, size) for box, size in in_pixels}.values())
    return min(reach_x, reach_y) >= _PERCENT_REACH and _are_in_first_pixels(distinct, shape)


def _are_in_first_pixels(in_pixels: _Framed, shape: str) -> bool:
    """Return whether all numbers are at most 100, which is very unlikely by chance at these image sizes."""
    if any(_find_largest(box, shape) > 100 * (1 + _TOLERANCE) for box, _ in in_pixels):
        return False
    parts = [min(1, 100 / width) * min(1, 100 / height) for _, (width, height) in in_pixels]
    return len(parts) >= _MIN_BOXES and sum(map(math.log, parts)) < math.log(_CHANCE)


def _find_largest(box: Box, shape: str) -> float:
    """Return the largest of the four numbers that a file of this shape stores for a box."""
    return max(map(abs, _AS_WRITTEN[shape](box)))


def _find_shape(framed: _Framed, shape: str, source: Path) -> tuple[str, Callable[[Box], Box]]:
    """Return a description of the layout, empty if it is the format's own, and the conversion from it."""
    is_wrong = [not _is_inside(box, frame) for box, frame in framed]
    # A few swapped corners are mistakes; if all are swapped, the tool counts from the other side.
    share = sum(is_wrong) / len(framed)
    if len(framed) < _MIN_BOXES or share < 0.2 or (shape == "corners" and share > 0.8):
        return "", _keep
    sensible = {
        name: convert
        for name, convert in _OTHER_SHAPES[shape].items()
        if all(_is_inside(convert(box), frame) for box, frame in framed)
    }
    if len(sensible) > 1:
        raise DataError(
            f"{source}: {sum(is_wrong):,} of {len(framed):,} boxes make no sense as {_NAMES[shape]}, and all of them "
            f"do as {' and as '.join(sensible)}.",
            expected=f"boxes as {_NAMES[shape]}, as the format defines them",
            fix="convert the boxes to the format's layout.",
        )
    for name, convert in sensible.items():
        reason = f"because {sum(is_wrong):,} of {len(framed):,} make no sense as {_NAMES[shape]}"
        return f"the boxes are read as {name}, {reason}.", convert
    return "", _keep


def _keep(box: Box) -> Box:
    return box


def _from_size(box: Box) -> Box:
    left, top, width, height = box
    return left, top, left + width, top + height


def _from_centre(box: Box) -> Box:
    x, y, width, height = box
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _to_size(box: Box) -> Box:
    left, top, right, bottom = box
    return left, top, right - left, bottom - top


def _to_centre(box: Box) -> Box:
    left, top, right, bottom = box
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top


_NAMES = {"corners": "two corners", "extents": "left, top, width, height", "centres": "centre and size"}
_AS_WRITTEN: Mapping[str, Callable[[Box], Box]] = {"corners": _keep, "extents": _to_size, "centres": _to_centre}
_OTHER_SHAPES: Mapping[str, Mapping[str, Callable[[Box], Box]]] = {
    "corners": {_NAMES["extents"]: _from_size, _NAMES["centres"]: _from_centre},
    "extents": {_NAMES["corners"]: _to_size, _NAMES["centres"]: lambda box: _from_centre(_to_size(box))},
    "centres": {_NAMES["corners"]: _to_centre},
}


def _is_inside(box: Box, frame: tuple[int, int]) -> bool:
    """Return whether a box has a positive size and lies within (width, height), up to a small tolerance."""
    left, top, right, bottom = box
    width, height = frame
    slack_x, slack_y = width * _TOLERANCE, height * _TOLERANCE
    return -slack_x <= left < right <= width + slack_x and -slack_y <= top < bottom <= height + slack_y
