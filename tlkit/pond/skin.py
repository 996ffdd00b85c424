"""Paint the marks on a fish's skin, unrolled and in body lengths.

A skin is an image of the flank whose three channels are not colours but the strength of the coat's dark mark, of the
belly's pale tone, and of red.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from tlkit.pond.fields import Field, cloud, ramp

SKIN_WIDTH, SKIN_HEIGHT = 420, 320
"""Size of a skin in pixels; SKIN_WIDTH is the length of the body, and the axis runs through the middle."""


def paint_skin(pattern: str, random: np.random.Generator) -> Field:
    """Paint one fish's marks.

    Args:
        pattern: "bars", "marbling", "flecks" or "spots".
        random: Generator of individual differences.

    Returns:
        float32 (SKIN_HEIGHT, SKIN_WIDTH, 3), 0..1: strengths of dark mark, pale tone and red.
    """
    painters = {"bars": _paint_bars, "flecks": _paint_flecks, "spots": _paint_spots, "marbling": _paint_marbling}
    return np.asarray(painters[pattern](random), dtype=np.float32) / 255


def _paint_bars(random: np.random.Generator) -> Image.Image:
    u = np.arange(SKIN_WIDTH, dtype=np.float32)[None, :] / SKIN_WIDTH
    v = (np.arange(SKIN_HEIGHT, dtype=np.float32)[:, None] - SKIN_HEIGHT / 2) / SKIN_WIDTH
    num_bars = int(random.integers(5, 8))
    wavy = cloud(random, (SKIN_WIDTH, SKIN_HEIGHT), 14, 1) - 0.5
    bar = (u - 0.13 - 0.2 * v * v - random.uniform(-0.05, 0.05) * v + 0.012 * wavy) * ((num_bars - 1) / 0.80)
    nearest = np.clip(np.round(bar), 0, num_bars - 1)
    dark = ramp(np.abs(bar - nearest), 0.30, 0.16) * random.uniform(0.6, 0.9)
    return _join(dark, 0 * dark)


def _paint_marbling(random: np.random.Generator) -> Image.Image:
    size = (SKIN_WIDTH, SKIN_HEIGHT)
    blotches = ramp(cloud(random, size, int(random.integers(9, 15))), 0.47, 0.60) * random.uniform(0.5, 0.85)
    return _join(blotches, ramp(cloud(random, size, 22), 0.60, 0.72) * 0.35)


def _join(dark: Field, pale: Field) -> Image.Image:
    return Image.fromarray((np.stack([dark, pale, 0 * dark], axis=-1) * 255).astype(np.uint8))


def _paint_flecks(random: np.random.Generator) -> Image.Image:
    skin = Image.new("RGB", (SKIN_WIDTH, SKIN_HEIGHT), (70, 0, 0))
    pale, tall = int(random.integers(170, 240)), random.uniform(0.9, 1.9)
    for v in np.linspace(-0.062, 0.053, int(random.integers(5, 8))):
        u = random.uniform(0.20, 0.24)
        while u < 1.02:
            wide, high = random.uniform(0.009, 0.017), random.uniform(0.0045, 0.0075) * tall
            _dot(skin, u, v + random.uniform(-0.006, 0.006), wide, high, (0, pale, 0))
            u += random.uniform(0.040, 0.066)
    return skin


def _paint_spots(random: np.random.Generator) -> Image.Image:
    skin = Image.new("RGB", (SKIN_WIDTH, SKIN_HEIGHT))
    if random.random() < 0.45:
        for strength in range(20, 121, 20):
            _dot(skin, 0.6, 0.0, 0.46, 0.045 - 0.0003 * strength, (0, 0, strength))
    large = random.uniform(0.013, 0.020)
    for _ in range(int(random.integers(45, 80))):
        u, v = random.uniform(0.03, 1.0), random.uniform(-0.118, 0.047)
        radius = large * random.uniform(0.65, 1.25) * (0.6 if u < 0.2 else 1.0)
        _dot(skin, u, v, radius * 1.7, radius * 1.6, (0, 95, 0))
        _dot(skin, u, v, radius * 1.05, radius, (int(random.integers(190, 250)), 0, 0))
    for _ in range(int(random.integers(4, 10))):
        u, v = random.uniform(0.26, 0.95), random.uniform(-0.022, 0.045)
        radius = large * random.uniform(0.7, 0.95)
        _dot(skin, u, v, radius * 1.9, radius * 1.8, (0, 170, 0))
        _dot(skin, u, v, radius, radius, (30, 0, 240))
    return skin


def _dot(skin: Image.Image, u: float, v: float, wide: float, high: float, color: tuple[int, int, int]) -> None:
    x, y, wide, high = u * SKIN_WIDTH, v * SKIN_WIDTH + SKIN_HEIGHT / 2, wide * SKIN_WIDTH, high * SKIN_WIDTH
    ImageDraw.Draw(skin).ellipse((x - wide, y - high, x + wide, y + high), fill=color)
