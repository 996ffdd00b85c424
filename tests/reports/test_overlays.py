"""Answers drawn on copies of pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlkit.reports.overlays import BAR, OverlayFolder, draw_overlay, format_percent

RANKED = [("golden retriever", 0.7), ("Größe $x$", 0.3)]


def bar_lengths(overlay: Image.Image) -> list[int]:
    """Return the length of each bar, top to bottom."""
    is_bar = (np.asarray(overlay) == BAR).all(axis=2).sum(axis=1)
    starts = [row for row in range(1, len(is_bar)) if is_bar[row] > 5 and is_bar[row - 1] <= 5]
    return [int(is_bar[row]) for row in starts]


@pytest.mark.parametrize("size", [(640, 480), (300, 900), (32, 32), (1, 1), (2000, 40), (500, 333)])
def test_pictures_of_every_shape_get_a_readable_panel(size: tuple[int, int]) -> None:
    overlay = draw_overlay(Image.new("RGB", size, "white"), RANKED)
    assert overlay.width >= 320
    assert max(overlay.size) < 1280 + 200
    first, second = bar_lengths(overlay)
    assert second / first == pytest.approx(3 / 7, abs=0.02)


def test_the_picture_itself_is_untouched() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (400, 500, 3)).astype(np.uint8)
    picture = Image.fromarray(pixels)
    overlay = draw_overlay(picture, RANKED)
    assert (np.asarray(overlay)[:400] == pixels).all()
    assert (np.asarray(picture) == pixels).all()


def test_an_answer_of_probability_zero_has_no_bar() -> None:
    assert len(bar_lengths(draw_overlay(Image.new("RGB", (400, 300)), [("a", 1.0), ("b", 0.0)]))) == 1


def test_pictures_of_the_same_name_stay_apart_and_a_second_run_gives_the_same_names(tmp_path: Path) -> None:
    sources = [Path("a/cat.png"), Path("b/cat.jpg"), Path("c/Cat.JPEG"), Path("d/cat-2.jpg")]
    for _ in range(2):
        folder = OverlayFolder(tmp_path)
        paths = [folder.write(source, Image.new("RGB", (50, 50)), RANKED) for source in sources]
        assert [path.name for path in paths] == ["cat.jpg", "cat-2.jpg", "Cat-3.jpg", "cat-2-2.jpg"]
        assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize(
    ("probability", "text"),
    [(1, "100%"), (0.99999, "99.9%"), (0.999, "99.9%"), (0.83149, "83.1%"), (0.0004, "< 0.1%"), (0, "0%")],
)
def test_percentages_never_claim_more_certainty_than_there_is(probability: float, text: str) -> None:
    assert format_percent(probability) == text
