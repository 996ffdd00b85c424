"""Figures of an epoch from sums over its batches."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.outputs import CLASSIFICATION, MULTILABEL, REGRESSION, Outputs
from tlkit.training.meters import Meter, judge


def test_accuracy_and_iou_are_means_over_all_batches() -> None:
    meter = Meter(Outputs(CLASSIFICATION, 3, has_box=True))
    meter.add({"images": 4.0, "right": 3.0, "loss": 2.0, "iou": 0.5, "boxes": 1.0})
    meter.add({"images": 1.0, "right": 1.0, "loss": 0.5, "iou": 0.0, "boxes": 0.0})
    assert meter.figures() == {"loss": 0.5, "accuracy": 0.8, "iou": 0.5}


def test_r2_is_that_of_all_values_whatever_the_batches() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(3, 2, 50)
    predicted = values + rng.normal(0, 1, 50)
    meter = Meter(Outputs(REGRESSION, 1))
    for part in np.array_split(np.arange(50), 7):
        true, said = values[part], predicted[part]
        meter.add(
            {
                "images": len(part),
                "loss": 0.0,
                "values": true.sum(),
                "squares": (true**2).sum(),
                "squared_errors": ((true - said) ** 2).sum(),
            }
        )
    expected = 1 - ((values - predicted) ** 2).sum() / ((values - values.mean()) ** 2).sum()
    assert meter.figures()["r2"] == pytest.approx(expected)


def test_a_loss_that_is_no_number_is_noticed() -> None:
    meter = Meter(Outputs(MULTILABEL, 2))
    meter.add({"images": 1.0, "right": 1.0, "loss": 0.1})
    assert meter.loss_is_a_number
    meter.add({"images": 1.0, "right": 1.0, "loss": float("nan")})
    assert not meter.loss_is_a_number


def test_the_score_decides_and_then_the_loss() -> None:
    outputs = Outputs(CLASSIFICATION, 2, has_box=True)
    better, worse = {"accuracy": 0.8, "iou": 0.6, "loss": 2.0}, {"accuracy": 0.9, "iou": 0.4, "loss": 1.0}
    assert judge(better, outputs) > judge(worse, outputs)
    assert judge(better, outputs) < judge(better | {"loss": 1.5}, outputs)
