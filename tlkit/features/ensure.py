"""The features of a data set: found in the cache, or computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.catalogue import PIXELS, BackboneEntry
from tlkit.data.manifest import ImageRecord, Manifest, SkippedFile
from tlkit.data.views import ViewPlan
from tlkit.errors import DataError, SettingError
from tlkit.features.cache import FeatureCache
from tlkit.features.engine_choice import find_complete_cache
from tlkit.features.folder import note_use
from tlkit.features.request import FeatureRequest
from tlkit.features.requested_rows import RequestedRows, SplitFeatures
from tlkit.features.rows import FeatureRows
from tlkit.features.trunk_notes import TrunkRequest, describe_cache, find_known_trunk, has_one_off_weights
from tlkit.recipes import ResolvedBackbone
from tlkit.reports.console import Console

if TYPE_CHECKING:
    from tlkit.backbones.build import Backbone


@dataclass(frozen=True, eq=False)
class DatasetFeatures:
    """All features of a data set at one boundary.

    Attributes:
        cache: The opened cache, for reading at the positions.
        splits: The rows by split: train, validation and test, also where one is empty.
        skipped: Images that became unusable after the data set was read, each with its reason.
        hits: Rows that the cache had.
        misses: Rows that it lacked; those of `skipped` could not be computed.
        seconds: Time that computing those took, once the engine was ready; 0 if there were none.
    """

    cache: FeatureCache
    splits: dict[str, SplitFeatures]
    skipped: tuple[SkippedFile, ...]
    hits: int
    misses: int
    seconds: float

    def locate(self, records: Sequence[ImageRecord]) -> NDArray[np.int64]:
        """Return where the views of images lie in the cache, int64 (n, num_views); all have the same number of views.

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
        """Refuse to go on if an image became unusable after the data set was read.

        Raises:
            DataError: One did; the first is named.
        """
        for item in self.skipped:
            raise DataError(f"{item.path}: {item.reason}.", expected=expected, fix=fix)


def check_boundary(entry: BackboneEntry, boundary: str) -> str:
    """Return a boundary's canonical name, after checking that there is something to compute below it.

    Raises:
        BackboneError: The backbone has no such boundary.
        SettingError: Below the pixels there is nothing.
    """
    boundary = entry.boundary(boundary)
    if boundary == PIXELS:
        raise SettingError(
            "--boundary pixels leaves nothing to compute: images are augmented afresh in every epoch there.",
            expected=f"one of {', '.join(entry.boundaries[1:])}",
            fix="leave --boundary out for the backbone's last features.",
        )
    return boundary


def build_backbone_for(backbone: ResolvedBackbone, pooling: str, seed: int) -> Backbone:
    """Start Keras and return the network that a recipe describes; `pooling` is "avg" or "none"."""
    from tlkit.runtime import start_keras

    start_keras()
    from tlkit.backbones.build import build_backbone

    return build_backbone(
        backbone.entry.name, image_size=backbone.image_size, pooling=pooling, weights=backbone.weights, seed=seed
    )


def find_features(
    manifest: Manifest, request: TrunkRequest, views: ViewPlan, cache_root: Path, console: Console
) -> DatasetFeatures | None:
    """Return the features if the cache has all of them and that can be seen without building the network."""
    trunk = find_known_trunk(request, cache_root)
    if trunk is None:
        return None
    spec = describe_cache(
        FeatureRequest(request.backbone, request.boundary, views), trunk, request.pooling, request.backbone.image_size
    )
    wanted = RequestedRows(manifest, views)
    cache = find_complete_cache(spec, request.backbone, cache_root, wanted)
    if cache is None:
        return None
    console.say(f"Features of {spec.backbone} at {spec.boundary}: all {wanted.num_rows:,} rows found.")
    _note_use(cache, manifest, console, is_one_off=False)
    splits, skipped = wanted.by_split(wanted.find(cache), {})
    return DatasetFeatures(cache, splits, skipped, wanted.num_rows, 0, 0.0)


def ensure_features(
    manifest: Manifest,
    backbone: Backbone,
    request: FeatureRequest,
    *,
    cache_root: Path,
    console: Console,
) -> DatasetFeatures:
    """Return where the features of all images of a data set lie in the cache, computing those that it lacks.

    Memory stays flat as images grow in number, but for some hundred bytes an image; equal files are computed once.

    Args:
        manifest: The data set.
        backbone: The network; only the part below the boundary is used.
        request: Which features are wanted.
        cache_root: Where the caches lie.
        console: Where progress is shown.

    Raises:
        BackboneError: The engine that is asked for is not installed.
        CacheError: The cache cannot be written, or the disk is too small.
        NumericsError: A feature does not fit into the number format, or no engine gives those of float32 Keras.
    """
    rows = FeatureRows(manifest, backbone, request, cache_root)
    cache, hits, missing = rows.cache, rows.num_found, rows.missing
    console.say(
        f"Features of {backbone.entry.name} at {request.boundary}: {hits:,} rows found, {len(missing):,} to compute."
    )
    seconds = 0.0
    reasons: dict[str, str] = {}
    if cache is None or len(missing):
        rows.check_space()
        engine, cache = rows.open_engine(console)
        unit = "images" if request.views.num_views == 1 else "views"
        with console.progress("Features", len(missing), unit) as advance:
            report = rows.compute(missing, engine, cache, advance)
        seconds = report.seconds
        reasons = {row.sha256: reason for row, reason in report.failures}
    for path, reason in cache.damaged.items():
        console.warn(
            f"{path}: {reason}. What was needed of it is computed again; `tlkit cache verify --remove` cleans up."
        )
    _note_use(cache, manifest, console, is_one_off=has_one_off_weights(backbone))
    splits, skipped = rows.wanted.by_split(rows.positions, reasons)
    return DatasetFeatures(cache, splits, skipped, hits, len(missing), seconds)


def _note_use(cache: FeatureCache, manifest: Manifest, console: Console, *, is_one_off: bool) -> None:
    with console.disk_warning(f"{cache.folder}: what the cache is used for cannot be noted there"):
        note_use(cache.folder, manifest.root, is_one_off=is_one_off)
