"""The picture of a plan shows what it is given, and does without scores."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image

from tlkit.reports.figures import PlanScores, draw_plan

STRATEGIES = [
    ("the head alone", [("start", 9.0), ("features at top", 20.0), ("train the head", 30.0), ("end", 4.0)]),
    ("everything", [("start", 9.0), ("features at top", 20.0), ("train the head", 30.0), ("train everything", 700.0)]),
]
SCORES = PlanScores(
    quantity="accuracy",
    scores=[("linear probe", 0.6, 0.55, 0.65), ("dense head", 0.75, 0.7, 0.8)],
    majority=0.2,
    measured=[(100.0, 0.6, 0.55, 0.65), (200.0, 0.7, 0.66, 0.74), (400.0, 0.75, 0.71, 0.79)],
    fitted=[(100.0, 0.6, 0.57, 0.63), (400.0, 0.75, 0.72, 0.78), (1000.0, 0.8, 0.74, 0.86)],
    num_now=400,
    gain="+3.0 points (1.0 to 5.0)",
)


def read(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).copy()


def test_bars_alone_are_a_smaller_picture(tmp_path: Path) -> None:
    draw_plan(tmp_path / "whole.png", strategies=STRATEGIES, advised=0, scores=SCORES)
    draw_plan(tmp_path / "bars.png", strategies=STRATEGIES, advised=0, scores=None)
    whole, bars = read(tmp_path / "whole.png"), read(tmp_path / "bars.png")
    assert whole.shape[0] > 2 * bars.shape[0] > 100


def test_the_advised_way_and_the_interval_are_seen(tmp_path: Path) -> None:
    wider = dataclasses.replace(SCORES, fitted=[(size, value, 0.4, 0.95) for size, value, _, _ in SCORES.fitted])
    for name, advised, scores in (("a", 0, SCORES), ("b", 1, SCORES), ("c", 0, wider)):
        draw_plan(tmp_path / f"{name}.png", strategies=STRATEGIES, advised=advised, scores=scores)
    first, second, third = (read(tmp_path / f"{name}.png") for name in "abc")
    assert first.shape != second.shape or not np.array_equal(first, second)
    assert first.shape != third.shape or not np.array_equal(first, third)


def test_a_majority_far_below_the_scores_does_not_squeeze_them(tmp_path: Path) -> None:
    """Its place on the axis is left out: only what it is called could differ, and 0.201 and 0.199 are both 0.20."""
    for name, majority in (("a", 0.201), ("b", 0.199), ("near", 0.5)):
        draw_plan(
            tmp_path / f"{name}.png",
            strategies=STRATEGIES,
            advised=0,
            scores=dataclasses.replace(SCORES, majority=majority),
        )
    first, second, near = (read(tmp_path / f"{name}.png") for name in ("a", "b", "near"))
    assert np.array_equal(first, second)
    assert first.shape != near.shape or not np.array_equal(first, near)
