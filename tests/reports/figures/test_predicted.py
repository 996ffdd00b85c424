"""Predicted against true values as a figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlkit.reports.figures import draw_predicted
from tlkit.reports.figures.canvas import WRONG
from tlkit.reports.figures.predicted import _choose_scale, _describe, _format_tick, _Scale

RNG = np.random.default_rng(0)
AGES = RNG.normal(50, 12, 60)
PRICES = RNG.lognormal(12, 1.5, 60)


def draw(path: Path, values: np.ndarray, predicted: np.ndarray, name: str = "price_usd") -> np.ndarray:
    draw_predicted(path, values, predicted, name)
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def count_coloured(pixels: np.ndarray) -> int:
    return int((abs(pixels[..., 2] - pixels[..., 0]) > 60).sum())


@pytest.mark.parametrize(
    ("values", "predicted"),
    [
        (AGES, (AGES * 0.8 + 8).astype(np.float32)),
        (PRICES, PRICES[::-1].copy()),
        (np.array([3.0]), np.array([3.0])),
        (np.zeros(4), np.zeros(4)),
        (np.array([0.001, 1e9]), np.array([-5.0, 1e15])),
        (-PRICES, PRICES),
    ],
    ids=["even", "logarithmic", "one image", "all zero", "far outside", "negative"],
)
def test_values_of_every_kind_are_drawn_without_a_warning(
    tmp_path: Path, values: np.ndarray, predicted: np.ndarray
) -> None:
    pixels = draw(tmp_path / "p.png", values, predicted, "a name like $\\frac{1} and 中文\n")
    assert min(pixels.shape[:2]) > 500
    assert count_coloured(pixels) > 15
    assert (pixels[:8] == 255).all()


def test_the_figure_follows_the_numbers(tmp_path: Path) -> None:
    for name, shift in (("a", 0), ("b", 0), ("c", 0.5)):
        draw(tmp_path / name, AGES, AGES + shift)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_points_lie_high_where_the_prediction_is_high(tmp_path: Path) -> None:
    pixels = draw(tmp_path / "p.png", np.array([0.0, 10.0]), np.array([8.0, 8.0]))
    rows = np.flatnonzero(((pixels[..., 2] - pixels[..., 0] > 100).sum(axis=1)) > 2)
    assert 0 < rows.min() <= rows.max() < len(pixels) / 2


def test_axes_are_logarithmic_where_all_true_values_are_positive_and_far_apart() -> None:
    wide = np.array([1.0, 51.0])
    assert _choose_scale(wide, wide).is_logarithmic
    assert not _choose_scale(wide, wide).low > 1
    assert not _choose_scale(np.array([1.0, 50.0]), wide).is_logarithmic
    assert not _choose_scale(np.array([0.0, 51.0]), wide).is_logarithmic


def test_both_axes_hold_all_values_and_predictions() -> None:
    scale = _choose_scale(np.array([0.0, 10.0]), np.array([-30.0, 20.0]))
    assert scale == _Scale(-32.0, 22.0, is_logarithmic=False)


def test_predictions_far_outside_of_logarithmic_axes_stand_at_the_edge(tmp_path: Path) -> None:
    inside = draw(tmp_path / "inside.png", PRICES, PRICES)
    predicted = PRICES.copy()
    predicted[:3] = (-1.0, 1e-12, 1e12)
    scale = _choose_scale(PRICES, predicted)
    assert scale.low > PRICES.min() / 20
    assert scale.high < PRICES.max() * 20
    outside = draw(tmp_path / "outside.png", PRICES, predicted)
    assert (inside == WRONG).all(axis=2).sum() == 0
    assert (outside == WRONG).all(axis=2).sum() > 50


def test_the_title_has_the_scores() -> None:
    true = np.array([1.0, 2.0, 3.0, 10.0])
    predicted = np.array([2.0, 2.0, 5.0, 6.0])
    assert _describe(true, predicted, 1.75) == "R² 0.580, mean absolute error 1.75, 4 images"
    assert _describe(true[:1], true[:1], 0.0) == "R² -, mean absolute error 0, 1 image"


@pytest.mark.parametrize(
    ("value", "in_millions", "text"),
    [
        (325_000, False, "325,000"),
        (325_000, True, "0.325 M"),
        (0, True, "0"),
        (2_500_000, False, "2.5 M"),
        (-0.25, False, "-0.25"),
        (0.30000000000000004, False, "0.3"),
    ],
)
def test_ticks_are_written_as_people_read_them(value: float, in_millions: bool, text: str) -> None:
    assert _format_tick(value, in_millions=in_millions) == text
