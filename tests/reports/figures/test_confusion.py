"""Confusion matrices, from two classes with short names to hundreds with long ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlkit.reports.figures import draw_confusion_matrix
from tlkit.reports.figures.confusion import _choose_classes, _colour_cells, _wrap_name
from tlkit.reports.lettering import load_font


def draw(path: Path, confusion: np.ndarray, names: list[str]) -> np.ndarray:
    draw_confusion_matrix(path, confusion, names)
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def share_of(pixels: np.ndarray, *, blue: bool) -> float:
    """Return the part of clearly blue, or clearly orange, pixels."""
    difference = pixels[..., 2] - pixels[..., 0]
    return float(np.mean(difference > 60 if blue else difference < -60))


@pytest.mark.parametrize("num_classes", [2, 10, 120, 200])
def test_a_matrix_has_room_for_every_class_and_its_name(tmp_path: Path, num_classes: int) -> None:
    names = [f"a rather long name of the class number {label}" for label in range(num_classes)]
    pixels = draw(tmp_path / "c.png", np.eye(num_classes, dtype=int), names)
    height, width = pixels.shape[:2]
    assert 11 * num_classes < height < 6000
    assert 11 * num_classes < width < 6000
    border = np.concatenate([pixels[:10].reshape(-1, 3), pixels[-10:].reshape(-1, 3), pixels[:, -10:].reshape(-1, 3)])
    assert (border == 255).all(), "nothing is cut off at the edge"


def test_right_answers_are_blue_and_wrong_ones_orange(tmp_path: Path) -> None:
    right = draw(tmp_path / "right.png", np.array([[50, 0], [0, 50]]), ["a", "b"])
    wrong = draw(tmp_path / "wrong.png", np.array([[0, 50], [50, 0]]), ["a", "b"])
    assert share_of(right, blue=True) > 0.15
    assert share_of(right, blue=False) == 0
    assert share_of(wrong, blue=False) > 0.15
    assert share_of(wrong, blue=True) == 0


def test_cells_are_coloured_by_their_part_of_the_row() -> None:
    cells = _colour_cells(np.array([[1.0, 0.0], [0.1, 0.9]]))
    assert cells[0, 1].tolist() == [1, 1, 1]
    assert cells[1, 0].min() < 0.9, "one mistake in ten can be seen"
    assert cells[0, 0].sum() < cells[1, 1].sum() < cells[1, 0].sum()


def test_true_classes_are_the_rows(tmp_path: Path) -> None:
    pixels = draw(tmp_path / "c.png", np.array([[0, 9], [0, 9]]), ["a", "b"])
    orange = np.argwhere(pixels[..., 2] - pixels[..., 0] < -60).mean(axis=0)
    blue = np.argwhere(pixels[..., 2] - pixels[..., 0] > 60).mean(axis=0)
    assert orange[0] < blue[0] - 50, "what was a stands above what was b"
    assert abs(orange[1] - blue[1]) < 20, "both were called b"


def test_of_more_than_200_classes_those_with_mistakes_are_drawn() -> None:
    confusion = np.diag(np.full(1000, 5))
    confusion[700, 3] = 2
    shown = _choose_classes(confusion)
    assert len(shown) == 200
    assert {3, 700} <= set(shown.tolist())
    assert (np.diff(shown) > 0).all()


def test_names_like_formulas_and_a_class_without_images_are_drawn(tmp_path: Path) -> None:
    draw(tmp_path / "c.png", np.array([[1, 0], [0, 0]]), [r"$\frac{1}", "line\nbreak\udcff 中文"])


def test_column_names_wrap_between_words_only() -> None:
    font = load_font("a", 12)
    assert _wrap_name("red fire truck", font, 60) == "red fire\ntruck"
    assert _wrap_name("firetruckdriver", font, 60) == ""


def test_every_row_and_every_column_bears_its_name(tmp_path: Path) -> None:
    pixels = draw(tmp_path / "c.png", np.full((3, 3), 7), ["one", "two", "three"])
    is_cell = np.abs(pixels[..., 2] - pixels[..., 0]) > 60
    rows, columns = np.flatnonzero(is_cell.any(axis=1)), np.flatnonzero(is_cell.any(axis=0))
    is_ink = pixels.max(axis=2) < 110
    beside = np.array_split(is_ink[rows[0] : rows[-1], : columns[0]], 3)
    below = np.array_split(is_ink[rows[-1] + 2 :, columns[0] : columns[-1]], 3, axis=1)
    assert all(strip.any() for strip in beside)
    assert all(strip.any() for strip in below)
