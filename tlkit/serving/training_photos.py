"""The training photos that look most like a client's photo, prepared in the background so that the server starts at once.

Answers come first: a training photo is only looked at while no request runs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tlkit.data.image_file import ImageFile
from tlkit.data.images import UnusableImage
from tlkit.data.manifest import ImageRecord, read_manifest
from tlkit.data.views import PICTURE_ITSELF
from tlkit.inference.scoring import render_views
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


class TrainingPhotos:
    """The training photos of a run, as far as they have been looked at.

    Args:
        records: The photos.
        predictor: The model, whose pooled features are compared.
        is_busy: Whether requests run.
    """

    def __init__(self, records: Sequence[ImageRecord], predictor: Predictor, is_busy: Callable[[], bool]) -> None:
        self._records = records[:: -(-len(records) // MOST_PHOTOS) or 1]
        self._predictor = predictor
        self._is_busy = is_busy
        self._lock = threading.Lock()
        self._found: list[ImageRecord] = []
        self._features: list[NDArray[np.float32]] = []
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
            records, rows = list(self._found), list(self._features)
        if not records or not count:
            return []
        places, cosines = find_neighbours(features[np.newaxis], np.stack(rows), count)
        return [(records[place], float(cosine)) for place, cosine in zip(places[0], cosines[0], strict=True)]

    def _look(self) -> None:
        for record in self._records:
            while self._is_busy() and not self._is_stopped.is_set():
                self._is_stopped.wait(SECONDS_BETWEEN_LOOKS)
            if self._is_stopped.is_set():
                return
            try:
                features = self._compute(record)
            except UnusableImage:  # moved or changed since the training
                continue
            with self._lock:
                self._found.append(record)
                self._features.append(features)

    def _compute(self, record: ImageRecord) -> NDArray[np.float32]:
        spec = self._predictor.spec
        image = ImageFile.read(record.path, spec.grey, expected_sha256=record.sha256)
        pixels = render_views(image, spec, PICTURE_ITSELF)[0]
        features: NDArray[np.float32] = self._predictor.compute_features(pixels[np.newaxis])[0]
        return features
