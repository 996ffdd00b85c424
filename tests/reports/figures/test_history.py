"""The course of training as a figure."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tlkit.reports.figures import draw_history
from tlkit.reports.figures.history import _find_stages


def make_rows(*stages: tuple[str, int], **replaced: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for stage, num_epochs in stages:
        for stage_epoch in range(1, num_epochs + 1):
            row = {
                "stage": stage,
                "boundary": "top",
                "epoch": len(rows) + 1,
                "stage_epoch": stage_epoch,
                "learning_rate": 1e-3,
                "train_loss": 1.0,
                "train_accuracy": 0.5,
                "validation_loss": 1.2,
                "validation_accuracy": 0.4,
                "seconds": 0.1,
                "is_best": stage_epoch == 1,
            }
            rows.append({**row, **replaced})
    return rows


def make_courses(rows: list[dict[str, Any]], peak: float = 1e-3) -> list[dict[str, list[float]]]:
    """Return a course for each stage of some rows: half a cosine, and that of a lower group from the second stage on."""
    falls = [0.5 + 0.5 * math.cos(step / 10) for step in range(31)]
    head = {"head": [peak * fall for fall in falls]}
    lower = {"conv5": [peak / 10 * fall for fall in falls]}
    return [(lower if number else {}) | head for number, _ in enumerate(_find_stages(rows))]


def draw(path: Path, rows: list[dict[str, Any]], peak: float = 1e-3) -> None:
    draw_history(path, rows, make_courses(rows, peak))


def read_pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.mark.parametrize(
    "rows",
    [
        make_rows(("head", 1)),
        make_rows(("head", 2), ("head with views", 1), ("unfreeze conv5", 4)),
        make_rows(("head", 3), train_accuracy=None, validation_loss=float("nan"), is_best=False),
        make_rows(("a name like $\\frac{1} and 中文", 2), learning_rate=0.0),
    ],
    ids=["one epoch", "three stages", "values missing", "strange names"],
)
def test_histories_are_drawn_without_a_warning(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(tmp_path / "curves.png", rows, peak=rows[0]["learning_rate"])
    pixels = read_pixels(tmp_path / "curves.png")
    assert min(pixels.shape[:2]) > 500
    assert (pixels[:8] == 255).all()


def test_the_figure_follows_the_numbers(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", make_rows(("head", 3)))
    draw(tmp_path / "b.png", make_rows(("head", 3)))
    other = make_rows(("head", 3))
    other[1]["validation_accuracy"] = 0.41
    draw(tmp_path / "c.png", other)
    draw(tmp_path / "d.png", make_rows(("head", 3)), peak=2e-3)
    first, *others = ((tmp_path / f"{name}.png").read_bytes() for name in "abcd")
    assert [other == first for other in others] == [True, False, False]


def test_a_users_matplotlib_settings_change_nothing_and_stay_as_they_are(tmp_path: Path) -> None:
    import matplotlib

    draw(tmp_path / "a.png", make_rows(("head", 2)))
    with matplotlib.rc_context({"font.size": 40, "axes.facecolor": "black", "text.parse_math": True}):
        draw(tmp_path / "b.png", make_rows(("head", 2)))
        assert matplotlib.rcParams["font.size"] == 40
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_stages_of_the_same_name_stay_two_stages() -> None:
    assert _find_stages(make_rows(("head", 2), ("head", 1), ("all", 2))) == [
        ("head", 1, 2),
        ("head", 3, 3),
        ("all", 4, 5),
    ]
