"""Find the features of a data set in the cache, or compute them."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.catalogue import INT8, PIXELS, BackboneEntry
from tlkit.data.manifest import ImageRecord, Manifest, SkippedFile
from tlkit.distribution.cluster import Cluster
from tlkit.errors import CacheError, DataError, SettingError
from tlkit.features.cache import FeatureCache
from tlkit.features.calibration import load_calibration_sample
from tlkit.features.engine_choice import NUM_SAMPLES, Work, calibrated_in_part, find_begun_cache, select_engine
from tlkit.features.extract import FillReport, fill_cache, load_sample
from tlkit.features.folder import note_use
from tlkit.features.remote import FeatureWorkers
from tlkit.features.request import FeatureRequest
from tlkit.features.requested_rows import RequestedRows, SplitFeatures
from tlkit.features.trunks import Trunk, describe_cache
from tlkit.interruption import kept_if_interrupted
from tlkit.reports.console import Console

if TYPE_CHECKING:
    from tlkit.backbones.engines.base import Engine


KEPT_FEATURES = "The features computed so far are kept: the same command goes on from there."


class FeatureRows:
    """The rows of a data set at one boundary.

    Args:
        manifest: The data set.
        trunk: The part of the network below the boundary.
        request: The requested features.
        cache_root: Root of the caches.

    Attributes:
        requested: The rows.
        spec: Their specification, without engine and precision until some are computed.
        cache: The cache that is used or continued; None if there is none yet.
        positions: Their positions in the cache, -1 if missing: int64 (num_files, num_views).
        missing: (file, view) of the missing rows: int64 (n, 2).
    """

    def __init__(self, manifest: Manifest, trunk: Trunk, request: FeatureRequest, cache_root: Path) -> None:
        self.requested = RequestedRows(manifest, request.views)
        self.spec = describe_cache(request, trunk)
        self.cache = find_begun_cache(self.spec, request.backbone, cache_root, self.requested)
        self.positions = self.requested.find(self.cache)
        self.missing = self.requested.list_missing(self.positions)
        self._trunk = trunk
        self._request = request
        self._cache_root = cache_root

    @property
    def num_found(self) -> int:
        """Number of rows in the cache."""
        return self.requested.num_rows - len(self.missing)

    def check_space(self) -> None:
        """Check that the missing rows fit on the disk.

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
        """Choose and check the engine for the missing rows, and open the cache to add them to.

        Raises:
            BackboneError: The engine that is asked for is not installed.
            CacheError: The cache cannot be written.
            NumericsError: No engine gives the features of float32 Keras.
            SettingError: A part of a data set would be the first of its cache in int8.
        """
        if self._request.is_part and self.cache is None and self._request.backbone.precision == INT8:
            raise calibrated_in_part()
        step = max(1, len(self.missing) // NUM_SAMPLES)
        keys = [key for of_file in self.requested.list_files(self.missing[::step]) for key in of_file]
        load_some = partial(load_sample, keys, lambda key: self._load([key])[0], NUM_SAMPLES)
        load_more = partial(load_calibration_sample, self.requested, self._load)
        backbone = self._request.backbone
        work = Work(self.spec, self._trunk, self._cache_root, len(self.missing), backbone.devices, load_some, load_more)
        work = dataclasses.replace(work, may_time=not self._request.is_part)
        return select_engine(work, backbone, self.cache, console)

    def compute(
        self,
        rows: NDArray[np.int64],
        engine: Engine,
        cache: FeatureCache,
        advance: Callable[[int], None],
        workers: FeatureWorkers | None = None,
    ) -> FillReport:
        """Compute some of the missing rows, (file, view), int64 (n, 2), in this process or by workers of a cluster, and
        update the positions.

        Raises:
            CacheError: The cache cannot be written.
            ClusterError: The cluster has no workers, or cannot be reached.
            DataError: A node of the cluster does not see an image that this machine sees.
            NumericsError: A feature does not fit into the number format.
        """
        with kept_if_interrupted(KEPT_FEATURES):
            if workers:
                report = workers.fill_cache(cache, self.requested, rows, engine, advance)
            else:
                report = fill_cache(
                    cache,
                    self.requested.list_files(rows),
                    self._load,
                    engine,
                    rows_of_file=self.requested.views.num_views,
                    advance=advance,
                )
        self.cache = cache
        self.positions = self.requested.find(cache)
        self.missing = self.requested.list_missing(self.positions)
        return report

    @property
    def _load(self) -> partial[list[NDArray[np.uint8]]]:
        return partial(self.requested.load, image_size=self.spec.image_size, fit=self.spec.fit)


@dataclass(frozen=True, eq=False)
class DatasetFeatures:
    """All features of a data set at one boundary.

    Attributes:
        cache: The opened cache.
        splits: The rows by split: train, validation and test, even if empty.
        skipped: Images that became unusable after the data set was read, each with its reason.
        hits: Number of rows found in the cache.
        misses: Number of missing rows, including those of `skipped`.
        seconds: Time to compute the missing rows, without starting the engine.
    """

    cache: FeatureCache
    splits: dict[str, SplitFeatures]
    skipped: tuple[SkippedFile, ...]
    hits: int
    misses: int
    seconds: float

    def locate(self, records: Sequence[ImageRecord]) -> NDArray[np.int64]:
        """Return the positions of images in the cache, int64 (n, num_views); all have the same number of views.

        Raises:
            DataError: One of the data set's images became unusable after it was read.
        """
        self.refuse_skipped(
            expected="the images to stay as they are while their features are computed", fix="start again."
        )
        positions = {
            record.sha256: row
            for split in self.splits.values()
            for record, row in zip(split.records, split.positions, strict=True)
        }
        return np.stack([positions[record.sha256] for record in records])

    def refuse_skipped(
        self,
        *,
        expected: str = "only usable images, because of --strict",
        fix: str = "fix or remove the file, or remove --strict to skip it.",
    ) -> None:
        """Raise an error if an image became unusable after the data set was read.

        Raises:
            DataError: For the first such image.
        """
        for item in self.skipped:
            raise DataError(f"{item.path}: {item.reason}.", expected=expected, fix=fix)


def check_boundary(entry: BackboneEntry, boundary: str) -> str:
    """Return the canonical name of a boundary below which there are layers.

    Raises:
        BackboneError: The backbone has no such boundary.
        SettingError: The boundary is at the pixels.
    """
    boundary = entry.boundary(boundary)
    if boundary == PIXELS:
        raise SettingError(
            "--boundary pixels leaves nothing to compute: images are augmented afresh in every epoch there.",
            expected=f"one of {', '.join(entry.boundaries[1:])}",
            fix="leave --boundary out for the backbone's last features.",
        )
    return boundary


def ensure_features(
    manifest: Manifest,
    trunk: Trunk,
    request: FeatureRequest,
    *,
    cache_root: Path,
    console: Console,
    cluster: Cluster | None = None,
) -> DatasetFeatures:
    """Find the features of all images of a data set in the cache, and compute the missing ones.

    Memory grows only by some hundred bytes per image. Equal files are computed once.

    Args:
        manifest: The data set.
        trunk: The part of the network below the boundary; it is only built if an engine needs it.
        request: The features to compute.
        cache_root: Root of the caches.
        console: Shows progress.
        cluster: Computes missing rows; None for this process.

    Raises:
        BackboneError: The engine that is asked for is not installed.
        CacheError: The cache cannot be written, or the disk is too small.
        ClusterError: The cluster has no workers, or cannot be reached.
        DataError: A node of the cluster does not see an image that this machine sees.
        NumericsError: A feature does not fit into the number format, or no engine gives those of float32 Keras.
        SettingError: A part of a data set would be the first of its cache in int8.
    """
    rows = FeatureRows(manifest, trunk, request, cache_root)
    cache, hits, missing = rows.cache, rows.num_found, rows.missing
    console.say(
        f"Features of {rows.spec.backbone} at {request.boundary}: {hits:,} rows found, {len(missing):,} to compute."
    )
    seconds = 0.0
    reasons: dict[str, str] = {}
    if cache is None or len(missing):
        rows.check_space()
        engine, cache = rows.open_engine(console)
        unit = "images" if request.views.num_views == 1 else "views"
        workers = FeatureWorkers(cluster, console.warn) if cluster else None
        with console.progress("Features", len(missing), unit, note=cluster.describe if cluster else None) as advance:
            report = rows.compute(missing, engine, cache, advance, workers)
        seconds = report.seconds
        reasons = {row.sha256: reason for row, reason in report.failures}
    for path, reason in cache.damaged.items():
        console.warn(
            f"{path}: {reason}. What was needed of it is computed again; `tlkit cache verify --remove` cleans up."
        )
    for problem in cache.shared.take_problems() if cache.shared else ():
        console.warn(problem)
    with console.disk_warning(f"{cache.folder}: what the cache is used for cannot be noted there"):
        note_use(cache.folder, manifest.root, is_one_off=trunk.is_one_off)
    splits, skipped = rows.requested.by_split(rows.positions, reasons)
    return DatasetFeatures(cache, splits, skipped, hits, len(missing), seconds)
