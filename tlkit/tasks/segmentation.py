"""Segmentation: each place of an image has a class or is background."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.segmentation import measure_each_image
from tlkit.outputs import SEGMENTATION, SOFT
from tlkit.reports.captions import Caption, CaptionLine
from tlkit.reports.frames import choose_colour
from tlkit.reports.row_file import SINGLE, TEXT
from tlkit.segmentation.confusion import (
    BACKGROUND,
    IGNORED,
    compute_iou,
    compute_mean_of_classes,
    count_all_confusions,
)
from tlkit.tasks.base import MapSizes, OutputSpec, Task
from tlkit.tasks.mask_text import PLACES, check_mask, name_mask, read_mask
from tlkit.tasks.predictions import Prediction, shorten_float32
from tlkit.tasks.report import Report
from tlkit.tasks.scored_outputs import ScoredOutputs
from tlkit.tasks.segmentation_report import compute_segmentation_report
from tlkit.tasks.segmentation_verdicts import SegmentationVerdicts, judge_masks
from tlkit.tasks.strata import choose_rarest

NUM_FEWEST = 1
AREA_COLUMNS = ("class_name", "share")
"""Columns of a class that is found in an image: its name, and the share of the picture's area, 0..1."""


class Segmentation(Task):
    """See `Task`; outputs are uint8 (n, PLACES, PLACES): the class at places of the picture, as `tlkit.tasks.mask_text`.

    The network answers at the cells of its finest map with probabilities.

    Args:
        map_sizes: (height, width) of the maps on which the head stands; see `on_maps`.
    """

    name = SEGMENTATION
    score_name = "miou"
    nouns = ("class", "classes")
    answer_noun = "mask"
    conflict = "with different masks"
    has_objects = True
    has_masks = True
    target_column = "true_share"
    summed = ("images",)

    def __init__(self, map_sizes: MapSizes = ()) -> None:
        self._grid = map_sizes[0] if map_sizes else (1, 1)

    @property
    def listed(self) -> Mapping[str, int]:  # type: ignore[override]
        """The class at each cell."""
        return {"classes": self._grid[0] * self._grid[1]}

    # Targets

    def parse_answer(self, text: str) -> str:
        """Return the text of the mask unchanged."""
        return check_mask(text)

    def names_of(self, answer: str) -> tuple[str, ...]:
        """Return the classes in the mask."""
        return name_mask(answer)

    def describe_answer(self, answer: str) -> str:
        """Return the classes in the mask."""
        return ", ".join(name_mask(answer)) or "background"

    def make_targets(self, answers: Sequence[str], names: Sequence[str]) -> NDArray[Any]:
        """Return the masks, uint8 (n, PLACES, PLACES): 0 for background, class + 1, or 255 to ignore."""
        masks = [read_mask(answer, names) for answer in answers]
        return np.stack(masks) if masks else np.zeros((0, PLACES, PLACES), np.uint8)

    def find_strata(self, answers: Sequence[str]) -> list[str]:
        """Return the class of each image that the fewest images have; empty for background."""
        return choose_rarest([name_mask(answer) for answer in answers], "")

    def stratify(self, targets: NDArray[np.floating[Any]]) -> list[Hashable]:
        """Return the class of each image that the fewest images have, as a number; 0 for background."""
        names = [frozenset(np.unique(mask).tolist()) - {BACKGROUND, IGNORED} for mask in targets]
        return [*choose_rarest(names, 0)]

    def score_outputs(
        self, targets: NDArray[np.floating[Any]], outputs: NDArray[np.float64], baseline: NDArray[np.float64]
    ) -> ScoredOutputs:
        """Refuse: no linear model of an image predicts its mask."""
        raise TypeError("masks are not predicted by linear models")

    def measure_losses(
        self, targets: NDArray[np.floating[Any]], outputs: NDArray[np.floating[Any]]
    ) -> NDArray[np.float64]:
        """Refuse likewise."""
        raise TypeError("masks are not predicted by linear models")

    def fewest_names(self, *, has_box: bool) -> int:
        """Return one."""
        return NUM_FEWEST

    # The last layer

    def on_maps(self, map_sizes: MapSizes, nms: str = SOFT) -> Segmentation:
        """Return the task for answers at every cell of the finest of these maps."""
        return _find_on_maps(map_sizes)

    def count_outputs(self, class_names: Sequence[str]) -> int:
        """Return the number of classes, background included."""
        return len(class_names) + 1

    def shape_answer(self, num_answers: int) -> tuple[int, ...]:
        """Return (height, width, num_answers) of the finest map."""
        return *self._grid, num_answers

    def count_row_values(self, num_answers: int) -> int:
        """Return the number of probabilities."""
        return self._grid[0] * self._grid[1] * num_answers

    def activate(self, logits: NDArray[np.float32], *, temperature: float = 1.0) -> NDArray[np.float32]:
        """Return the probability of each class at each cell, flattened."""
        scaled = logits / np.float32(temperature)
        powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
        shares: NDArray[np.float32] = powers / powers.sum(axis=-1, keepdims=True)
        return shares.reshape(len(logits), -1)

    # Training

    def compute_losses(self, answers: Any, logits: Any, *, label_smoothing: float = 0.0, focal: float = 0.0) -> Any:
        """Return cross-entropy and Dice loss; see `tlkit.segmentation.losses`."""
        from tlkit.segmentation.losses import compute_segmentation_losses

        return compute_segmentation_losses(answers, logits)

    def measure(self, answers: Any, logits: Any) -> dict[str, Any]:
        """Return nothing but the image itself: IoU is not a mean over images."""
        from keras import ops

        return {"images": ops.ones_like(logits[:, 0, 0, 0])}

    def list_found(self, logits: Any) -> dict[str, Any]:
        """Return the class at each cell, flattened."""
        from keras import ops

        return {
            "classes": ops.cast(
                ops.reshape(ops.argmax(logits, axis=-1), (-1, self._grid[0] * self._grid[1])), "float32"
            )
        }

    def score_found(
        self, by_image: Mapping[str, NDArray[Any]], answers: NDArray[Any]
    ) -> tuple[float, NDArray[np.floating[Any]]]:
        """Return the mean IoU of the classes at the cells of the input, and that of each image by itself."""
        found = by_image["classes"].astype(np.uint8).reshape(answers.shape)
        counts = count_all_confusions(answers.astype(np.uint8), found)
        mean = float(compute_mean_of_classes(compute_iou(counts.sum(axis=0))))
        return (1.0 if np.isnan(mean) else mean), measure_each_image(counts)

    # Scores and figures

    def compute_report(
        self, targets: NDArray[Any], outputs: NDArray[Any], spec: OutputSpec, *, top_k: int | None = None
    ) -> Report:
        """Return IoU and Dice of the classes."""
        return compute_segmentation_report(targets, outputs, spec.class_names)

    def judge(self, targets: NDArray[Any], outputs: NDArray[Any], spec: OutputSpec) -> SegmentationVerdicts:
        """Return how well the mask of each image agrees."""
        return judge_masks(targets, outputs, spec.class_names)

    def draw_pictures(
        self, folder: Path, report: Report, targets: NDArray[Any], outputs: NDArray[Any], spec: OutputSpec
    ) -> None:
        """Draw nothing: the table of classes says it all."""

    # Predictions

    def target_columns(self) -> dict[str, str]:
        """Return the true share of the class."""
        return {self.target_column: SINGLE}

    def prediction_columns(self, *, top_k: int, value_column: str) -> dict[str, str]:
        """Return the columns of a class."""
        return dict(zip(AREA_COLUMNS, (TEXT, SINGLE), strict=True))

    def predict(
        self, outputs: NDArray[Any], spec: OutputSpec, *, top_k: int, answer: str | None = None
    ) -> dict[str, Any]:
        """Return the share of each class."""
        true = None if answer is None else _measure_shares(read_mask(answer, spec.class_names), spec.class_names)
        return {"areas": _measure_shares(outputs, spec.class_names), "true_areas": true}

    def list_rows(self, prediction: Prediction, *, value_column: str) -> list[dict[str, Any]]:
        """Return the cells of each class that is found or true."""
        found, true = prediction.areas or {}, prediction.true_areas or {}
        rows: list[dict[str, Any]] = [
            {
                AREA_COLUMNS[0]: name,
                AREA_COLUMNS[1]: share,
                self.target_column: true.get(name) if prediction.true_areas is not None else None,
            }
            for name, share in found.items()
            if share or true.get(name)
        ]
        return rows or [{}]

    def write_caption(self, prediction: Prediction, spec: OutputSpec) -> Caption:
        """Return a line for each class that is found, the largest first."""
        areas = sorted((prediction.areas or {}).items(), key=lambda each: -each[1])
        places = {name: place for place, name in enumerate(spec.class_names)}
        lines = [
            CaptionLine(name, f"{share:.1%}", is_bright=True, has_dot=True, colour=choose_colour(places[name]))
            for name, share in areas
            if share
        ]
        return lines or [CaptionLine("background alone", is_bright=True)]


def _measure_shares(mask: NDArray[Any], class_names: Sequence[str]) -> dict[str, float]:
    """Return the share of the known places that each class takes, 0..1."""
    counts = np.bincount(mask.ravel(), minlength=256)[: len(class_names) + 1]
    total = max(int(counts.sum()), 1)
    return {
        name: shorten_float32(np.float32(counts[BACKGROUND + number] / total))
        for number, name in enumerate(class_names, 1)
    }


@cache
def _find_on_maps(map_sizes: MapSizes) -> Segmentation:
    return Segmentation(map_sizes)


TASK = Segmentation()
