"""Images about which a prediction is too sure, with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.metrics.intervals import compute_wilson_interval
from tlkit.probes.certain_images import find_certain_images


def make_case(num_sure: int, num_wrong: int, num_others: int, share_of_first: float) -> tuple[np.ndarray, np.ndarray]:
    """Return memberships and predictions: of some images the first class is said for sure, of others the base rate."""
    num_images = num_sure + num_others
    num_first = round(share_of_first * num_images) - (num_sure - num_wrong)
    labels = [0] * (num_sure - num_wrong) + [1] * num_wrong + [0] * num_first + [1] * (num_others - num_first)
    memberships = np.eye(2)[labels]
    outputs = np.tile(memberships.mean(axis=0), (num_images, 1))
    outputs[:num_sure] = [0.99, 0.01]
    return memberships, outputs


def test_the_part_is_told_with_how_often_it_is_right() -> None:
    found = find_certain_images(*make_case(100, 0, 900, 0.5))
    assert found is not None
    assert (found.share, found.base_rate) == (0.1, 0.5)
    assert found.score == compute_wilson_interval(100, 100)


@pytest.mark.parametrize(
    ("num_sure", "num_wrong", "num_others", "share_of_first", "is_enough"),
    [
        (1000, 52, 1000, 0.74, True),  # a fifth of the doubt is left, about half of the images
        (100, 5, 1900, 0.74, False),  # the same doubt, about a twentieth of the images
        (100, 4, 900, 0.5, True),  # less than a tenth of the doubt, a tenth of the images
        (49, 0, 951, 0.5, False),  # too few images
        (5, 0, 15, 0.5, False),  # a quarter, but five images may all be right by luck
        (20, 0, 980, 0.02, True),  # too few images, but all of their class
        (9, 0, 991, 0.009, False),  # a class of nine images
    ],
)
def test_the_fewer_they_are_the_surer_it_must_be(
    num_sure: int, num_wrong: int, num_others: int, share_of_first: float, is_enough: bool
) -> None:
    found = find_certain_images(*make_case(num_sure, num_wrong, num_others, share_of_first))
    assert (found is not None) is is_enough


def test_the_base_rates_give_nothing_away_not_even_of_the_only_class() -> None:
    memberships = np.eye(2)[[0] * 95 + [1] * 5]
    assert find_certain_images(memberships, np.tile(memberships.mean(axis=0), (100, 1))) is None
    assert find_certain_images(np.ones((30, 1)), np.ones((30, 1))) is None
