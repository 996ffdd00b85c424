"""The sets of the study and the features of all their views, computed once."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.division import divide_for_test
from benchmarks.views.cells import TOP
from tlkit.data.dataset import read_dataset
from tlkit.data.file_index import FileIndex
from tlkit.data.manifest import Manifest
from tlkit.data.views import ViewPlan
from tlkit.features.ensure import DatasetFeatures, ensure_features
from tlkit.features.request import FeatureRequest
from tlkit.features.trunk_notes import TrunkRequest
from tlkit.features.trunks import open_trunk
from tlkit.places.cache_root import default_cache_root
from tlkit.recipes import BackboneSettings, resolve_backbone
from tlkit.reports.console import Console

NUM_EPOCHS = 30
MAX_CACHED = 16
VIEW_SEED = 0
"""The same views serve all seeds of the trainings: other ones would take five times as long to compute."""


def read_divided(path: Path, seed: int) -> Manifest:
    """Return a set as a run with this seed divides it: a fifth for the test where it has no test images."""
    return read_dataset(path, divide_for_test(path), seed=seed, index=FileIndex(default_cache_root()))


class CachedViews:
    """Where the features of a set lie, image by image and view by view.

    Args:
        features: Of all images; those of which several views are wanted are its training images.
    """

    def __init__(self, features: DatasetFeatures) -> None:
        self.cache = features.cache
        self.place_of: dict[str, int] = {}
        rows: list[NDArray[np.int64]] = []
        for split in features.splits.values():
            for record, positions in zip(split.records, split.positions, strict=True):
                self.place_of[record.sha256] = len(rows)
                rows.append(positions)
        width = max(map(len, rows))
        self.positions = np.stack([np.pad(row, (0, width - len(row)), constant_values=-1) for row in rows])
        self._pooled: NDArray[Any] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one map."""
        return self.cache.spec.feature_shape

    def read(self, images: NDArray[np.int64], views: NDArray[np.int64]) -> NDArray[np.generic]:
        """Return maps, float16 (n, height, width, channels)."""
        return self.cache.read(self.positions[images, views])

    def read_pooled(self, images: NDArray[np.int64], views: NDArray[np.int64]) -> NDArray[np.generic]:
        """Return means over places, float16 (n, channels): what the linear head takes."""
        if self._pooled is None:
            kept = self.cache.folder / f"pooled-{len(self.positions)}x{self.positions.shape[1]}.npy"
            if not kept.is_file():
                aside = kept.with_suffix(f".{os.getpid()}.npy")
                np.save(aside, self._pool())
                aside.rename(kept)
            self._pooled = np.load(kept)
        return self._pooled[images, views]

    def _pool(self) -> NDArray[np.float16]:
        pooled = np.zeros((*self.positions.shape, self.shape[-1]), np.float16)
        for image, row in enumerate(self.positions):
            known = row[row >= 0]
            pooled[image, : len(known)] = self.cache.read(known).astype(np.float32).mean(axis=(1, 2))
        return pooled


class Sets:
    """The data sets by name, with their features.

    Args:
        paths: Folders or tables by name.
        backbone: What computes the features.
    """

    def __init__(self, paths: dict[str, Path], backbone: BackboneSettings) -> None:
        self.paths = paths
        self.backbone = backbone
        self._features: dict[tuple[str, str, str], CachedViews] = {}

    def read_manifest(self, name: str, seed: int) -> Manifest:
        """Return a set as a run with this seed divides it."""
        return read_divided(self.paths[name], seed)

    def features(self, name: str, policy: str, boundary: str) -> CachedViews:
        """Return the features of a set, computing those that are missing.

        An image that is trained on under some seed has all its views: the image itself and one for each epoch, or 16.
        """
        key = (name, policy, boundary)
        if key not in self._features:
            first, second = (self.read_manifest(name, seed) for seed in (0, 1))
            has_fixed_split = [each.split for each in first.records] == [each.split for each in second.records]
            records = first.records
            if not has_fixed_split:
                records = tuple(dataclasses.replace(record, split="train") for record in records)
            is_online = policy == "standard" and boundary == TOP
            backbone = resolve_backbone(self.backbone)
            features = ensure_features(
                dataclasses.replace(first, records=records),
                open_trunk(TrunkRequest(backbone, "none", boundary, 0), default_cache_root(), Console()),
                FeatureRequest(
                    backbone, boundary, ViewPlan(policy, 1 + NUM_EPOCHS if is_online else MAX_CACHED, VIEW_SEED)
                ),
                cache_root=default_cache_root(),
                console=Console(),
            )
            self._features[key] = CachedViews(features)
        return self._features[key]
