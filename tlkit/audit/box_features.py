"""What each box shows, as one vector: the means of the feature maps inside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tlkit.audit.rows import AuditRows
from tlkit.backbones.maps import MapLayout
from tlkit.data.box_views import place_objects
from tlkit.data.views import View
from tlkit.models.spec import BundleSpec

_TINY = 1e-9


def read_box_features(
    rows: AuditRows, boxes: Sequence[NDArray[np.float32]], spec: BundleSpec
) -> list[NDArray[np.float16]]:
    """Return the features of the boxes of each image, read image by image.

    Args:
        rows: The images with their feature maps.
        boxes: Of each, float32 (m, 6), see `tlkit.tasks.objects.make_object_rows`.
        spec: The size and the fit of the input.

    Returns:
        Of each image float16 (m, channels of all maps); see `pool_boxes`.
    """
    assert rows.layout is not None
    features = []
    for place, (record, own) in enumerate(zip(rows.records, boxes, strict=True)):
        size = record.height, record.width
        # One by one: a box that lies outside the view would be left out.
        placed = [
            place_objects(own[[box]], View(), picture_size=size, image_size=spec.image_size, fit=spec.fit)
            for box in range(len(own))
        ]
        corners = np.array([each[0, :4] if len(each) else np.zeros(4) for each in placed]).reshape(-1, 4)
        vector = rows.read(np.array([place]), np.array([0]))[0] if len(own) else np.zeros(rows.layout.width)
        features.append(pool_boxes(vector.astype(np.float32), corners, rows.layout))
    return features


def pool_boxes(vector: NDArray[np.float32], corners: NDArray[np.floating], layout: MapLayout) -> NDArray[np.float16]:
    """Return the means of several maps inside boxes, cells counted by the part of them that lies in the box.

    The signed square roots of each map's means are scaled to unit length, so that no map outweighs the others.

    Args:
        vector: The maps of an image, float32 (layout.width,).
        corners: left, top, right, bottom in fractions of the maps, float (m, 4).
        layout: How the maps lie in the vector.

    Returns:
        float16 (m, channels of all maps).
    """
    parts = []
    for part, shape in zip(layout.parts, layout.shapes, strict=True):
        height, width, _ = shape
        across, down = _cover(corners[:, (0, 2)], width), _cover(corners[:, (1, 3)], height)
        means = np.einsum("my,mx,yxc->mc", down, across, vector[part].reshape(shape), optimize=True)
        roots = np.sign(means) * np.sqrt(np.abs(means))
        parts.append(roots / np.maximum(np.linalg.norm(roots, axis=1, keepdims=True), _TINY))
    return np.concatenate(parts, axis=1).astype(np.float16)


def _cover(edges: NDArray[np.floating], number: int) -> NDArray[np.float32]:
    """Return how much of each of `number` cells along an axis lies between two edges, (m, 2) in fractions of it: (m, n)."""
    starts = np.arange(number) / number
    low, high = np.clip(edges, 0, 1)[:, :1], np.clip(edges, 0, 1)[:, 1:]
    covered: NDArray[np.float32] = np.clip(
        np.minimum(starts + 1 / number, high) - np.maximum(starts, low), 0, None
    ).astype(np.float32)
    return covered
