"""What the four numbers of a box are: pixels or fractions, two corners or a corner and a size. All boxes together tell.

A format says what its numbers are, and exports get it wrong: fractions in a table of pixels, two corners in COCO, whose
boxes are a corner and a size. What was meant follows from the pictures, where it makes sense of all boxes and the
format's own reading does not. It is never guessed for a single box.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tlkit.data.boxes import Annotation, BoxLabel
from tlkit.errors import DataError
from tlkit.outputs import Box

_LARGEST_FRACTION = 1.5
_FEWEST_BOXES = 4
_TOLERANCE = 0.02


@dataclass(frozen=True)
class _Reading:
    """Another way to read boxes: how to say so, and what the numbers of a box then mean."""

    sentence: str
    convert: Callable[[Box], Box]
    in_fractions: bool


def settle_units(
    annotations: Mapping[Path, Annotation], sizes: Mapping[Path, tuple[int, int]], *, source: Path
) -> tuple[dict[Path, Annotation], str]:
    """Return the annotations with boxes that are read as they must be meant, and a sentence if that is another way.

    Args:
        annotations: By their image.
        sizes: Upright (width, height) of the sound images.
        source: Where they were read, for messages.

    Raises:
        DataError: Boxes in fractions and boxes in pixels are mixed.
    """
    known = {path: item for path, item in annotations.items() if path in sizes and item.boxes}
    framed = [(box, item, item.size or sizes[path]) for path, item in known.items() for box in item.boxes]
    reading = _find_reading(framed, source) if framed else None
    if reading is None:
        return dict(annotations), ""
    settled = {
        path: replace(
            item,
            boxes=tuple(BoxLabel(*reading.convert(box.corners), box.class_name) for box in item.boxes),
            in_fractions=reading.in_fractions,
        )
        for path, item in annotations.items()
    }
    return settled, f"{source.name}: {reading.sentence}"


def _find_reading(framed: Sequence[tuple[BoxLabel, Annotation, tuple[int, int]]], source: Path) -> _Reading | None:
    """Return how boxes are meant, if it is not as their format says."""
    boxes, (_, first, _) = [box.corners for box, _, _ in framed], framed[0]
    num_small = sum(max(map(abs, box)) <= _LARGEST_FRACTION for box in boxes)
    if first.in_fractions:
        if num_small == 0:
            return _Reading(
                "the numbers are read as pixels, as none is a fraction of its picture.", _keep, in_fractions=False
            )
        frames = [(1, 1)] * len(boxes)
    else:
        if num_small == len(boxes):
            return _Reading(
                "the boxes are read as fractions of the pictures' width and height, as no number is above 1.",
                _keep,
                in_fractions=True,
            )
        if num_small * 4 >= len(boxes):
            raise DataError(
                f"{source}: {num_small:,} of {len(boxes):,} boxes have no number above 1, as if in fractions, and the "
                "others are in pixels.",
                expected="all boxes in pixels, or all in fractions of the pictures' width and height",
                fix="write all boxes in the same unit.",
            )
        frames = [size for _, _, size in framed]
    convert, sentence = _OTHER_SHAPES[first.shape]
    is_wrong = [not _is_inside(box, frame) for box, frame in zip(boxes, frames, strict=True)]
    makes_sense = all(_is_inside(convert(box), frame) for box, frame in zip(boxes, frames, strict=True))
    # Some exchanged corners are slips, and if it is all of them, a tool has counted from the other side.
    share = sum(is_wrong) / len(boxes)
    if len(boxes) >= _FEWEST_BOXES and makes_sense and share >= 0.2 and (first.shape != "corners" or share <= 0.8):
        return _Reading(sentence, convert, in_fractions=first.in_fractions)
    return None


def _keep(box: Box) -> Box:
    return box


def _read_corners_as_size(box: Box) -> Box:
    left, top, width, height = box
    return left, top, left + width, top + height


def _read_size_as_corners(box: Box) -> Box:
    left, top, right, bottom = box
    return left, top, right - left, bottom - top


def _read_centre_as_corners(box: Box) -> Box:
    left, top, right, bottom = box
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top


_OTHER_SHAPES: Mapping[str, tuple[Callable[[Box], Box], str]] = {
    "corners": (
        _read_corners_as_size,
        "the boxes are read as left, top, width, height, as many have no extent as two corners.",
    ),
    "extents": (
        _read_size_as_corners,
        "the boxes are read as two corners, as many reach beyond their picture as left, top, width, height.",
    ),
    "centres": (
        _read_centre_as_corners,
        "the boxes are read as two corners, as many reach beyond their picture as centre and size.",
    ),
}


def _is_inside(box: Box, frame: tuple[int, int]) -> bool:
    """Tell whether a box has an extent and lies within a (width, height), but for a little."""
    left, top, right, bottom = box
    width, height = frame
    slack_x, slack_y = width * _TOLERANCE, height * _TOLERANCE
    return -slack_x <= left < right <= width + slack_x and -slack_y <= top < bottom <= height + slack_y
