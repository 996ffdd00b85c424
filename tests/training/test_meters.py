"""Figures of an epoch from sums over its batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tlkit.outputs import CLASSIFICATION, DETECTION, MULTILABEL, REGRESSION
from tlkit.tasks import Outputs
from tlkit.training.meters import Meter, compute_outcomes


def sums(**by_name: list[float]) -> dict[str, Any]:
    """Return sums over some batches as the compiled steps give them."""
    return {name: np.array(values, np.float32) for name, values in by_name.items()}


def test_figures_do_not_depend_on_how_many_batches_come_at_a_time() -> None:
    losses = np.random.default_rng(0).uniform(0, 1, 200).tolist()
    together, single = (Meter(Outputs(CLASSIFICATION, 3)) for _ in range(2))
    together.add(sums(images=[1.0] * 200, right=[0.0] * 200, loss=losses))
    for loss in losses:
        single.add(sums(images=[1.0], right=[0.0], loss=[loss]))
    assert together.figures() == single.figures()


def test_accuracy_and_iou_are_means_over_all_batches() -> None:
    meter = Meter(Outputs(CLASSIFICATION, 3, has_box=True))
    meter.add(sums(images=[4.0], right=[3.0], loss=[2.0], iou=[0.5], boxes=[1.0]))
    meter.add(sums(images=[1.0], right=[1.0], loss=[0.5], iou=[0.0], boxes=[0.0]))
    assert meter.figures() == {"loss": 0.5, "accuracy": 0.8, "iou": 0.5}


def test_r2_is_that_of_all_values_whatever_the_batches() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(3, 2, 50)
    predicted = values + rng.normal(0, 1, 50)
    meter = Meter(Outputs(REGRESSION, 1))
    for part in np.array_split(np.arange(50), 7):
        true, guesses = values[part], predicted[part]
        meter.add(
            sums(
                images=[len(part)],
                loss=[0.0],
                values=[true.sum()],
                squares=[(true**2).sum()],
                squared_errors=[((true - guesses) ** 2).sum()],
            )
        )
    expected = 1 - ((values - predicted) ** 2).sum() / ((values - values.mean()) ** 2).sum()
    assert meter.figures()["r2"] == pytest.approx(expected, rel=1e-5)


def test_a_loss_that_is_no_number_is_noticed() -> None:
    meter = Meter(Outputs(MULTILABEL, 2))
    meter.add(sums(images=[1.0], right=[1.0], loss=[0.1]))
    assert meter.loss_is_a_number
    meter.add(sums(images=[1.0, 1.0], right=[1.0, 1.0], loss=[float("nan"), 0.1]))
    assert not meter.loss_is_a_number


@pytest.mark.parametrize(
    ("outputs", "by_image", "outcomes"),
    [
        (Outputs(CLASSIFICATION, 3), sums(images=[1, 1, 1], right=[1, 0, 1], loss=[0.1, 2, 0.3]), [1, 0, 1]),
        (Outputs(MULTILABEL, 4), sums(images=[1, 1], right=[0.75, 0.5], loss=[1, 1]), [0.75, 0.5]),
        (Outputs(REGRESSION, 1), sums(images=[1, 1], squared_errors=[4, 0.25], loss=[1, 1]), [-4, -0.25]),
        (
            Outputs(CLASSIFICATION, 3, has_box=True),
            sums(images=[1] * 4, right=[1, 0, 1, 0], iou=[0.5, 0.25, 0, 0], boxes=[1, 1, 0, 0], loss=[1] * 4),
            [2, 0.5, 1, 0],
        ),
    ],
    ids=["class", "labels", "value", "class and box"],
)
def test_how_an_image_fared_is_its_part_of_the_score(
    outputs: Outputs, by_image: dict[str, Any], outcomes: list[float]
) -> None:
    assert compute_outcomes(by_image, outputs).tolist() == outcomes


def test_with_boxes_the_mean_of_the_outcomes_is_accuracy_plus_iou() -> None:
    outputs = Outputs(CLASSIFICATION, 3, has_box=True)
    by_image = sums(images=[1] * 4, right=[1, 0, 1, 0], iou=[0.5, 0.25, 0, 0], boxes=[1, 1, 0, 0], loss=[1] * 4)
    meter = Meter(outputs)
    meter.add(by_image)
    figures = meter.figures()
    assert compute_outcomes(by_image, outputs).mean() == figures["accuracy"] + figures["iou"] == 0.875


def test_arrays_of_images_are_not_added_up() -> None:
    meter = Meter(Outputs(DETECTION, 6))
    meter.add({**sums(images=[1.0, 1.0], loss=[0.5, 1.0]), "candidates": np.ones((2, 8), np.float32)})
    assert meter.figures() == {"loss": 0.75}
