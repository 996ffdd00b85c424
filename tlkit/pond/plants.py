"""Weeds, lily pads and sunken branches: what hides a fish, or looks like one to a careless eye."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from tlkit.pond.fields import Color, Point, ink, scale
from tlkit.pond.water import Scene

_GREENS: tuple[Color, ...] = ((0.30, 0.46, 0.14), (0.20, 0.40, 0.20), (0.44, 0.46, 0.16), (0.34, 0.26, 0.12))
_BLADE_STEPS = 7
_STEM_STEPS = 15


@dataclass(frozen=True)
class Growth:
    """Where plants grow: the drawing, its water and light, and how far they have faded into the water (0..1)."""

    layer: Image.Image
    scene: Scene
    haze: float

    def start_drawing(self) -> ImageDraw.ImageDraw:
        """Return a pen that draws on the layer."""
        return ImageDraw.Draw(self.layer, "RGBA")

    def tone(self, color: Color, y: float) -> tuple[int, int, int, int]:
        """Return a pigment as it looks at height `y` of the drawing, in this water and light, as RGBA 0..255."""
        depth = y / self.layer.size[1]
        water, sun, haze = self.scene.water_at(depth), self.scene.sun, self.haze
        strength = (1.12 - 0.42 * depth) * (1 - haze)
        veil = 0.4 * (1 - haze)
        return ink(
            (
                color[0] * (sun[0] * strength + veil * water[0]) + water[0] * haze,
                color[1] * (sun[1] * strength + veil * water[1]) + water[1] * haze,
                color[2] * (sun[2] * strength + veil * water[2]) + water[2] * haze,
            )
        )


def draw_grass(growth: Growth, random: np.random.Generator, *, root: Point, num_blades: int, height_px: float) -> None:
    """Draw a tuft of ribbon weed.

    Args:
        growth: Where; its layer is changed in place.
        random: Source of each blade's course.
        root: Where it grows, in pixels of the drawing.
        num_blades: Number of blades.
        height_px: Height of the tallest, in pixels of the drawing.
    """
    draw = growth.start_drawing()
    green = scale(_GREENS[int(random.integers(0, len(_GREENS)))], random.uniform(0.85, 1.2))
    lean = random.uniform(-0.30, 0.30)
    for _ in range(num_blades):
        tall = height_px * random.uniform(0.45, 1.0)
        width = height_px * random.uniform(0.016, 0.032)
        foot = (root[0] + random.uniform(-0.16, 0.16) * height_px, root[1] + random.uniform(-0.01, 0.03) * height_px)
        bend = (lean + random.uniform(-0.22, 0.22), random.uniform(-0.25, 0.25))
        points = [_sway(foot, tall, bend, step / _BLADE_STEPS) for step in range(_BLADE_STEPS + 1)]
        _draw_blade(draw, growth, points, width, scale(green, random.uniform(0.7, 1.25)))


def _sway(foot: Point, tall: float, bend: Point, part: float) -> Point:
    lean, curl = bend
    across = lean * part * part + curl * part * (1 - part) * (2 * part - 0.6)
    return foot[0] + tall * across, foot[1] - tall * part * (1 - 0.12 * abs(lean) * part)


def _draw_blade(draw: ImageDraw.ImageDraw, growth: Growth, middle: list[Point], width: float, green: Color) -> None:
    steps = len(middle) - 1
    left, right = [], []
    for step, (x, y) in enumerate(middle):
        part = step / steps
        half = width * (1 - part * part) * (1 - 0.25 * part) + 0.4
        left.append((x - half, y))
        right.append((x + half, y))
    for step in range(steps):
        light = 0.50 + 0.55 * step / steps
        y = middle[step][1]
        shaded, lit = growth.tone(scale(green, light * 0.78), y), growth.tone(scale(green, light * 1.18), y)
        draw.polygon((left[step], left[step + 1], middle[step + 1], middle[step]), fill=shaded)
        draw.polygon((middle[step], middle[step + 1], right[step + 1], right[step]), fill=lit)


def draw_leafy_stem(growth: Growth, random: np.random.Generator, *, root: Point, height_px: float) -> None:
    """Draw a stem of pondweed with leaves on both sides; arguments as for `draw_grass`."""
    draw = growth.start_drawing()
    green = scale(_GREENS[int(random.integers(0, 3))], random.uniform(0.9, 1.3))
    bend = (random.uniform(-0.25, 0.25), random.uniform(-0.25, 0.25))
    longest = height_px * random.uniform(0.07, 0.11)
    stem = [_sway(root, height_px, bend, step / _STEM_STEPS) for step in range(_STEM_STEPS + 1)]
    draw.line(stem, fill=growth.tone(scale(green, 0.6), stem[-4][1]), width=max(1, round(height_px * 0.010)))
    for step, (x, y) in enumerate(stem[1:], start=1):
        part = step / _STEM_STEPS
        light = 0.55 + 0.50 * part
        shaded, lit = growth.tone(scale(green, light * 0.80), y), growth.tone(scale(green, light * 1.15), y)
        for side in (-1, 1):
            leaf = longest * random.uniform(0.75, 1.15) * (1.15 - 0.75 * part)
            rise = random.uniform(-0.15, 0.55)
            tip = (x + side * leaf, y - leaf * rise)
            upper = (x + side * leaf * 0.5, y - leaf * (rise * 0.5 + 0.24))
            lower = (x + side * leaf * 0.5, y - leaf * (rise * 0.5 - 0.16))
            draw.polygon(((x, y), upper, tip), fill=lit)
            draw.polygon(((x, y), lower, tip), fill=shaded)


def draw_lily_pads(growth: Growth, random: np.random.Generator) -> None:
    """Draw lily pads that float at the top, seen from below, with their stems."""
    draw = growth.start_drawing()
    width, height = growth.layer.size
    stalk = growth.tone((0.26, 0.26, 0.12), 0.5 * height)
    shade, rim = growth.tone((0.14, 0.24, 0.09), 0), growth.tone((0.55, 0.66, 0.26), 0)
    for _ in range(int(random.integers(2, 5))):
        x, y = random.uniform(0, width), random.uniform(0.0, 0.06) * height
        wide, high = random.uniform(0.08, 0.17) * width, random.uniform(0.022, 0.045) * height
        drift, down = random.uniform(-0.18, 0.18) * width, height * 1.02 - y
        stem = [(x + drift * step * step / 49, y + down * step / 7) for step in range(8)]
        draw.line(stem, fill=stalk, width=max(1, round(width * 0.006)))
        draw.ellipse((x - wide, y - high, x + wide, y + high), fill=rim)
        draw.ellipse((x - wide * 0.97, y - high * 1.25, x + wide * 0.97, y + high * 0.72), fill=shade)
        for vein in range(-3, 4):
            draw.line(((x, y - high * 0.2), (x + vein * wide * 0.28, y + high * 0.6)), fill=(*rim[:3], 90), width=1)


def draw_branch(growth: Growth, random: np.random.Generator) -> None:
    """Draw a sunken branch that reaches into the picture from a side."""
    width, height = growth.layer.size
    side = 1 if random.random() < 0.5 else -1
    start = (width * (0.5 - 0.55 * side), height * random.uniform(0.70, 0.98))
    stride = (side * width * 0.10, -height * random.uniform(0.01, 0.05))
    wood = scale((0.33, 0.24, 0.16), random.uniform(0.8, 1.2))
    _grow_branch(growth, random, start, stride, thickness=0.034 * width, wood=wood)


def _grow_branch(
    growth: Growth, random: np.random.Generator, start: Point, stride: Point, *, thickness: float, wood: Color
) -> None:
    draw = growth.start_drawing()
    x, y = start
    for _ in range(7):
        if thickness < 1.2:
            return
        end = (x + stride[0] * random.uniform(0.7, 1.2), y + stride[1] + random.uniform(-0.25, 0.25) * abs(stride[0]))
        half, lift = thickness / 2, thickness * 0.22
        bark = growth.tone(scale(wood, 0.7), y)
        draw.line(((x, y), end), fill=bark, width=round(thickness))
        draw.ellipse((end[0] - half, end[1] - half, end[0] + half, end[1] + half), fill=bark)
        lit = growth.tone(scale(wood, 1.45), y)
        draw.line(((x, y - lift), (end[0], end[1] - lift)), fill=lit, width=max(1, round(thickness * 0.42)))
        if random.random() < 0.45:
            twig = (stride[0] * 0.55, -abs(stride[0]) * random.uniform(0.5, 1.0))
            _grow_branch(growth, random, end, twig, thickness=thickness * 0.42, wood=wood)
        x, y = end
        thickness *= 0.84
