"""Paint the marks on a fish's skin: flat, in body lengths, before the body's roundness is known.

A skin is an RGB picture of the flank whose channels are no colours: how strongly each point takes the coat's dark mark,
the pale of the belly, and red. The four kinds have bars, marbling, flecks or spots.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from tlkit.pond.fields import Field, Point, cloud, ramp

SKIN_WIDTH = 420
"""Pixels of a skin along the body; the axis runs through the middle of its height."""


def paint_skin(pattern: str, height: float, random: np.random.Generator) -> Field:
    """Paint one fish's marks.

    Args:
        pattern: "bars", "marbling", "flecks" or "spots".
        height: Height of the painted strip in body lengths, half above and half below the axis.
        random: Source of the individual's differences.

    Returns:
        float32 (rows, SKIN_WIDTH, 3), 0..1: strength of dark mark, pale and red.
    """
    size = (SKIN_WIDTH, round(height * SKIN_WIDTH))
    painters = {"bars": _paint_bars, "flecks": _paint_flecks, "spots": _paint_spots, "marbling": _paint_marbling}
    flat = painters[pattern](size, random).filter(ImageFilter.GaussianBlur(0.9))
    return np.asarray(flat, dtype=np.float32) / np.float32(255)


def _dot(draw: ImageDraw.ImageDraw, center: Point, radii: Point, color: tuple[int, int, int]) -> None:
    x, y = center[0] * SKIN_WIDTH, center[1] * SKIN_WIDTH
    wide, high = radii[0] * SKIN_WIDTH, radii[1] * SKIN_WIDTH
    draw.ellipse((x - wide, y - high, x + wide, y + high), fill=color)


def _paint_bars(size: tuple[int, int], random: np.random.Generator) -> Image.Image:
    skin = Image.new("RGB", size)
    draw = ImageDraw.Draw(skin)
    middle = size[1] / 2 / SKIN_WIDTH
    num_bars = int(random.integers(5, 8))
    strength = int(random.integers(150, 225))
    for bar in range(num_bars):
        center = 0.135 + (0.80 - 0.0) * bar / (num_bars - 1)
        width = random.uniform(0.022, 0.036) * (0.75 if bar == 0 else 1.0) * 6 / num_bars
        lean = random.uniform(-0.02, 0.03)
        left: list[Point] = []
        right: list[Point] = []
        for step in range(13):
            part = step / 12
            bow = 0.10 * (part - 0.5) * (part - 0.5) - 0.012
            half = width * (1.25 - 0.75 * part) + random.uniform(-0.004, 0.004)
            u = center + bow + lean * part
            y = (middle + (part - 0.5) * 0.72) * SKIN_WIDTH
            left.append(((u - half) * SKIN_WIDTH, y))
            right.append(((u + half) * SKIN_WIDTH, y))
        draw.polygon([*left, *reversed(right)], fill=(strength, 0, 0))
    return skin.filter(ImageFilter.GaussianBlur(2.2))


def _paint_flecks(size: tuple[int, int], random: np.random.Generator) -> Image.Image:
    skin = Image.new("RGB", size, (70, 0, 0))
    draw = ImageDraw.Draw(skin)
    middle = size[1] / 2 / SKIN_WIDTH
    rows = int(random.integers(5, 8))
    tall = random.uniform(0.9, 1.9)
    pale = int(random.integers(170, 240))
    for row in range(rows):
        v = middle - 0.062 + 0.115 * row / (rows - 1)
        u = 0.20 + random.uniform(0.0, 0.04)
        while u < 1.02:
            radii = (random.uniform(0.009, 0.017), random.uniform(0.0045, 0.0075) * tall)
            _dot(draw, (u, v + random.uniform(-0.006, 0.006)), radii, (0, pale, 0))
            u += random.uniform(0.040, 0.066)
    draw.line(
        [(0.01 * SKIN_WIDTH, middle * SKIN_WIDTH), (0.20 * SKIN_WIDTH, (middle + 0.004) * SKIN_WIDTH)],
        fill=(150, 0, 0),
        width=3,
    )
    return skin


def _paint_spots(size: tuple[int, int], random: np.random.Generator) -> Image.Image:
    skin = Image.new("RGB", size)
    draw = ImageDraw.Draw(skin)
    middle = size[1] / 2 / SKIN_WIDTH
    if random.random() < 0.45:
        draw.rectangle(
            (0.16 * SKIN_WIDTH, (middle - 0.030) * SKIN_WIDTH, SKIN_WIDTH, (middle + 0.028) * SKIN_WIDTH),
            fill=(0, 0, 120),
        )
        skin = skin.filter(ImageFilter.GaussianBlur(5))
        draw = ImageDraw.Draw(skin)
    large = random.uniform(0.0075, 0.0125)
    for _ in range(int(random.integers(75, 130))):
        u = random.uniform(0.03, 1.0)
        height = random.random()
        center = (u, middle - 0.118 + 0.165 * height)
        radius = large * random.uniform(0.65, 1.25) * (0.6 if u < 0.2 else 1.0)
        _dot(draw, center, (radius * 1.7, radius * 1.6), (0, 95, 0))
        _dot(draw, center, (radius * 1.05, radius), (int(random.integers(190, 250)), 0, 0))
    for _ in range(int(random.integers(6, 14))):
        center = (random.uniform(0.26, 0.95), middle + random.uniform(-0.022, 0.045))
        radius = large * random.uniform(0.7, 0.95)
        _dot(draw, center, (radius * 1.9, radius * 1.8), (0, 170, 0))
        _dot(draw, center, (radius, radius), (30, 0, 240))
    return skin


def _paint_marbling(size: tuple[int, int], random: np.random.Generator) -> Image.Image:
    blotches = ramp(cloud(random, size, int(random.integers(9, 15))), 0.47, 0.60) * np.float32(
        random.uniform(0.5, 0.85)
    )
    glints = ramp(cloud(random, size, 22), 0.60, 0.72) * np.float32(0.35)
    strengths = np.stack([blotches, glints, np.zeros_like(glints)], axis=-1)
    return Image.fromarray((strengths * 255).astype(np.uint8))
