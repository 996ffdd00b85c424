"""The rows that a data set needs of the feature cache at one boundary: which there are, and how the others are computed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tlkit.data.manifest import Manifest
from tlkit.errors import CacheError
from tlkit.features.cache import FeatureCache
from tlkit.features.engine_choice import NUM_SAMPLES, Work, find_begun_cache, select_engine
from tlkit.features.extract import FillReport, fill_cache, load_sample
from tlkit.features.request import FeatureRequest
from tlkit.features.requested_rows import RequestedRows
from tlkit.features.trunk_notes import describe_cache, describe_trunk
from tlkit.interruption import kept_if_interrupted
from tlkit.reports.console import Console

if TYPE_CHECKING:
    from tlkit.backbones.build import Backbone
    from tlkit.backbones.engines.base import Engine

KEPT_FEATURES = "The features computed so far are kept: the same command goes on from there."


class FeatureRows:
    """The rows of a data set at one boundary.

    Args:
        manifest: The data set.
        backbone: The network; only the part below the boundary is used.
        request: Which rows are wanted.
        cache_root: Where the caches lie.

    Attributes:
        wanted: The rows.
        spec: What they are; engine and precision are open until something is computed.
        cache: The cache that has some of them or goes on; None if there is none yet.
        positions: Where they lie in it, -1 where they do not: int64 (num_files, num_views).
        missing: (file, view) of those that it lacks: int64 (n, 2).
    """

    def __init__(self, manifest: Manifest, backbone: Backbone, request: FeatureRequest, cache_root: Path) -> None:
        self.wanted = RequestedRows(manifest, request.views)
        trunk = describe_trunk(backbone, request.boundary, is_pooled=request.is_pooled)
        self.spec = describe_cache(request, trunk, backbone.pooling, backbone.image_size)
        self.cache = find_begun_cache(self.spec, request.backbone, cache_root, self.wanted)
        self.positions = self.wanted.find(self.cache)
        self.missing = self.wanted.list_missing(self.positions)
        self._backbone = backbone
        self._request = request
        self._cache_root = cache_root

    @property
    def num_found(self) -> int:
        """How many of the rows the cache has."""
        return self.wanted.num_rows - len(self.missing)

    def check_space(self) -> None:
        """Refuse to begin what the disk cannot hold.

        Raises:
            CacheError: The missing rows need more room than there is.
        """
        self._cache_root.mkdir(parents=True, exist_ok=True)
        needed = len(self.missing) * self.spec.row_bytes
        free = shutil.disk_usage(self._cache_root).free
        if needed > free:
            raise CacheError(
                f"The features need {needed / 1e9:,.1f} GB; the disk of {self._cache_root} has {free / 1e9:,.1f} GB left.",
                expected="a disk with room for all of them",
                fix="make room with `tlkit cache prune`, set TLKIT_CACHE to a folder on another disk, or ask for fewer "
                "--views.",
            )

    def open_engine(self, console: Console) -> tuple[Engine, FeatureCache]:
        """Return what computes the missing rows, chosen by their number and checked, and the cache that takes them.

        Raises:
            BackboneError: The engine that is asked for is not installed.
            CacheError: The cache cannot be written.
            NumericsError: No engine gives the features of float32 Keras.
        """
        step = max(1, len(self.missing) // NUM_SAMPLES)
        keys = [key for of_file in self.wanted.list_files(self.missing[::step]) for key in of_file]
        sample = load_sample(keys, lambda key: self._load([key])[0], NUM_SAMPLES)
        trunk = (
            self._backbone.pooled_trunk(self.spec.boundary)
            if self._request.is_pooled
            else self._backbone.trunk(self.spec.boundary)
        )
        work = Work(self.spec, trunk, self._cache_root, len(self.missing), sample)
        return select_engine(work, self._request.backbone, self.cache, console)

    def compute(
        self, rows: NDArray[np.int64], engine: Engine, cache: FeatureCache, advance: Callable[[int], None]
    ) -> FillReport:
        """Compute some of the missing rows, (file, view), int64 (n, 2), and look again what there is.

        Raises:
            CacheError: The cache cannot be written.
            NumericsError: A feature does not fit into the number format.
        """
        with kept_if_interrupted(KEPT_FEATURES):
            report = fill_cache(
                cache,
                self.wanted.list_files(rows),
                self._load,
                engine,
                rows_of_file=self.wanted.views.num_views,
                advance=advance,
            )
        self.cache = cache
        self.positions = self.wanted.find(cache)
        self.missing = self.wanted.list_missing(self.positions)
        return report

    @property
    def _load(self) -> partial[list[NDArray[np.uint8]]]:
        return partial(self.wanted.load, image_size=self.spec.image_size, fit=self.spec.fit)
