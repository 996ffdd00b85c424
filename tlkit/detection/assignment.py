"""Which locations of a dense head answer for which object.

The size of an object chooses the map, and its centre the locations (Tian et al. 2019, arXiv:1904.01355): the same at
every step, whatever the head answers. With few images this learns faster than an assignment by the head's own answers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from keras import ops

from tlkit.detection.grid import Grid

MAX_CELLS = 8.0
"""Size of the largest objects of a map, in its cells: square root of the area. Larger ones belong to the next coarser map."""

RADIUS_CELLS = 1.5
"""Locations this far from an object's centre answer for it, to either side of each axis, if they lie within it."""

LOCATIONS_PER_OBJECT = 9.0
"""As many as that at most."""


class Assignment(NamedTuple):
    """What each location answers for.

    Attributes:
        objects: Index of the location's object, int (n, P); 0 without one.
        is_assigned: Whether it has one, bool (n, P).
        is_ignored: Whether it lies within an ignored object and has none of its own, bool (n, P).
    """

    objects: Any
    is_assigned: Any
    is_ignored: Any


def assign_locations(targets: Any, grid: Grid) -> Assignment:
    """Assign locations to objects.

    Args:
        targets: As for `compute_detection_losses`, float32 (n, M, 6), clipped to 0..1.
        grid: The locations.
    """
    boxes, label, ignored = targets[..., :4], targets[..., 4], targets[..., 5]
    low, high = boxes[:, :, None, :2], boxes[:, :, None, 2:]
    inside = ops.all(ops.logical_and(grid.centres > low, grid.centres < high), axis=-1)
    away = ops.max(ops.abs((low + high) / 2 - grid.centres) / grid.cells, axis=-1)
    # In the cell of its centre a small object is found even where no location lies within it.
    is_near = ops.logical_or(ops.logical_and(inside, away <= RADIUS_CELLS), away <= 0.5)
    area = ops.prod(boxes[..., 2:] - boxes[..., :2], axis=-1)
    is_object = ops.logical_and(label > 0, ops.logical_and(ignored == 0, area > 0))
    fits = ops.logical_and(is_near, _fits_map(area, grid))
    fits = ops.logical_and(fits, is_object[..., None])
    # Where several fit, the smaller object lies in front, or within the larger one.
    preference = ops.where(fits, 1 / (1 + area[..., None]), 0.0)
    is_assigned = ops.any(fits, axis=1)
    covered = ops.any(ops.logical_and(inside, ops.logical_and(label > 0, ignored > 0)[..., None]), axis=1)
    return Assignment(
        ops.argmax(preference, axis=1), is_assigned, ops.logical_and(covered, ops.logical_not(is_assigned))
    )


def _fits_map(area: Any, grid: Grid) -> Any:
    """Return which locations' maps are for objects of such an area: bool (n, M, P).

    Args:
        area: Areas of the objects, in fractions of the input, float (n, M).
        grid: The locations.
    """
    most = [MAX_CELLS**2 / (height * width) for height, width in grid.map_sizes[:-1]]
    least_by_map, most_by_map = np.array([0.0, *most], np.float32), np.array([*most, np.inf], np.float32)
    area = area[..., None]
    return ops.logical_and(area >= least_by_map[grid.levels], area < most_by_map[grid.levels])
