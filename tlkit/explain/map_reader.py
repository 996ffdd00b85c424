"""Read the feature maps of a data set's images at any boundary: from the cache, or computed and kept there.

Features of a network that its own run has trained are of no use to another run; they are computed block by block and
kept nowhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.engines.base import make_keras_engine
from tlkit.data.image_file import ImageFile
from tlkit.data.manifest import Manifest, SkippedFile
from tlkit.data.views import PICTURE_ITSELF
from tlkit.explain.explainer import Explainer
from tlkit.features.allowed_engines import choose_batch_size
from tlkit.features.ensure import ensure_features
from tlkit.features.extract import Loaded, run_batches
from tlkit.features.request import FeatureRequest
from tlkit.features.trunks import take_trunk
from tlkit.inference.scoring import reasons, render_views
from tlkit.recipes import ResolvedBackbone
from tlkit.reports.console import Console

ROWS_AT_ONCE = 128
"""Maps that are held in memory at a time."""


@dataclass(frozen=True)
class MapSource:
    """Where feature maps come from.

    Attributes:
        backbone: How images are resized, and how features are computed and stored.
        cache_root: Where the caches lie.
        console: Shows progress.
    """

    backbone: ResolvedBackbone
    cache_root: Path
    console: Console


@dataclass
class MapReader:
    """Reads the feature maps of a manifest's images, block by block.

    Attributes:
        explainer: Says at which map the network is cut.
        manifest: The images; each is shown as it is, whatever its split.
        source: Where the maps come from.
        failures: Images that have become unusable, as far as blocks have been read.
    """

    explainer: Explainer
    manifest: Manifest
    source: MapSource
    failures: list[SkippedFile] = field(default_factory=list)

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.floating[Any]]]]:
        """Yield the places of images in the manifest, int64 (m,), with their maps, float (m, h, w, channels).

        Of several maps, these are the coarsest, which is the map of the boundary itself.
        """
        self.failures.clear()
        for places, features in self._read_cached() if self._is_frozen else self._compute():
            yield places, self.explainer.take_maps(features)[-1]

    @property
    def _is_frozen(self) -> bool:
        """Whether what lies below the cut has weights that other runs share."""
        spec, entry = self.explainer.classifier.spec, self.explainer.classifier.backbone.entry
        below = entry.boundary_below(spec.unfrozen)
        return entry.boundaries.index(self.explainer.boundary) <= entry.boundaries.index(below)

    def _read_cached(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.floating[Any]]]]:
        classifier = self.explainer.classifier
        trunk = self.explainer.trunk
        backbone = classifier.backbone
        if self.explainer.boundary == backbone.entry.boundaries[-1] and not self.explainer.finds_objects:
            backbone = dataclasses.replace(backbone, pooling="none", build=lambda: trunk, note=None)
        request = FeatureRequest(self.source.backbone, self.explainer.boundary)
        stored = ensure_features(
            self.manifest,
            take_trunk(backbone, request),
            request,
            cache_root=self.source.cache_root,
            console=self.source.console,
        )
        positions = {
            record.sha256: int(row[0])
            for split in stored.splits.values()
            for record, row in zip(split.records, split.positions, strict=True)
        }
        self.failures += stored.skipped
        found = [place for place, record in enumerate(self.manifest.records) if record.sha256 in positions]
        for start in range(0, len(found), ROWS_AT_ONCE):
            places = np.array(found[start : start + ROWS_AT_ONCE], np.int64)
            rows = np.array([positions[self.manifest.records[place].sha256] for place in places], np.int64)
            yield places, stored.cache.read(rows)

    def _compute(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.floating[Any]]]]:
        records, spec = self.manifest.records, self.explainer.classifier.spec
        batch_size = choose_batch_size("keras", spec.image_size)
        engine = make_keras_engine(self.explainer.trunk, precision="float32", batch_size=batch_size)

        def load(place: int) -> Loaded[None]:
            with reasons():
                record = records[place]
                image = ImageFile.read(record.path, spec.grey, expected_sha256=record.sha256)
                return Loaded([(pixels,) for pixels in render_views(image, spec, PICTURE_ITSELF)])

        with self.source.console.progress("Features", len(records)) as advance:
            for results in run_batches(range(len(records)), load, engine.compute, batch_size=engine.batch_size):
                for result in results:
                    if result.failure is not None:
                        self.failures.append(SkippedFile(records[result.item].path, result.failure))
                usable = [result for result in results if result.failure is None]
                if usable:
                    places = np.array([result.item for result in usable], np.int64)
                    yield places, np.stack([result.outputs[0] for result in usable])
                advance(len(results))
