"""The picture of a comparison shows how candidates differ, wherever the majority is."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tlkit.reports.figures import draw_comparison
from tlkit.reports.figures.comparison import Row, choose_limits

ROWS: list[Row] = [
    ("dense", 0.80, 0.78, 0.82, 30.1, False),
    ("conv:128", 0.78, 0.76, 0.80, 46.8, True),
    ("a name that is much longer than what there is room for beside a picture", 0.77, 0.75, 0.79, 10.0, True),
]


@pytest.mark.parametrize("majority", [0.70, 0.78, 0.90])
def test_a_majority_near_the_scores_is_on_the_axis(majority: float) -> None:
    left, right = choose_limits(ROWS, majority)
    assert left < min(0.75, majority)
    assert right > max(0.82, majority)


def test_a_majority_far_below_does_not_squeeze_the_intervals() -> None:
    left, right = choose_limits(ROWS, 0.14)
    assert 0.14 < left < 0.75
    assert right - left < 1.2 * (0.82 - 0.75)


def test_without_a_majority_the_axis_holds_the_intervals() -> None:
    left, right = choose_limits(ROWS, None)
    assert 0.74 < left < 0.75
    assert 0.82 < right < 0.83


@pytest.mark.parametrize("majority", [0.14, 0.76, None])
def test_it_is_drawn_as_a_picture(majority: float | None, tmp_path: Path) -> None:
    path = tmp_path / "compared.png"
    draw_comparison(path, ROWS, quantity="accuracy", cost="for a whole run", majority=majority)
    with Image.open(path) as picture:
        assert min(picture.size) > 100
