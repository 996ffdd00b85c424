"""The scores of labels as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tlkit.reports.figures import draw_labels
from tlkit.reports.figures.labels import _choose_labels, _describe


def draw(path: Path, ap: list[float | None], **replaced: Any) -> np.ndarray:
    arguments: dict[str, Any] = {
        "label_names": [f"a label with a rather long name, number {label}" for label in range(len(ap))],
        "support": [1000 * label for label in range(len(ap))],
        "precision": [0.5] * len(ap),
        "recall": [0.25] * len(ap),
        **replaced,
    }
    draw_labels(path, ap=ap, **arguments)
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def is_blue(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(pixels[..., 2] - pixels[..., 0] > 100)


@pytest.mark.parametrize("num_labels", [1, 12, 60, 100])
def test_every_number_of_labels_has_room(tmp_path: Path, num_labels: int) -> None:
    pixels = draw(tmp_path / "l.png", [(label + 1) / num_labels for label in range(num_labels)])
    assert 25 * min(num_labels, 60) < len(pixels) < 2200
    assert is_blue(pixels).sum() > 100
    border = np.concatenate([pixels[:8].reshape(-1, 3), pixels[-8:].reshape(-1, 3), pixels[:, -8:].reshape(-1, 3)])
    assert (border == 255).all(), "nothing is cut off at the edge"


def test_labels_without_figures_and_strange_names_are_drawn_without_a_warning(tmp_path: Path) -> None:
    nothing = {"precision": [None], "recall": [None], "label_names": ["$\\frac{1} and 中文\n"]}
    assert draw(tmp_path / "l.png", [None], **nothing).min() < 100


def test_dots_stand_to_the_right_as_the_average_precision_is_high(tmp_path: Path) -> None:
    def find_dot(ap: float) -> float:
        """Return the middle column of the blue pixels above the axis."""
        pixels = draw(tmp_path / f"{ap}.png", [ap])
        return float(np.flatnonzero(is_blue(pixels[: len(pixels) // 2]).any(axis=0)).max() / pixels.shape[1])

    assert find_dot(0.1) + 0.3 < find_dot(0.6) < find_dot(1.0) - 0.2


def test_the_figure_follows_the_numbers(tmp_path: Path) -> None:
    for name, ap, support in (("a", 0.5, 3), ("b", 0.5, 3), ("c", 0.6, 3), ("d", 0.5, 4)):
        draw(tmp_path / name, [ap], support=[support])
    contents = [(tmp_path / name).read_bytes() for name in "abcd"]
    assert contents[0] == contents[1]
    assert len(set(contents)) == 3


def test_labels_are_sorted_and_those_without_a_figure_come_last() -> None:
    assert _choose_labels([0.5, None, 0.9, 0.5]) == [2, 0, 3, 1]


def test_of_many_labels_the_worst_are_drawn() -> None:
    ap: list[float | None] = [label / 100 for label in range(100)]
    assert _choose_labels(ap) == list(range(59, -1, -1))
    assert _choose_labels([*ap[:58], *[None] * 5]) == [*range(57, -1, -1), 58, 59]
    assert _describe(ap, num_shown=60) == "mAP 0.495 over 100 labels; shown: the 60 of 100 with the lowest AP"


def test_the_title_counts_the_labels_that_have_a_figure() -> None:
    assert _describe([0.5, None], num_shown=2) == "mAP 0.500 over 1 label"
    assert _describe([None], num_shown=1) == "mAP - over 0 labels"
