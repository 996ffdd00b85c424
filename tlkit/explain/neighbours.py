"""Explain by example: the training photos that look most like a photo to the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.catalogue import TOP
from tlkit.data.image_file import ImageFile
from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.data.views import PICTURE_ITSELF
from tlkit.explain.map_reader import MapSource
from tlkit.features.ensure import ensure_features
from tlkit.features.extract import Loaded, run_batches
from tlkit.features.request import FeatureRequest
from tlkit.features.trunks import take_trunk
from tlkit.inference.scoring import reasons, render_views
from tlkit.models.classifier import Classifier
from tlkit.models.novelty import pool_features
from tlkit.models.predictor import Predictor
from tlkit.similarity.search import find_neighbours

ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Neighbour:
    """A training photo.

    Attributes:
        record: The photo.
        cosine: How much alike the pooled features are, -1..1.
    """

    record: ImageRecord
    cosine: float


@dataclass(frozen=True, eq=False)
class TrainingPhotos:
    """The training photos of a run, with pooled features float32 (n, channels)."""

    records: Sequence[ImageRecord]
    features: NDArray[np.float32]

    def find_nearest(self, features: NDArray[np.float32], count: int) -> list[list[Neighbour]]:
        """Return the photos nearest to each row of pooled features, float32 (m, channels), nearest first."""
        places, cosines = find_neighbours(features, self.features, count)
        return [
            [Neighbour(self.records[place], float(cosine)) for place, cosine in zip(*row, strict=True)]
            for row in zip(places, cosines, strict=True)
        ]


def read_training_photos(
    manifest: Manifest, classifier: Classifier, predictor: Predictor, source: MapSource
) -> TrainingPhotos:
    """Return the training photos of a run: features of a frozen backbone from the cache, others computed anew.

    Args:
        manifest: The run's.
        classifier: The model.
        predictor: The same model, which computes features that no cache has.
        source: How cached features were computed, and where they lie.

    Raises:
        CacheError: The cache cannot be written.
        NumericsError: No engine gives the features of float32 Keras.
    """
    train = replace(manifest, records=manifest.in_split("train"))
    if classifier.spec.unfrozen != "none":
        return _compute(train, predictor, source)
    request = FeatureRequest(source.backbone, TOP)
    stored = ensure_features(
        train, take_trunk(classifier.backbone, request), request, cache_root=source.cache_root, console=source.console
    )
    split = stored.splits["train"]
    positions = split.positions[:, 0]
    layout = classifier.backbone.map_layout(TOP)
    parts = []
    for start in range(0, len(positions), ROWS_AT_ONCE):
        rows = stored.cache.read(positions[start : start + ROWS_AT_ONCE])
        last = rows[:, layout.parts[-1]].reshape(-1, *layout.shapes[-1]) if layout else rows
        parts.append(pool_features(last).astype(np.float32))
    return TrainingPhotos(split.records, np.concatenate(parts) if parts else np.zeros((0, 1), np.float32))


def _compute(train: Manifest, predictor: Predictor, source: MapSource) -> TrainingPhotos:
    spec = predictor.spec
    records: list[ImageRecord] = []
    rows: list[NDArray[np.float32]] = []

    def load(record: ImageRecord) -> Loaded[None]:
        with reasons():
            image = ImageFile.read(record.path, spec.grey, expected_sha256=record.sha256)
            return Loaded([(pixels,) for pixels in render_views(image, spec, PICTURE_ITSELF)])

    with source.console.progress("Training photos", len(train.records)) as advance:
        for results in run_batches(
            train.records,
            load,
            predictor.compute_features,
            batch_size=predictor.batch_size,
            num_parallel=predictor.num_parallel,
        ):
            for result in results:
                if result.failure is None:
                    records.append(result.item)
                    rows += result.outputs
            advance(len(results))
    return TrainingPhotos(records, np.stack(rows) if rows else np.zeros((0, 1), np.float32))
