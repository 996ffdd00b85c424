"""Sheets of small pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlkit.reports.figures import draw_contact_sheet


def flat(color: tuple[int, int, int], height: int = 130, width: int = 130) -> np.ndarray:
    return np.full((height, width, 3), color, np.uint8)


def test_pictures_stand_in_rows_pixel_for_pixel(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (150, 150, 3)).astype(np.uint8) for _ in range(5)]
    draw_contact_sheet(tmp_path / "s.png", images, list("abcde"), num_columns=3)
    sheet = np.asarray(Image.open(tmp_path / "s.png"))
    assert sheet.shape == (12 + 2 * (150 + 22 + 12), 12 + 3 * 162, 3)
    for index, image in enumerate(images):
        top, left = 12 + index // 3 * 184, 12 + index % 3 * 162
        assert (sheet[top : top + 150, left : left + 150] == image).all()


@pytest.mark.parametrize("size", [(1, 1), (20, 64), (1000, 300), (128, 256)])
def test_pictures_of_any_size_are_brought_to_a_handy_one(tmp_path: Path, size: tuple[int, int]) -> None:
    draw_contact_sheet(tmp_path / "s.png", [flat((255, 0, 0), *size)], ["one"])
    red = (np.asarray(Image.open(tmp_path / "s.png")) == (255, 0, 0)).all(axis=2)
    height, width = red.any(axis=1).sum(), red.any(axis=0).sum()
    assert 128 <= max(height, width) <= 256
    assert height / width == pytest.approx(size[0] / size[1], rel=0.05)


def test_a_caption_never_runs_into_its_neighbour(tmp_path: Path) -> None:
    images = [flat((255, 255, 255))] * 2
    draw_contact_sheet(tmp_path / "s.png", images, ["w" * 300, ""], num_columns=2)
    sheet = np.asarray(Image.open(tmp_path / "s.png"))
    assert (sheet[:, : 12 + 130] < 200).any()
    assert (sheet[:, 12 + 130 + 2 :] == 255).all()


def test_images_and_captions_are_counted(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="zip"):
        draw_contact_sheet(tmp_path / "s.png", [flat((0, 0, 0))] * 2, ["one"])
    assert not (tmp_path / "s.png").exists()


def test_a_legend_tells_what_the_colours_stand_for(tmp_path: Path) -> None:
    images = [flat((0, 0, 0))] * 2
    draw_contact_sheet(tmp_path / "without.png", images, ["", ""])
    draw_contact_sheet(
        tmp_path / "with.png", images, ["", ""], legend=[("true", (26, 94, 158)), ("other", (217, 87, 13))]
    )
    with Image.open(tmp_path / "without.png") as without, Image.open(tmp_path / "with.png") as sheet:
        assert (sheet.width, sheet.height - without.height) == (without.width, 30)
        pixels = np.asarray(sheet)[:30]
    for colour in ((26, 94, 158), (217, 87, 13)):
        assert (pixels == colour).all(axis=2).sum() > 50
