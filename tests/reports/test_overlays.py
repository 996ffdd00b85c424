"""Answers drawn on copies of pictures."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlkit.reports.captions import CaptionLine, caption_classes, caption_labels, caption_value
from tlkit.reports.overlays import BAR, LETTERS, OverlayFolder, draw_overlay

CAPTION = caption_classes([("golden retriever", 0.7), ("Größe $x$", 0.3)])


def bar_lengths(overlay: Image.Image) -> list[int]:
    """Return the length of each bar, top to bottom."""
    is_bar = (np.asarray(overlay) == BAR).all(axis=2).sum(axis=1)
    starts = [row for row in range(1, len(is_bar)) if is_bar[row] > 5 and is_bar[row - 1] <= 5]
    return [int(is_bar[row]) for row in starts]


@pytest.mark.parametrize("size", [(640, 480), (300, 900), (32, 32), (1, 1), (2000, 40), (500, 333)])
def test_pictures_of_every_shape_get_a_readable_panel(size: tuple[int, int]) -> None:
    overlay = draw_overlay(Image.new("RGB", size, "white"), CAPTION)
    assert overlay.width >= 320
    assert max(overlay.size) < 1280 + 200
    first, second = bar_lengths(overlay)
    assert second / first == pytest.approx(3 / 7, abs=0.02)


def test_the_picture_itself_is_untouched() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (400, 500, 3)).astype(np.uint8)
    picture = Image.fromarray(pixels)
    overlay = draw_overlay(picture, CAPTION)
    assert (np.asarray(overlay)[:400] == pixels).all()
    assert (np.asarray(picture) == pixels).all()


def test_an_answer_of_probability_zero_has_no_bar() -> None:
    assert len(bar_lengths(draw_overlay(Image.new("RGB", (400, 300)), caption_classes([("a", 1.0), ("b", 0.0)])))) == 1


def test_a_value_is_written_without_a_bar() -> None:
    overlay = draw_overlay(Image.new("RGB", (400, 300)), caption_value("price_usd", 325_000.0))
    assert bar_lengths(overlay) == []
    assert (np.asarray(overlay)[300:] == LETTERS).all(axis=2).sum() > 200


def test_labels_that_are_there_have_a_dot_and_bright_letters() -> None:
    def draw(chosen: tuple[str, ...]) -> np.ndarray:
        lines = caption_labels([("dog", 0.01), ("cat", 0.01)], chosen)
        # Bars would have the dots' colour.
        lines = [dataclasses.replace(line, share=None) for line in lines]
        return np.asarray(draw_overlay(Image.new("RGB", (400, 300)), lines))

    none, one, both = draw(()), draw(("cat",)), draw(("dog", "cat"))
    num_dots = [(pixels == BAR).all(axis=2).sum() for pixels in (none, one, both)]
    assert num_dots[0] == 0
    assert num_dots[1] > 10
    assert num_dots[2] == 2 * num_dots[1]
    num_bright = [(pixels == LETTERS).all(axis=2).sum() for pixels in (none, one, both)]
    assert num_bright[0] == 0
    assert num_bright[1] < num_bright[2]


def test_long_texts_are_cut_before_they_meet_the_figure() -> None:
    picture = Image.new("RGB", (400, 300))
    short, long = (
        np.asarray(draw_overlay(picture, [CaptionLine(text, "97.0%", is_bright=True)])) for text in ("a", "a" * 200)
    )
    edge = int(np.flatnonzero((short[300:, 200:] == LETTERS).all(axis=2).any(axis=0)).min())
    assert (short[300:, 200 + edge - 2 :] == long[300:, 200 + edge - 2 :]).all()


def test_pictures_of_the_same_name_stay_apart_and_a_second_run_gives_the_same_names(tmp_path: Path) -> None:
    sources = [Path("a/cat.png"), Path("b/cat.jpg"), Path("c/Cat.JPEG"), Path("d/cat-2.jpg")]
    for _ in range(2):
        folder = OverlayFolder(tmp_path)
        paths = [folder.write(source, Image.new("RGB", (50, 50)), CAPTION) for source in sources]
        assert [path.name for path in paths] == ["cat.jpg", "cat-2.jpg", "Cat-3.jpg", "cat-2-2.jpg"]
        assert len(list(tmp_path.iterdir())) == 4
