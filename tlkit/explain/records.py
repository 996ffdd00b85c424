"""Explain the images of a data set: their feature maps come from the cache, or are computed and kept there.

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
from tlkit.data.geometry import compute_frame
from tlkit.data.image_file import ImageFile
from tlkit.data.manifest import ImageRecord, Manifest, SkippedFile
from tlkit.data.views import PICTURE_ITSELF
from tlkit.explain.explainer import Explainer
from tlkit.explain.methods import AUTO, explain_features
from tlkit.features.engine_choice import BATCH_SIZES
from tlkit.features.ensure import ensure_features
from tlkit.features.extract import Loaded, run_batches
from tlkit.features.request import FeatureRequest
from tlkit.inference.scoring import reasons, render_views
from tlkit.recipes import ResolvedBackbone
from tlkit.reports.console import Console

ROWS_AT_ONCE = 128
"""Maps that are held in memory at a time."""
FINE_MAP_CELLS = 96
"""Cells along an edge of a map that is placed on its picture, so that the edge of what the network saw is sharp."""


@dataclass(frozen=True, eq=False)
class ExplainedRecords:
    """Evidence for one output of each image.

    Attributes:
        records: The images, one for each row of the others.
        maps: float32 (n, h, w), as `explain_features` gives them.
        outputs: float32 (n, num_outputs), as `Explainer.compute_outputs` gives them.
        targets: The output that is explained, int64 (n,).
        failures: Images that have become unusable.
    """

    records: tuple[ImageRecord, ...]
    maps: NDArray[np.float32]
    outputs: NDArray[np.float32]
    targets: NDArray[np.int64]
    failures: tuple[SkippedFile, ...]


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
        """Yield the places of images in the manifest, int64 (m,), with their maps, float (m, h, w, channels)."""
        self.failures.clear()
        return self._read_cached() if self._is_frozen else self._compute()

    @property
    def _is_frozen(self) -> bool:
        """Whether what lies below the cut has weights that other runs share."""
        spec, entry = self.explainer.classifier.spec, self.explainer.classifier.backbone.entry
        below = entry.boundary_below(spec.unfrozen)
        return entry.boundaries.index(self.explainer.boundary) <= entry.boundaries.index(below)

    def _read_cached(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.floating[Any]]]]:
        classifier = self.explainer.classifier
        backbone = dataclasses.replace(classifier.backbone, pooling="none", model=self.explainer.trunk)
        if self.explainer.boundary in backbone.entry.boundaries[:-1]:
            backbone = classifier.backbone
        request = FeatureRequest(self.source.backbone, self.explainer.boundary)
        stored = ensure_features(
            self.manifest, backbone, request, cache_root=self.source.cache_root, console=self.source.console
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
        engine = make_keras_engine(self.explainer.trunk, precision="float32", batch_size=BATCH_SIZES["keras"])
        records, spec = self.manifest.records, self.explainer.classifier.spec

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


def explain_records(
    explainer: Explainer,
    manifest: Manifest,
    targets: NDArray[np.int64] | None,
    source: MapSource,
    *,
    method: str = AUTO,
) -> ExplainedRecords:
    """Explain one output of each image of a manifest.

    Memory holds the results, and the feature maps of 128 images.

    Args:
        explainer: The model.
        manifest: The images.
        targets: The output that is explained of each, int64 (n,), as for `explain_features`; None: the largest answer.
        source: Where feature maps come from.
        method: As for `explain_features`.

    Raises:
        CacheError: Features cannot be stored.
        NumericsError: No engine gives the features of float32 Keras.
    """
    reader = MapReader(explainer, manifest, source)
    spec = explainer.classifier.spec
    found: list[int] = []
    maps = [np.zeros((0, *explainer.feature_shape[:2]), np.float32)]
    outputs = [np.zeros((0, explainer.num_outputs), np.float32)]
    chosen = [np.zeros(0, np.int64)]
    for places, features in reader:
        metadata = spec.metadata.encode([manifest.records[place].metadata for place in places])
        said = explainer.compute_outputs(features, metadata)
        aims = said[:, : spec.outputs.num_answers].argmax(axis=1) if targets is None else targets[places]
        found += places.tolist()
        outputs.append(said)
        chosen.append(aims)
        maps.append(explain_features(explainer, features, aims, metadata, method=method))
    return ExplainedRecords(
        tuple(manifest.records[place] for place in found),
        np.concatenate(maps),
        np.concatenate(outputs),
        np.concatenate(chosen),
        tuple(reader.failures),
    )


def place_map(
    evidence: NDArray[np.floating[Any]], *, picture_size: tuple[int, int], image_size: tuple[int, int], fit: str
) -> NDArray[np.float32]:
    """Return a map of the network's input as a map of the whole upright picture.

    Args:
        evidence: float (h, w), over the input.
        picture_size: (height, width) of the upright picture, in pixels.
        image_size: (height, width) of the input, in pixels.
        fit: How the picture was brought to that size.

    Returns:
        float32 (96, 96) over the picture, or the map itself where both areas are the same. What the network did not see
        is NaN.
    """
    left, top, right, bottom = compute_frame(picture_size, image_size, fit)
    height, width = picture_size
    if (left, top, right, bottom) == (0.0, 0.0, float(width), float(height)):
        return evidence.astype(np.float32)
    middles = (np.arange(FINE_MAP_CELLS) + 0.5) / FINE_MAP_CELLS
    down, across = (middles * height - top) / (bottom - top), (middles * width - left) / (right - left)
    placed = _interpolate(_interpolate(evidence.astype(np.float32), down).T, across).T
    placed[(down < 0) | (down > 1)] = np.nan
    placed[:, (across < 0) | (across > 1)] = np.nan
    return placed


def _interpolate(rows: NDArray[np.float32], fractions: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return rows between rows (n, m) at places 0..1 along the first axis: float32 (k, m)."""
    places = np.clip(fractions * len(rows) - 0.5, 0, len(rows) - 1)
    low = np.minimum(places.astype(int), max(0, len(rows) - 2))
    share = (places - low).astype(np.float32)[:, np.newaxis]
    high = np.minimum(low + 1, len(rows) - 1)
    between: NDArray[np.float32] = rows[low] * (1 - share) + rows[high] * share
    return between
