"""Stones, ropes, bubbles, drifting specks and shoals of fry: the small things between the camera and the far water."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from tlkit.pond.fields import Color, Point, ink, mix, scale
from tlkit.pond.water import Scene

_STONES: tuple[Color, ...] = (
    (0.56, 0.53, 0.48),
    (0.42, 0.42, 0.44),
    (0.62, 0.50, 0.38),
    (0.36, 0.34, 0.28),
    (0.66, 0.64, 0.58),
)


def draw_stones(layer: Image.Image, scene: Scene, random: np.random.Generator, *, top_px: float) -> None:
    """Scatter pebbles over the floor below `top_px`, small far away and large near the camera."""
    draw = ImageDraw.Draw(layer, "RGBA")
    width, height = layer.size
    room = height - top_px
    if room < 4:
        return
    places = sorted(random.random() for _ in range(int(random.integers(10, 46))))
    largest = random.uniform(0.018, 0.045) * width
    for place in places:
        y = top_px + room * (0.08 + 0.98 * place * place)
        near = 0.25 + 0.95 * (y - top_px) / room
        wide = largest * near * random.uniform(0.45, 1.25)
        high = wide * random.uniform(0.45, 0.75)
        x = random.uniform(-0.03, 1.03) * width
        stone = scale(_STONES[int(random.integers(0, len(_STONES)))], random.uniform(0.75, 1.15))
        _draw_stone(draw, scene, (x, y), (wide, high), stone, haze=max(0.08, 0.72 - 0.70 * near))


def _draw_stone(
    draw: ImageDraw.ImageDraw, scene: Scene, center: Point, radii: Point, stone: Color, *, haze: float
) -> None:
    (x, y), (wide, high) = center, radii
    draw.ellipse(
        (x - wide * 1.12, y + high * 0.35, x + wide * 1.18, y + high * 1.22), fill=ink(scale(scene.deep, 0.35), 0.45)
    )
    for ring in range(6):
        part = ring / 5
        tone = mix(_tint(scene, stone, 0.42 + 0.68 * part), scene.deep, haze)
        shrink = 1 - 0.72 * part
        up = high * 0.46 * part
        draw.ellipse(
            (x - wide * shrink, y - high * shrink - up, x + wide * shrink, y + high * shrink - up), fill=ink(tone)
        )


def draw_rope(layer: Image.Image, scene: Scene, random: np.random.Generator) -> None:
    """Draw a boat's mooring rope that hangs into the picture from above."""
    draw = ImageDraw.Draw(layer, "RGBA")
    width, height = layer.size
    x, foot = random.uniform(0.05, 0.95) * width, random.uniform(-0.25, 0.25) * width
    sag = random.uniform(-0.10, 0.10) * width
    thick = random.uniform(0.010, 0.017) * width
    hemp: Color = (0.62, 0.54, 0.36)
    steps = round(height / (thick * 0.75))
    for step in range(steps):
        t = step / steps
        at = (x + foot * t + sag * 4 * t * (1 - t), height * t)
        tone = mix(_tint(scene, hemp, 1.0 if step % 2 else 0.68), scene.water_at(t), 0.18 + 0.35 * t)
        draw.line(
            ((at[0] - thick, at[1] + thick * 0.5), (at[0] + thick, at[1] - thick * 0.5)),
            fill=ink(tone),
            width=max(2, round(thick * 0.8)),
        )


def draw_bubbles(layer: Image.Image, scene: Scene, random: np.random.Generator) -> None:
    """Draw a chain of rising bubbles."""
    draw = ImageDraw.Draw(layer, "RGBA")
    width, height = layer.size
    x, lowest = random.uniform(0.05, 0.95) * width, random.uniform(0.5, 1.0) * height
    rim = ink(mix(scene.near, (1.0, 1.0, 1.0), 0.45), 0.62)
    for _ in range(int(random.integers(4, 15))):
        rise = random.random()
        radius = width * random.uniform(0.004, 0.011) * (0.6 + 0.9 * rise)
        at = (x + random.uniform(-0.035, 0.035) * width, lowest * (1 - rise))
        box = (at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius)
        draw.ellipse(box, fill=ink(scene.near, 0.16), outline=rim, width=max(1, round(radius * 0.22)))
        spot = radius * 0.28
        spot_x, spot_y = at[0] - radius * 0.35, at[1] - radius * 0.38
        draw.ellipse((spot_x - spot, spot_y - spot, spot_x + spot, spot_y + spot), fill=(255, 255, 255, 225))


def draw_specks(layer: Image.Image, scene: Scene, random: np.random.Generator) -> None:
    """Draw what drifts in the water: faint pale specks, a few of them out of focus near the lens."""
    draw = ImageDraw.Draw(layer, "RGBA")
    width, height = layer.size
    pale = mix(scene.near, (0.95, 0.95, 0.85), 0.45)
    for _ in range(int(random.integers(15, 70))):
        near = random.random()
        radius = width * (0.0012 + 0.0022 * near + (0.010 if near > 0.975 else 0.0))
        alpha = 0.10 if near > 0.975 else random.uniform(0.12, 0.42)
        x, y = random.random() * width, random.random() * height
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink(pale, alpha))


def draw_fry(layer: Image.Image, scene: Scene, random: np.random.Generator) -> None:
    """Draw a shoal of small fish far away, little more than shadows."""
    draw = ImageDraw.Draw(layer, "RGBA")
    width, height = layer.size
    x, y = random.uniform(0.1, 0.9) * width, random.uniform(0.12, 0.6) * height
    heading = 1 if random.random() < 0.5 else -1
    length = width * random.uniform(0.022, 0.036)
    tone = ink(mix(scale(scene.deep, 0.8), scene.water_at(y / height), 0.35), 0.75)
    for _ in range(int(random.integers(5, 13))):
        nose = (x + random.uniform(-0.16, 0.16) * width, y + random.uniform(-0.07, 0.07) * height)
        turn = random.uniform(-0.25, 0.25)
        outline = (
            (0.0, 0.0),
            (0.3, -0.13),
            (0.75, -0.04),
            (1.0, -0.15),
            (0.95, 0.0),
            (1.0, 0.15),
            (0.75, 0.04),
            (0.3, 0.13),
        )
        cosine, sine = round(math.cos(turn), 9), round(math.sin(turn), 9)
        draw.polygon(
            [
                (nose[0] + heading * length * (u * cosine - v * sine), nose[1] + length * (u * sine + v * cosine))
                for u, v in outline
            ],
            fill=tone,
        )


def _tint(scene: Scene, color: Color, strength: float) -> Color:
    return (
        min(1.0, color[0] * (scene.sun[0] * strength * 0.85 + scene.deep[0] * 0.4)),
        min(1.0, color[1] * (scene.sun[1] * strength * 0.85 + scene.deep[1] * 0.4)),
        min(1.0, color[2] * (scene.sun[2] * strength * 0.85 + scene.deep[2] * 0.4)),
    )
