"""Map boxes from an image to its views, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tlkit.data.boxes import BoxLabel, Complaint
from tlkit.data.views import View
from tlkit.outputs import Box


@dataclass
class BoxReport:
    """Counts boxes and images, and collects complaints."""

    num_boxes: int = 0
    num_images_without: int = 0
    num_images_with_one: int = 0
    num_images_with_several: int = 0
    complaints: list[Complaint] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """Decisions about how to read the boxes, one sentence each."""

    def add_image(self, boxes: Sequence[BoxLabel]) -> None:
        """Count an image and its valid boxes."""
        self.num_boxes += len(boxes)
        self.num_images_without += len(boxes) == 0
        self.num_images_with_one += len(boxes) == 1
        self.num_images_with_several += len(boxes) > 1

    def add_complaints(self, complaints: Iterable[Complaint]) -> None:
        """Add what was fixed or left out."""
        self.complaints += complaints

    def sentences(self, *, of_own_class: bool = False) -> tuple[str, ...]:
        """Return notices for the user: the counts, the remarks, and one sentence for each kind of complaint.

        Args:
            of_own_class: Only boxes of the image's own class are used.
        """
        several, without = self.num_images_with_several, self.num_images_without
        clauses = [f"{_count(self.num_boxes, 'box')} on {_count(self.num_images_with_one + several, 'image')}"]
        if several:
            own = " of the image's own class" if of_own_class else ""
            clauses.append(f"{_count(several, 'image')} {_have(several)} more than one; the largest{own} is used")
        if without:
            clauses.append(f"{_count(without, 'image')} {_have(without)} none")
        return "; ".join(clauses) + ".", *self.remarks, *self.describe_complaints()

    def describe_complaints(self) -> tuple[str, ...]:
        """Return one sentence for each kind of complaint: the count and the first file."""
        by_kind: dict[str, list[Complaint]] = {}
        for complaint in self.complaints:
            by_kind.setdefault(complaint.kind, []).append(complaint)
        return tuple(f"{len(found):,} × {kind}, e.g. {found[0].path}." for kind, found in by_kind.items())


def _count(number: int, noun: str) -> str:
    plural = f"{noun}es" if noun.endswith("x") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def _have(number: int) -> str:
    return "has" if number == 1 else "have"


MIN_VISIBLE_SHARE = 0.25
"""A box with a smaller visible part in the view is not used as a target."""


def place_box(
    box: Box, view: View, *, picture_size: tuple[int, int], image_size: tuple[int, int], fit: str
) -> tuple[NDArray[np.float32], bool]:
    """Return where a box lies in a view of its image.

    The view's matrix maps the corners. The result is the axis-aligned box around them, clipped to the view.

    Args:
        box: left, top, right, bottom in pixels of the upright image.
        view: The view; `View()` is the image itself.
        picture_size: (height, width) of the upright image, in pixels.
        image_size: (height, width) of the view, in pixels.
        fit: How the image is fitted; see `compute_frame`.

    Returns:
        Centre and size (cx, cy, w, h) in fractions of the view, float32 (4,), 0..1; and whether enough of the box is
        visible.
    """
    matrix = view.matrix(picture_size=picture_size, image_size=image_size, fit=fit)
    left, top, right, bottom = box
    corners = np.array([(left, top, 1), (right, top, 1), (right, bottom, 1), (left, bottom, 1)]).T
    height, width = image_size
    across, down = (matrix @ corners)[0] / width, (matrix @ corners)[1] / height
    edges = np.array([across.min(), down.min(), across.max(), down.max()])
    seen = np.clip(edges, 0.0, 1.0)
    share = _area(seen) / max(_area(edges), 1e-12)
    centre_and_size = ((seen[0] + seen[2]) / 2, (seen[1] + seen[3]) / 2, seen[2] - seen[0], seen[3] - seen[1])
    return np.array(centre_and_size, np.float32), bool(share >= MIN_VISIBLE_SHARE)


def recover_box(
    fractions: NDArray[np.floating], *, picture_size: tuple[int, int], image_size: tuple[int, int], fit: str
) -> Box:
    """Convert a box that a model predicted into pixels of the upright image, clipped to the image.

    Args:
        fractions: cx, cy, w, h in fractions of the input, (4,).
        picture_size: (height, width) of the upright image, in pixels.
        image_size: (height, width) of the input, in pixels.
        fit: The fit that the model was trained with.
    """
    height, width = image_size
    centre_x, centre_y, box_width, box_height = (float(value) for value in fractions)
    corners = np.array(
        [
            ((centre_x - box_width / 2) * width, (centre_y - box_height / 2) * height, 1),
            ((centre_x + box_width / 2) * width, (centre_y + box_height / 2) * height, 1),
        ]
    ).T
    matrix = View().matrix(picture_size=picture_size, image_size=image_size, fit=fit)
    (left, right), (top, bottom), _ = np.linalg.solve(matrix, corners)
    limit_y, limit_x = picture_size
    return (
        float(np.clip(left, 0, limit_x)),
        float(np.clip(top, 0, limit_y)),
        float(np.clip(right, 0, limit_x)),
        float(np.clip(bottom, 0, limit_y)),
    )


def _area(edges: NDArray[np.float64]) -> float:
    return float((edges[2] - edges[0]) * (edges[3] - edges[1]))
