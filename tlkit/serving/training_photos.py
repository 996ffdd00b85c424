"""The training photos that look most like a client's photo, prepared in the background so that the server starts at once.

Answers come first: a training photo is only looked at while no request runs. What it gives is kept in the feature cache,
so the next server of the same model has it at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.catalogue import TOP
from tlkit.data.manifest import ImageRecord, read_manifest
from tlkit.data.views import PICTURE_ITSELF
from tlkit.errors import CacheError, DataError, NumericsError
from tlkit.features.cache import CacheSpec, FeatureCache, RowKey
from tlkit.features.folder import note_use
from tlkit.inference.scoring import load_record_views
from tlkit.models.copying import hash_bundle
from tlkit.models.predictor import Predictor
from tlkit.runs.evaluation_set import find_run_folder
from tlkit.similarity.search import find_neighbours

MOST_PHOTOS = 2000
"""Training photos that are compared, spread evenly over all."""
SECONDS_BETWEEN_LOOKS = 0.05


def read_training_records(run: Path) -> Sequence[ImageRecord]:
    """Return the training photos of a run; none if it is a bundle without its run.

    Raises:
        RunError: The manifest is damaged.
    """
    folder = find_run_folder(run)
    return read_manifest(folder).in_split("train") if folder else ()


def open_cache(predictor: Predictor, *, run: Path, precision: str, root: Path) -> FeatureCache | None:
    """Return the cache of the pooled features that a run's model gives; None if it cannot be made.

    Args:
        predictor: The model.
        run: The run folder, or its bundle folder.
        precision: In which the model computes.
        root: Root of the caches.
    """
    spec = predictor.spec
    (features,) = predictor.compute_features(np.zeros((1, *spec.image_size, 3), np.uint8))
    cache_spec = CacheSpec(
        backbone=spec.backbone,
        weights_sha256=hash_bundle(run),
        boundary=TOP,
        pooling="avg",
        image_size=spec.image_size,
        fit=spec.fit,
        loader_version=spec.loader_version,
        engine=predictor.engine.lower(),
        precision=precision,
        dtype="float32",
        feature_shape=features.shape,
    )
    try:
        cache = FeatureCache.open(root, cache_spec)
    except CacheError:
        return None
    with suppress(OSError):
        note_use(cache.folder, run.absolute(), is_one_off=True)
    return cache


class TrainingPhotos:
    """The training photos of a run, as far as they have been looked at.

    Args:
        records: The photos.
        predictor: The model, whose pooled features are compared.
        is_busy: Whether requests run.
        open_cache: Returns what keeps the features; called in the background.
    """

    def __init__(
        self,
        records: Sequence[ImageRecord],
        predictor: Predictor,
        is_busy: Callable[[], bool],
        open_cache: Callable[[], FeatureCache | None] = lambda: None,
    ) -> None:
        self._records = records[:: -(-len(records) // MOST_PHOTOS) or 1]
        self._predictor = predictor
        self._is_busy = is_busy
        self._open_cache = open_cache
        self._lock = threading.Lock()
        self._found: list[ImageRecord] = []
        self._features: NDArray[np.float32] = np.empty((0, 0), np.float32)
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._look, name="training photos", daemon=True)

    def start(self) -> None:
        """Begin to look at the photos."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking, and wait until nothing runs."""
        self._is_stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def describe(self) -> dict[str, int]:
        """Return how many photos there are to compare with, and how many have been looked at."""
        with self._lock:
            return {"photos": len(self._records), "ready": len(self._found)}

    def find_nearest(self, features: NDArray[np.float32], count: int) -> list[tuple[ImageRecord, float]]:
        """Return the photos nearest to a photo, nearest first, each with the cosine of the pooled features, -1..1.

        Args:
            features: Its pooled features, float32 (channels,).
            count: Number of photos.
        """
        with self._lock:
            num_ready, rows = len(self._found), self._features
        if not num_ready or not count:
            return []
        places, cosines = find_neighbours(features[np.newaxis], rows[:num_ready], count)
        return [(self._found[place], float(cosine)) for place, cosine in zip(places[0], cosines[0], strict=True)]

    def _look(self) -> None:
        if not self._records:
            return
        cache = self._open_cache()
        with suppress(CacheError), ExitStack() as stack:
            missing = self._records if cache is None else self._take_cached(cache)
            writer = stack.enter_context(cache.writer()) if cache is not None and missing else None
            for record in missing:
                while self._is_busy() and not self._is_stopped.is_set():
                    self._is_stopped.wait(SECONDS_BETWEEN_LOOKS)
                if self._is_stopped.is_set():
                    return
                try:
                    images = np.stack(load_record_views(record, self._predictor.spec, [None]))
                except DataError:  # moved or changed since the training
                    continue
                features = self._predictor.compute_features(images)
                self._add([record], features)
                if writer:
                    try:
                        writer.append([_name_row(record)], features)
                    except (CacheError, NumericsError):  # the disk is full, for example: this server has them
                        writer = None

    def _take_cached(self, cache: FeatureCache) -> Sequence[ImageRecord]:
        """Take what the cache has, and return the other photos."""
        positions = cache.find(map(_name_row, self._records))
        places = np.flatnonzero(positions >= 0)
        self._add([self._records[place] for place in places.tolist()], cache.read(positions[places]))
        return [record for record, position in zip(self._records, positions, strict=True) if position < 0]

    def _add(self, records: Sequence[ImageRecord], features: NDArray[np.floating[Any]]) -> None:
        with self._lock:
            start = len(self._found)
            if not start:
                self._features = np.empty((len(self._records), features.shape[1]), np.float32)
            self._features[start : start + len(records)] = features
            self._found += records


def _name_row(record: ImageRecord) -> RowKey:
    return RowKey(record.sha256, PICTURE_ITSELF.keys()[0])
