"""From sums over batches to the figures of an epoch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.outputs import CLASSIFICATION, MULTILABEL, Outputs

Figures = dict[str, float]
"""Figures of an epoch by name: `loss`; the task's score; with boxes `iou`, the mean intersection over union."""


class Meter:
    """Adds up what the compiled steps return.

    Args:
        outputs: What the model says.
    """

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs
        self._sums: dict[str, float] = defaultdict(float)

    def add(self, sums: Mapping[str, NDArray[np.floating[Any]]]) -> None:
        """Take the sums of some batches, (batches,) by name.

        They are added one after the other, so that the figures do not depend on how many come at a time.
        """
        for name, values in sums.items():
            for value in values.tolist():
                self._sums[name] += value

    @property
    def loss_is_a_number(self) -> bool:
        """Whether no loss so far was NaN."""
        return self._sums["loss"] == self._sums["loss"]

    def figures(self) -> Figures:
        """Return the figures of all batches so far."""
        sums = self._sums
        figures = {"loss": sums["loss"] / sums["images"], self._outputs.score_name: self._score()}
        if self._outputs.has_box:
            figures["iou"] = sums["iou"] / max(sums["boxes"], 1.0)
        return figures

    def _score(self) -> float:
        sums = self._sums
        if self._outputs.task in (CLASSIFICATION, MULTILABEL):
            return sums["right"] / sums["images"]
        spread = sums["squares"] - sums["values"] ** 2 / sums["images"]
        return 1.0 - sums["squared_errors"] / max(spread, 1e-12)


def judge(figures: Mapping[str, float], outputs: Outputs) -> tuple[float, float]:
    """Return what two states of a model are compared by, higher is better: the score (and IoU), then less loss."""
    return figures[outputs.score_name] + figures.get("iou", 0.0), -figures["loss"]
