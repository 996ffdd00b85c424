from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from tlkit.data.strokes import measure_strokes

WORDS = [
    "the",
    "pike",
    "swims",
    "below",
    "the",
    "old",
    "boat",
    "and",
    "the",
    "trout",
    "is",
    "far",
    "from",
    "home",
    "by",
    "the",
    "time",
    "it",
    "rains",
]


def draw_page(size: tuple[int, int] = (190, 256), font_px: int = 9) -> Image.Image:
    page = Image.new("L", (4 * size[0], 4 * size[1]), 248)
    rng = np.random.default_rng(0)
    lines = [" ".join(rng.choice(WORDS, 40 * size[0] // (font_px * 50))) for _ in range(size[1] // (2 * font_px))]
    text = "\n".join(lines)
    ImageDraw.Draw(page).text((40, 40), text, fill=25, font=ImageFont.load_default(4 * font_px), spacing=2 * font_px)
    return page.resize(size, Image.Resampling.BILINEAR)


def measure(picture: Image.Image) -> float:
    return measure_strokes(np.asarray(picture))


@pytest.mark.parametrize("font_px", [7, 9, 16])
def test_a_page_of_text_is_strokes_only(font_px: int) -> None:
    assert 0.03 < measure(draw_page(font_px=font_px)) < 0.4


def test_bright_text_on_a_dark_ground_counts_as_well() -> None:
    assert measure(ImageOps.invert(draw_page())) == pytest.approx(measure(draw_page()), abs=0.02)


def test_a_photo_of_a_page_counts_in_uneven_light_and_at_an_angle() -> None:
    light = np.linspace(0.9, 0.6, 190)
    turned = draw_page().rotate(6, fillcolor=248, resample=Image.Resampling.BICUBIC)
    assert measure_strokes((np.asarray(turned) * light).astype(np.uint8)) > 0.03


def test_other_pictures_are_not_strokes_only() -> None:
    rng = np.random.default_rng(1)
    noise = Image.fromarray(rng.integers(0, 256, (190, 256), np.uint8))
    areas = Image.fromarray(rng.integers(0, 256, (6, 8), np.uint8)).resize((256, 190), Image.Resampling.NEAREST)
    half = draw_page()
    half.paste(areas.resize((190, 128)), (0, 0))
    one_word = Image.new("L", (256, 190), 250)
    ImageDraw.Draw(one_word).text((20, 20), "pond", fill=20, font=ImageFont.load_default(12))
    for picture in (
        noise,
        noise.filter(ImageFilter.GaussianBlur(3)),
        areas,
        half,
        one_word,
        Image.new("L", (256, 190), 90),
    ):
        assert measure(picture) == 0.0


def test_small_pictures_are_not_judged() -> None:
    assert measure(draw_page().resize((64, 86))) == 0.0
    assert measure(draw_page().crop((0, 0, 190, 5))) == 0.0
