"""Whether a stage has made the model better: significantly by the score, else by the loss."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tlkit.training.verdicts import Verdict, compute_p_value, decide


def differ(gained: int, lost: int, same: int = 0) -> np.ndarray:
    """Return differences of so many images that are right now, wrong now, and as before."""
    return np.array([1.0] * gained + [-1.0] * lost + [0.0] * same, np.float32)


@pytest.mark.parametrize(("gained", "lost"), [(5, 0), (6, 0), (0, 6), (9, 1), (12, 4), (40, 20), (3, 3), (1, 0)])
def test_with_right_and_wrong_images_it_is_the_exact_mcnemar_test(gained: int, lost: int) -> None:
    moved = gained + lost
    tail = sum(math.comb(moved, k) for k in range(max(gained, lost), moved + 1)) / 2**moved
    expected = min(1.0, 2 * tail)
    tolerance = 4 * (expected * (1 - expected) / 1999) ** 0.5 + 1 / 2000
    assert compute_p_value(differ(gained, lost, same=44)) == pytest.approx(expected, abs=tolerance)


def test_images_that_fare_as_before_do_not_count() -> None:
    assert compute_p_value(differ(9, 1)) == compute_p_value(differ(9, 1, same=5000))
    assert compute_p_value(differ(0, 0, same=60)) == 1.0
    assert compute_p_value(np.zeros(0, np.float32)) == 1.0


def test_measured_differences_are_told_from_chance_by_their_size() -> None:
    noise = np.random.default_rng(0).normal(0, 1, 200)
    assert compute_p_value(noise - noise.mean()) > 0.9
    assert compute_p_value(noise - noise.mean() + 0.5) == 1 / 2000


@pytest.mark.parametrize(
    ("gained", "lost", "loss_after", "is_kept", "decided_by"),
    [
        (1, 0, 0.8, False, "loss"),
        (1, 0, 0.6, True, "loss"),
        (0, 1, 0.6, True, "loss"),
        (0, 0, 0.7, False, "loss"),
        (9, 1, 0.8, True, "score"),
        (1, 9, 0.6, False, "score"),
    ],
    ids=[
        "one more of 60 right at a higher loss",
        "one more of 60 right at a lower loss",
        "one fewer of 60 right at a lower loss",
        "nothing has changed",
        "clearly better at a higher loss",
        "clearly worse at a lower loss",
    ],
)
def test_a_change_beyond_chance_decides_and_otherwise_the_loss(
    gained: int, lost: int, loss_after: float, is_kept: bool, decided_by: str
) -> None:
    before = np.array([0.0] * gained + [1.0] * (60 - gained), np.float32)
    after = before + differ(gained, lost, same=60 - gained - lost)
    verdict = decide(0.7, loss_after, before, after)
    assert (verdict.is_kept, verdict.decided_by) == (is_kept, decided_by)
    assert (verdict.p_value < 0.05) == (decided_by == "score")


def test_whatever_has_a_loss_is_better_than_what_has_none() -> None:
    before = np.full(60, math.nan, np.float32)
    assert decide(math.nan, 5.0, before, np.zeros(60, np.float32)) == Verdict(True, "loss", 1.0)
