"""What metadata knows, as a figure."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tlkit.reports.figures import draw_leaks

ORANGE, BLUE = (217, 87, 13), (26, 94, 158)


def make_arguments(*columns: tuple[str, str]) -> dict[str, Any]:
    return {
        "alone": [(name, 0.5, 0.45, 0.55, verdict) for name, verdict in columns],
        "together": [("all metadata", 0.6, 0.55, 0.65, "")] if columns else [],
        "image": [
            ("image", 0.7, 0.66, 0.74, ""),
            *((f"image + {name}", 0.72, 0.68, 0.76, verdict) for name, verdict in columns),
        ],
        "floor_name": "base rates",
        "quantity": "explained",
    }


def read_pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def count_colour(path: Path, colour: tuple[int, int, int]) -> int:
    return int((read_pixels(path) == colour).all(axis=2).sum())


@pytest.mark.parametrize(
    "columns",
    [
        [],
        [("age", "helps")],
        [(f"a very long name of a column, of which there are many: {place}", "redundant") for place in range(20)],
        [("a name like $\\frac{1} and 中文\n", "harmless"), ("of no known verdict", "?")],
    ],
    ids=["no column", "one", "twenty with long names", "strange names"],
)
def test_leaks_are_drawn_without_a_warning(tmp_path: Path, columns: list[tuple[str, str]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_leaks(tmp_path / "leaks.png", **make_arguments(*columns))
    pixels = read_pixels(tmp_path / "leaks.png")
    assert pixels.shape[1] > 700
    assert (pixels[:8] == 255).all()
    assert (pixels < 128).any(), "something is drawn"


def test_scores_below_0_and_of_1_lie_within_the_figure(tmp_path: Path) -> None:
    counts = []
    for value in (-0.6, 0.5, 1.0):
        arguments = make_arguments(("age", "helps")) | {"alone": [("age", value, value, value, "leaks")]}
        draw_leaks(tmp_path / "leaks.png", **arguments)
        counts.append(count_colour(tmp_path / "leaks.png", ORANGE))
    assert min(counts) > 0.9 * max(counts) > 30


def test_a_leaking_column_alone_is_orange(tmp_path: Path) -> None:
    draw_leaks(tmp_path / "a.png", **make_arguments(("age", "helps"), ("site", "harmless")))
    draw_leaks(tmp_path / "b.png", **make_arguments(("age", "helps"), ("site", "leaks")))
    assert count_colour(tmp_path / "a.png", ORANGE) == 0
    assert count_colour(tmp_path / "b.png", ORANGE) > 100
    assert count_colour(tmp_path / "b.png", BLUE) > 100


def test_the_figure_follows_the_numbers_and_more_columns_make_it_higher(tmp_path: Path) -> None:
    for name, arguments in {
        "a": make_arguments(("age", "helps")),
        "b": make_arguments(("age", "helps")),
        "c": make_arguments(("age", "helps")) | {"floor_name": "mean value"},
        "d": make_arguments(*[("age", "helps")] * 9),
    }.items():
        draw_leaks(tmp_path / f"{name}.png", **arguments)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "c.png").read_bytes()
    assert read_pixels(tmp_path / "d.png").shape[0] > read_pixels(tmp_path / "a.png").shape[0] + 300
