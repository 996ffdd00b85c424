"""Detection: each image has any number of objects, each with a class and a box; an image without any is background."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tlkit.detection.decoding import (
    MAX_CANDIDATES,
    MAX_DETECTIONS,
    NUM_DETECTION_VALUES,
    SOFT_SIGMA,
    activate_answers,
    choose_detections,
    decode_answers,
)
from tlkit.detection.grid import Grid, count_answer_values
from tlkit.metrics.detection_precision import compute_map50, compute_map50_by_image
from tlkit.metrics.detection_thresholds import choose_detection_thresholds
from tlkit.outputs import DETECTION, SOFT
from tlkit.reports.captions import Caption
from tlkit.reports.row_file import WHOLE
from tlkit.tasks.base import MapSizes, OutputSpec
from tlkit.tasks.detection_pictures import draw_detection_pictures
from tlkit.tasks.detection_report import DetectionReport, compute_detection_report
from tlkit.tasks.detection_verdicts import DetectionVerdicts, judge_detections
from tlkit.tasks.found_objects import OBJECT_COLUMNS, caption_objects, list_found_objects, list_object_rows
from tlkit.tasks.objects import read_objects
from tlkit.tasks.objects_task import ObjectsTask
from tlkit.tasks.predictions import Prediction
from tlkit.tasks.report import Report
from tlkit.tasks.scored_outputs import ScoredOutputs

MAX_COMPARED = 2.0
"""Edges of boxes are compared within -1..2 of the input: what a location makes of nothing may lie anywhere."""


class Detection(ObjectsTask):
    """See `Task`; outputs are float32 (n, 100, 6): left, top, right, bottom, score 0..1 and class, the best first.

    Rows with score 0 only fill up. Edges are fractions of the network's input; where they are reported or written, pixels
    of the upright image.

    Args:
        map_sizes: (height, width) of the maps at whose cells the network answers; see `on_maps`.
        nms: The kind of non-maximum suppression, one of `tlkit.outputs.SUPPRESSIONS`.
    """

    name = DETECTION
    score_name = "map50"
    target_column = "true_objects"
    summed = ("images",)
    listed: ClassVar[Mapping[str, int]] = {"candidates": MAX_CANDIDATES * NUM_DETECTION_VALUES}

    def __init__(self, map_sizes: MapSizes = (), nms: str = SOFT) -> None:
        self._grid = Grid(map_sizes)
        self._soft_sigma = SOFT_SIGMA if nms == SOFT else None

    # Probes

    def score_outputs(
        self, targets: NDArray[np.floating[Any]], outputs: NDArray[np.float64], baseline: NDArray[np.float64]
    ) -> ScoredOutputs:
        """Refuse: no linear model predicts objects."""
        raise TypeError("objects are not predicted by linear models")

    def measure_losses(
        self, targets: NDArray[np.floating[Any]], outputs: NDArray[np.floating[Any]]
    ) -> NDArray[np.float64]:
        """Refuse likewise."""
        raise TypeError("objects are not predicted by linear models")

    # The last layer

    def on_maps(self, map_sizes: MapSizes, nms: str = SOFT) -> Detection:
        """Return the task for answers at every cell of these maps, with this suppression."""
        return _find_on_maps(map_sizes, nms)

    def count_outputs(self, class_names: Sequence[str]) -> int:
        """Return the number of values at each location."""
        return count_answer_values(len(class_names))

    def shape_answer(self, num_answers: int) -> tuple[int, ...]:
        """Return (locations, num_answers)."""
        return self._grid.num_locations, num_answers

    def count_row_values(self, num_answers: int) -> int:
        """Return those of all detections."""
        return MAX_DETECTIONS * NUM_DETECTION_VALUES

    def activate(self, logits: NDArray[np.float32], *, temperature: float = 1.0) -> NDArray[np.float32]:
        """Return the detections of each image, flattened, float32 (n, 600); edges are fractions of the input."""
        return decode_answers(logits, self._grid, soft_sigma=self._soft_sigma).reshape(len(logits), -1)

    def make_comparable(self, logits: NDArray[np.float32], *, temperature: float = 1.0) -> NDArray[np.float32]:
        """Return box and class scores of each location, flattened."""
        boxes, scores = activate_answers(logits, self._grid)
        seen = np.clip(boxes, 1.0 - MAX_COMPARED, MAX_COMPARED)
        return np.concatenate([seen, scores], axis=-1).reshape(len(logits), -1)

    # Training

    def compute_losses(self, answers: Any, logits: Any, *, label_smoothing: float = 0.0, focal: float = 0.0) -> Any:
        """Return the loss of classes and boxes; see `tlkit.detection.losses`."""
        from tlkit.detection.losses import compute_detection_losses

        return compute_detection_losses(answers, logits, self._grid)

    def measure(self, answers: Any, logits: Any) -> dict[str, Any]:
        """Return nothing but the image itself: average precision is not a mean over images."""
        from keras import ops

        return {"images": ops.ones_like(logits[:, 0, 0])}

    def list_found(self, logits: Any) -> dict[str, Any]:
        """Return the boxes with the highest scores, flattened."""
        from tlkit.detection.candidates import find_candidates

        found = find_candidates(logits, self._grid, num_candidates=MAX_CANDIDATES)
        return {"candidates": found}

    def score_found(
        self, by_image: Mapping[str, NDArray[Any]], answers: NDArray[Any]
    ) -> tuple[float, NDArray[np.floating[Any]]]:
        """Return the mean average precision at an IoU of 0.5, and that of each image by itself.

        An image without objects has 1 minus the highest score that is found in it.
        """
        candidates = by_image["candidates"].reshape(len(answers), MAX_CANDIDATES, NUM_DETECTION_VALUES)
        found = choose_detections(candidates, soft_sigma=self._soft_sigma)
        true = answers.astype(np.float32)
        for boxes in (found, true):
            np.clip(boxes[..., :4], 0.0, 1.0, out=boxes[..., :4])
        return compute_map50(true, found), compute_map50_by_image(true, found)

    # Scores and figures

    def choose_thresholds(self, targets: NDArray[Any], outputs: NDArray[Any], num_names: int) -> tuple[float, ...]:
        """Return the score from which objects of each class are shown: nearly the highest F1, with few wrong ones."""
        return choose_detection_thresholds(targets, outputs, num_names)

    def compute_report(
        self, targets: NDArray[Any], outputs: NDArray[Any], spec: OutputSpec, *, top_k: int | None = None
    ) -> Report:
        """Return average precisions, and what is found at the thresholds; all in pixels."""
        return compute_detection_report(targets, outputs, spec.class_names, spec.thresholds)

    def judge(self, targets: NDArray[Any], outputs: NDArray[Any], spec: OutputSpec) -> DetectionVerdicts:
        """Return which objects are found and missed, and what is found besides."""
        return judge_detections(targets, outputs, spec.class_names, spec.thresholds)

    def draw_pictures(
        self, folder: Path, report: Report, targets: NDArray[Any], outputs: NDArray[Any], spec: OutputSpec
    ) -> None:
        """Draw curves of precision, recall and F1, kinds of mistakes, sizes and calibration."""
        assert isinstance(report, DetectionReport)
        draw_detection_pictures(folder, report)

    # Predictions

    def target_columns(self) -> dict[str, str]:
        """Return the number of true objects."""
        return {self.target_column: WHOLE}

    def prediction_columns(self, *, top_k: int, value_column: str) -> dict[str, str]:
        """Return the columns of an object."""
        return dict(OBJECT_COLUMNS)

    def predict(
        self, outputs: NDArray[Any], spec: OutputSpec, *, top_k: int, answer: str | None = None
    ) -> dict[str, Any]:
        """Return the objects at or above the thresholds of their classes."""
        is_learnt = [] if answer is None else [each for each in read_objects(answer) if not each.is_ignored]
        return {
            "objects": list_found_objects(outputs, spec.class_names, spec.thresholds),
            "num_true_objects": None if answer is None else len(is_learnt),
        }

    def list_rows(self, prediction: Prediction, *, value_column: str) -> list[dict[str, Any]]:
        """Return the cells of each object."""
        shared = {self.target_column: prediction.num_true_objects}
        return [shared | cells for cells in list_object_rows(prediction)]

    def write_caption(self, prediction: Prediction, spec: OutputSpec) -> Caption:
        """Return a line for each class that is found."""
        return caption_objects(prediction, spec.class_names)


@cache
def _find_on_maps(map_sizes: MapSizes, nms: str) -> Detection:
    return Detection(map_sizes, nms)


TASK = Detection()
