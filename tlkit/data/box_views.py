"""Map boxes from an image to its views, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tlkit.data.boxes import BoxLabel, Complaint
from tlkit.data.views import View
from tlkit.outputs import DETECTION, TASKS, Box


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
        hints = ["To find all objects of an image, add --task detection."] if several and DETECTION in TASKS else []
        return "; ".join(clauses) + ".", *hints, *self.remarks, *self.describe_complaints()

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
    edges = _map_edges(np.array([box], np.float64), matrix) / _repeat_size(image_size)
    seen = np.clip(edges[0], 0.0, 1.0)
    centre_and_size = ((seen[0] + seen[2]) / 2, (seen[1] + seen[3]) / 2, seen[2] - seen[0], seen[3] - seen[1])
    return np.array(centre_and_size, np.float32), bool(_compute_visible_shares(edges)[0] >= MIN_VISIBLE_SHARE)


def place_objects(
    rows: NDArray[np.floating], view: View, *, picture_size: tuple[int, int], image_size: tuple[int, int], fit: str
) -> NDArray[np.float32]:
    """Return where an image's objects lie in a view of it.

    An object that lies outside the view is left out. One of which too little is visible is ignored.

    Args:
        rows: float (m, 6), see `tlkit.tasks.objects.make_object_rows`: left, top, right, bottom in pixels of the upright
            image, class + 1, and whether it is ignored.
        view: The view; `View()` is the image itself.
        picture_size: (height, width) of the upright image, in pixels.
        image_size: (height, width) of the view, in pixels.
        fit: How the image is fitted; see `compute_frame`.

    Returns:
        float32 (k, 6), k <= m: the same rows, with corners in fractions of the view. They are not clipped, so that an
        object at the edge keeps its size.
    """
    matrix = view.matrix(picture_size=picture_size, image_size=image_size, fit=fit)
    edges = _map_edges(rows[:, :4].astype(np.float64), matrix) / _repeat_size(image_size)
    shares = _compute_visible_shares(edges)
    is_ignored = (rows[:, 5] > 0) | (shares < MIN_VISIBLE_SHARE)
    placed = np.column_stack([edges, rows[:, 4], is_ignored])[shares > 0]
    return placed.astype(np.float32)


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
    centre_x, centre_y, width, height = (float(value) for value in fractions)
    edges = (centre_x - width / 2, centre_y - height / 2, centre_x + width / 2, centre_y + height / 2)
    recovered = _recover_edges(np.array([edges]), picture_size=picture_size, image_size=image_size, fit=fit)
    left, top, right, bottom = recovered[0].tolist()
    return left, top, right, bottom


def recover_objects(
    detections: NDArray[np.floating], *, picture_size: tuple[int, int], image_size: tuple[int, int], fit: str
) -> NDArray[np.float32]:
    """Convert the boxes that a detector predicted into pixels of the upright image, clipped to the image.

    Args:
        detections: float (k, 6): left, top, right, bottom in fractions of the input, score, class. Rows whose score is 0
            only fill up.
        picture_size: (height, width) of the upright image, in pixels.
        image_size: (height, width) of the input, in pixels.
        fit: The fit that the model was trained with.

    Returns:
        float32 (k, 6), the same rows in pixels, without those that lie beside the image; zeros fill up.
    """
    edges = _recover_edges(
        detections[:, :4].astype(np.float64), picture_size=picture_size, image_size=image_size, fit=fit
    )
    is_seen = (detections[:, 4] > 0) & (edges[:, 2:] > edges[:, :2]).all(axis=1)
    recovered = np.zeros(detections.shape, np.float32)
    recovered[: is_seen.sum()] = np.column_stack((edges, detections[:, 4:]))[is_seen]
    return recovered


def _recover_edges(
    edges: NDArray[np.float64], *, picture_size: tuple[int, int], image_size: tuple[int, int], fit: str
) -> NDArray[np.float64]:
    """Return boxes (m, 4) in fractions of the input as boxes in pixels of the upright image, clipped to it."""
    matrix = View().matrix(picture_size=picture_size, image_size=image_size, fit=fit)
    recovered = _map_edges(edges * _repeat_size(image_size), np.linalg.inv(matrix).astype(np.float64))
    return np.clip(recovered, 0.0, _repeat_size(picture_size))


def _map_edges(edges: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the axis-aligned boxes around mapped boxes, both (m, 4): left, top, right, bottom."""
    xs, ys = edges[:, (0, 2, 2, 0)], edges[:, (1, 1, 3, 3)]
    across = matrix[0, 0] * xs + matrix[0, 1] * ys + matrix[0, 2]
    down = matrix[1, 0] * xs + matrix[1, 1] * ys + matrix[1, 2]
    return np.column_stack([across.min(1), down.min(1), across.max(1), down.max(1)])


def _repeat_size(size: tuple[int, int]) -> NDArray[np.float64]:
    """Return (height, width) as the (4,) divisors of left, top, right, bottom."""
    height, width = size
    return np.array([width, height, width, height], np.float64)


def _compute_visible_shares(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return which share of each box, (m, 4) in fractions of the view, lies in the view: 0..1, (m,)."""
    seen = np.clip(edges, 0.0, 1.0)
    shares: NDArray[np.float64] = _compute_areas(seen) / np.maximum(_compute_areas(edges), 1e-12)
    return shares


def _compute_areas(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    areas: NDArray[np.float64] = (edges[:, 2] - edges[:, 0]) * (edges[:, 3] - edges[:, 1])
    return areas
