"""Heat maps for the images that a report shows: what speaks for the output that went wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tlkit.data.manifest import ImageRecord
from tlkit.explain.numpy_head import NumpyHead
from tlkit.explain.records import ExplainedRecords, explain_records, place_map
from tlkit.inference.scoring import Scores
from tlkit.models.predictor import Predictor
from tlkit.reports.console import Console
from tlkit.reports.optional_steps import OptionalSteps
from tlkit.tasks import find_task

HEAT_MAPS = "The heat maps of mistakes"


@dataclass(frozen=True)
class HeatMaps:
    """Makes heat maps, each once; a failure is noted, and gives none.

    Attributes:
        predictor: The model.
        read_weights: Returns the weights of its head: see `read_head_weights`. It is called once, for the first maps.
        steps: Keeps account of a failure.
        console: Shows progress.
    """

    predictor: Predictor
    read_weights: Callable[[], Mapping[str, NDArray[np.float32]]]
    steps: OptionalSteps
    console: Console
    _known: dict[tuple[Path, int], NDArray[np.float32] | None] = field(default_factory=dict)

    def explain_maps(self, maps: NDArray[np.float32], outputs: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Return the evidence for one output of each feature map while images are scored: see `score_records`.

        Args:
            maps: float32 (n, h, w, channels).
            outputs: As for `explain`.

        Returns:
            float32 (n, h, w); None after a failure, for a model of one class, which has nothing to explain, and for one
            of objects.
        """
        if not self.predictor.spec.has_one_class and not self._finds_objects:
            with self.steps.step(HEAT_MAPS):
                return self._head.explain(maps, outputs)
        return None

    def take(self, scores: Scores) -> None:
        """Take over the evidence that was collected while images were scored."""
        if scores.evidence is not None and scores.explained is not None:
            for record, output, evidence in zip(scores.records, scores.explained, scores.evidence, strict=True):
                self._known[record.path, int(output)] = evidence

    def explain(self, records: Sequence[ImageRecord], outputs: NDArray[np.int64]) -> dict[Path, NDArray[np.float32]]:
        """Return what speaks for one output of each image, over the whole upright picture.

        Args:
            records: The images; one that cannot be read any more has no map.
            outputs: Class or label of each, int64 (n,); 0 for a value.

        Returns:
            float32 (h, w), NaN where the network does not see the picture; by path. Empty after a failure, and for a
            model of objects.
        """
        maps: dict[Path, NDArray[np.float32]] = {}
        if self._finds_objects:
            return maps
        with self.steps.step(HEAT_MAPS):
            explained = self.explain_inputs(records, outputs)
            spec = self.predictor.spec
            for record, evidence in zip(explained.records, explained.maps, strict=True):
                size = (record.height, record.width)
                maps[record.path] = place_map(evidence, picture_size=size, image_size=spec.image_size, fit=spec.fit)
        return maps

    def explain_inputs(self, records: Sequence[ImageRecord], outputs: NDArray[np.int64]) -> ExplainedRecords:
        """Return what speaks for one output of each image, over the network's input.

        Args:
            records: As for `explain`.
            outputs: As for `explain`.

        Raises:
            TlkitError: The weights of the head cannot be read, or the model has no feature map.
        """
        keys = [(record.path, int(output)) for record, output in zip(records, outputs, strict=True)]
        new = [place for place, key in enumerate(keys) if key not in self._known]
        if new:
            chosen = [records[place] for place in new]
            explained = explain_records(self.predictor, self._head, chosen, outputs[new], self.console)
            self._known.update(dict.fromkeys(keys[place] for place in new))
            for record, target, evidence in zip(explained.records, explained.targets, explained.maps, strict=True):
                self._known[record.path, int(target)] = evidence
        maps = {place: found for place, key in enumerate(keys) if (found := self._known[key]) is not None}
        places = list(maps)
        stacked = np.stack(list(maps.values())) if maps else np.zeros((0, 1, 1), np.float32)
        return ExplainedRecords(tuple(records[place] for place in places), stacked, outputs[places])

    @property
    def _finds_objects(self) -> bool:
        return find_task(self.predictor.spec.task).has_objects

    @cached_property
    def _head(self) -> NumpyHead:
        return NumpyHead(self.predictor.spec, self.read_weights())
