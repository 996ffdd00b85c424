"""Decide whether a stage improved the model, or its weights are restored.

The score decides if it changed significantly, on the same validation images before and after. Otherwise the loss
decides: it includes confidence, and so detects smaller differences.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.05
NUM_FLIPS = 1999
_MAX_SIGNS_AT_ONCE = 2**22


@dataclass(frozen=True)
class Verdict:
    """Whether the trained model is kept, and why.

    Attributes:
        is_kept: Whether it is.
        decided_by: `score`, where it changed by more than chance explains, or `loss`.
        p_value: The p-value of the change in score, 0..1.
    """

    is_kept: bool
    decided_by: str
    p_value: float


def decide(
    loss_before: float,
    loss_after: float,
    outcomes_before: NDArray[np.floating],
    outcomes_after: NDArray[np.floating],
) -> Verdict:
    """Compare a model before and after a stage.

    Args:
        loss_before: On the validation images. If it is not a number, anything is better.
        loss_after: On the same images, a number.
        outcomes_before: The score of each image, higher is better, float (n,); see `tlkit.training.meters`.
        outcomes_after: The same for the same images.
    """
    if math.isnan(loss_before):
        return Verdict(True, "loss", 1.0)
    p_value = compute_p_value(outcomes_after - outcomes_before)
    if p_value < LEVEL:
        return Verdict(bool(outcomes_after.sum() > outcomes_before.sum()), "score", p_value)
    return Verdict(loss_after < loss_before, "loss", p_value)


def compute_p_value(differences: NDArray[np.floating]) -> float:
    """Return the two-sided p-value of the sum of paired differences.

    If nothing has changed but by chance, each difference might as well have had the other sign: the sum is compared
    with those of random signs (Fisher's randomisation test: Fisher 1935, "The Design of Experiments", section 21).
    Where images are right or wrong this is McNemar's test (McNemar 1947; recommended for two classifiers on the same
    images by Dietterich 1998). The signs are the same in every call.

    Args:
        differences: One for each image, float (n,).
    """
    moved = differences[differences != 0].astype(np.float64)
    if not len(moved):
        return 1.0
    found = abs(moved.sum()) * (1 - 1e-9)
    rng = np.random.default_rng(0)
    at_once = max(1, _MAX_SIGNS_AT_ONCE // len(moved))
    num_as_far = 0
    for start in range(0, NUM_FLIPS, at_once):
        signs = rng.integers(2, size=(min(at_once, NUM_FLIPS - start), len(moved))) * 2 - 1
        num_as_far += int((abs(signs @ moved) >= found).sum())
    return (num_as_far + 1) / (NUM_FLIPS + 1)
