"""Turn sums over batches into the figures of an epoch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.tasks import Outputs, find_task

Figures = dict[str, float]
"""Figures of an epoch by name: `loss`; the task's score, if it is a mean of terms; with boxes `iou`, the mean
intersection over union."""


class Meter:
    """Adds up what the compiled steps return.

    Args:
        outputs: What the model says.
    """

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs
        self._task = find_task(outputs.task)
        self._sums: dict[str, float] = defaultdict(float)

    def add(self, sums: Mapping[str, NDArray[np.floating[Any]]]) -> None:
        """Add the sums of some batches, (batches,) by name.

        They are added one by one, so that the figures do not depend on the number per call. Arrays are left out.
        """
        for name, values in sums.items():
            if values.ndim > 1:
                continue
            for value in values.tolist():
                self._sums[name] += value

    @property
    def loss_is_a_number(self) -> bool:
        """Whether no loss so far was NaN."""
        return self._sums["loss"] == self._sums["loss"]

    def figures(self) -> Figures:
        """Return the figures of all batches so far."""
        sums = self._sums
        figures = {"loss": sums["loss"] / sums["images"]}
        if not self._task.listed:
            figures[self._task.score_name] = self._task.compute_score(sums)
        if self._outputs.has_box:
            figures["iou"] = sums["iou"] / max(sums["boxes"], 1.0)
        return figures


def compute_outcomes(by_image: Mapping[str, NDArray[np.floating[Any]]], outputs: Outputs) -> NDArray[np.float32]:
    """Return the score of each image, float32 (n,); a higher mean is better.

    With boxes, the IoU is added to the task's score; images without a box only have the latter.

    Args:
        by_image: The terms of each image, (n,) by name.
        outputs: What the model says.
    """
    outcomes = find_task(outputs.task).compute_outcomes(by_image)
    if outputs.has_box:
        outcomes = outcomes + by_image["iou"] * (len(outcomes) / max(by_image["boxes"].sum(), 1.0))
    return outcomes.astype(np.float32)
