"""Explain an answer of each image while images are scored, so that no image goes through the network twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.data.manifest import ImageRecord
from tlkit.models.predictor import MapShape
from tlkit.models.spec import BundleSpec
from tlkit.tasks import find_task

Explain = Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[np.float32] | None]
"""Takes feature maps, float32 (n, h, w, channels), and an answer of each, int64 (n,); returns the evidence for it,
float32 (n, h, w), or None if there is none."""

MAPS_AT_ONCE = 32
"""Feature maps that are held in memory: some megabytes."""


class EvidenceCollector:
    """Collects the evidence for the answer that a report shows of each image.

    Args:
        spec: The model's.
        map_shape: Shape of its feature maps.
        explain: Explains some of them; after its first None, nothing is explained any more.
    """

    def __init__(self, spec: BundleSpec, map_shape: MapShape, explain: Explain) -> None:
        self._spec = spec
        self._map_shape = map_shape
        self._explain: Explain | None = explain
        self._waiting: list[NDArray[np.float32]] = []
        self._answers: list[int] = []
        self._found: list[NDArray[np.float32]] = []

    def add(self, record: ImageRecord, row: NDArray[np.float32], values: NDArray[np.float32]) -> None:
        """Add an image.

        Args:
            record: The image, with its true answer.
            row: As `Predictor.predict` gives it, float32 (row_width,).
            values: Its feature map, float32 (h * w * channels,).
        """
        self._answers.append(choose_answer(record, row, self._spec))
        if self._explain is not None:
            self._waiting.append(values)
        if len(self._waiting) >= MAPS_AT_ONCE:
            self._flush()

    def finish(self) -> tuple[NDArray[np.int64] | None, NDArray[np.float32] | None]:
        """Return the answers, int64 (n,), and the evidence, float32 (n, h, w); None if there is none."""
        self._flush()
        if self._explain is None or not self._found:
            return None, None
        return np.array(self._answers, np.int64), np.concatenate(self._found)

    def _flush(self) -> None:
        if self._explain is None or not self._waiting:
            return
        maps = np.stack(self._waiting).reshape(-1, *self._map_shape)
        with np.errstate(invalid="ignore", over="ignore"):  # a network without finite maps has no finite scores either
            found = self._explain(maps, np.array(self._answers[-len(maps) :], np.int64))
        self._waiting.clear()
        if found is None:
            self._explain = None
        else:
            self._found.append(found)


def choose_answer(record: ImageRecord, row: NDArray[Any], spec: BundleSpec) -> int:
    """Return the answer that a report explains: the predicted class, the label that is most wrong, 0 for a value."""
    answers = row[: spec.outputs.num_row_values]
    if find_task(spec.task).has_labels:
        answers = np.abs(find_task(spec.task).make_targets([record.answer], spec.class_names)[0] - answers)
    return int(answers.argmax())
