"""The features of a data set that an audit rests on: cached rows, and the pooled feature of each image."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.catalogue import MAPS, TOP
from tlkit.backbones.maps import MapLayout
from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.data.views import PICTURE_ITSELF, ViewPlan
from tlkit.distribution.cluster import Cluster
from tlkit.features.cache import FeatureCache
from tlkit.features.ensure import ensure_features
from tlkit.features.request import FeatureRequest
from tlkit.features.trunk_notes import TrunkRequest
from tlkit.features.trunks import open_trunk
from tlkit.places.cache_root import default_cache_root
from tlkit.recipes import ResolvedBackbone
from tlkit.reports.console import Console
from tlkit.tasks import find_task

_ROWS_AT_ONCE = 4096
_BYTES_AT_ONCE = 2**27


@dataclass(frozen=True, eq=False)
class AuditRows:
    """Cached features of images.

    Attributes:
        records: The images that have features, as they are in the manifest.
        cache: Where they are.
        positions: Row of each view of each image, int64 (n, num_views); view 0 is the image itself.
        views: The views.
        layout: How several maps lie in a row; None where a row is a pooled vector.
    """

    records: list[ImageRecord]
    cache: FeatureCache
    positions: NDArray[np.int64]
    views: ViewPlan
    layout: MapLayout | None

    def read(self, images: NDArray[np.int64], views: NDArray[np.int64]) -> NDArray[np.generic]:
        """Return the rows of views of images, float (n, width)."""
        return self.cache.read(self.positions[images, views])

    def pool(self, folder: Path) -> NDArray[np.floating[Any]]:
        """Return one vector for each image, float (n, channels), as a memory map, so that they need not fit into memory.

        Of several maps it is the mean of the coarsest.

        Args:
            folder: Where the memory map lies; an existing folder.
        """
        spec, layout = self.cache.spec, self.layout
        width = layout.shapes[-1][-1] if layout else int(np.prod(spec.feature_shape))
        pooled = np.memmap(folder / "features", dtype=spec.dtype, mode="w+", shape=(len(self.records), width))
        at_once = max(1, min(_ROWS_AT_ONCE, _BYTES_AT_ONCE // spec.row_bytes))
        for start in range(0, len(pooled), at_once):
            block = self.cache.read(self.positions[start : start + at_once, 0]).reshape(-1, *spec.feature_shape)
            if layout:
                block = block[:, layout.parts[-1]].reshape(len(block), -1, width).mean(axis=1, dtype=np.float32)
            pooled[start : start + at_once] = block.reshape(len(block), -1)
        return pooled


def describe_audit_trunk(backbone: ResolvedBackbone, task: str, seed: int) -> TrunkRequest:
    """Return the trunk whose features are compared: pooled, or several maps where a task looks at places.

    Args:
        backbone: The network.
        task: One of `tlkit.outputs.TASKS`.
        seed: Seed of random weights.
    """
    return TrunkRequest(backbone, MAPS if find_task(task).has_objects else "avg", TOP, seed)


def find_rows(
    manifest: Manifest,
    backbone: ResolvedBackbone,
    seed: int,
    console: Console,
    *,
    cluster: Cluster | None = None,
    views: ViewPlan = PICTURE_ITSELF,
) -> AuditRows:
    """Find the features of all images in the cache, or compute them.

    Args:
        manifest: The data set.
        backbone: The network whose features are compared.
        seed: Seed of random weights.
        console: Shows progress, and names images that became unusable.
        cluster: Computes missing rows; None for this process.
        views: The views of every image, whatever its split.

    Raises:
        TlkitError: As for `ensure_features`.
    """
    cache_root, sought = default_cache_root(), manifest
    if views.num_views > 1:
        alike = tuple(dataclasses.replace(record, split="train") for record in manifest.records)
        sought = dataclasses.replace(manifest, records=alike)
    trunk = open_trunk(describe_audit_trunk(backbone, manifest.task, seed), cache_root, console)
    request = FeatureRequest(backbone, TOP, views)
    features = ensure_features(sought, trunk, request, cache_root=cache_root, console=console, cluster=cluster)
    for item in features.skipped:
        console.warn(f"{item.path} is left out: {item.reason}.")
    parts = [part for part in features.splits.values() if part.records]
    own = {record.path: record for record in manifest.records}
    records = [own[record.path] for part in parts for record in part.records]
    positions = np.concatenate([part.positions[:, : views.num_views] for part in parts])
    return AuditRows(records, features.cache, positions, views, trunk.note.layout)
