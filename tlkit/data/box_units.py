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
    is_wrong = [not _is_inside(box, frame) for box, frame in zip(boxes, frames, strict=True)]
    # Some exchanged corners are slips, and if it is all of them, a tool has counted from the other side.
    share = sum(is_wrong) / len(boxes)
    if len(boxes) < _FEWEST_BOXES or share < 0.2 or (first.shape == "corners" and share > 0.8):
        return None
    sensible = {
        name: convert
        for name, convert in _OTHER_SHAPES[first.shape].items()
        if all(_is_inside(convert(box), frame) for box, frame in zip(boxes, frames, strict=True))
    }
    if len(sensible) > 1:
        raise DataError(
            f"{source}: {sum(is_wrong):,} of {len(boxes):,} boxes make no sense as {_NAMES[first.shape]}, and all of them do "
            f"as {' and as '.join(sensible)}.",
            expected=f"boxes as {_NAMES[first.shape]}, as the format has them",
            fix="write them so.",
        )
    for name, convert in sensible.items():
        reason = f"as {sum(is_wrong):,} of {len(boxes):,} make no sense as {_NAMES[first.shape]}"
        return _Reading(f"the boxes are read as {name}, {reason}.", convert, in_fractions=first.in_fractions)
    return None


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
_OTHER_SHAPES: Mapping[str, Mapping[str, Callable[[Box], Box]]] = {
    "corners": {_NAMES["extents"]: _from_size, _NAMES["centres"]: _from_centre},
    "extents": {_NAMES["corners"]: _to_size, _NAMES["centres"]: lambda box: _from_centre(_to_size(box))},
    "centres": {_NAMES["corners"]: _to_centre},
}


def _is_inside(box: Box, frame: tuple[int, int]) -> bool:
    """Tell whether a box has an extent and lies within a (width, height), but for a little."""
    left, top, right, bottom = box
    width, height = frame
    slack_x, slack_y = width * _TOLERANCE, height * _TOLERANCE
    return -slack_x <= left < right <= width + slack_x and -slack_y <= top < bottom <= height + slack_y
