"""The pond itself, at the picture's own size: water by the hour, shafts of light, the floor and what lights it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from tlkit.pond.fields import Color, Field, caustics, cloud, mix, noise, ramp, scale


@dataclass(frozen=True)
class Scene:
    """What one picture's water, light and floor are like.

    Args:
        size: Width and height of the picture in pixels.
        hour: Hour of the day, 5 to 22.
        near: Colour of the water at the surface.
        deep: Colour of the water far below.
        sun: Colour and strength of the light from above.
        floor_top: Height at which the floor begins, in pixels from the top; beyond the picture where none is seen.
        floor: Colour of the floor.
        shafts: Strength of the shafts of light, 0..1.
        ripple: Strength of the net of light on floor and backs, 0..1.
        phase: Moment of the ripples.
        lamp: Strength of the camera's own lamp, 0..1; it burns when daylight does not suffice.
    """

    size: tuple[int, int]
    hour: int
    near: Color
    deep: Color
    sun: Color
    floor_top: float
    floor: Color
    shafts: float
    ripple: float
    phase: float
    lamp: float

    def water_at(self, height: float) -> Color:
        """Return the colour of the water at a height, 0 (top) to 1 (bottom of the picture)."""
        return mix(self.near, self.deep, max(0.0, min(1.0, height)))


_HOURS: tuple[tuple[int, Color, Color, Color], ...] = (
    (5, (0.42, 0.40, 0.46), (0.09, 0.13, 0.20), (0.80, 0.66, 0.62)),
    (7, (0.66, 0.64, 0.46), (0.10, 0.24, 0.24), (1.00, 0.86, 0.66)),
    (10, (0.50, 0.76, 0.66), (0.07, 0.31, 0.33), (1.02, 0.98, 0.86)),
    (13, (0.56, 0.84, 0.80), (0.07, 0.36, 0.42), (1.10, 1.08, 0.98)),
    (16, (0.58, 0.76, 0.58), (0.10, 0.31, 0.29), (1.04, 0.98, 0.80)),
    (19, (0.84, 0.60, 0.34), (0.15, 0.20, 0.20), (1.04, 0.78, 0.52)),
    (21, (0.30, 0.30, 0.42), (0.05, 0.09, 0.16), (0.66, 0.62, 0.72)),
    (22, (0.13, 0.20, 0.28), (0.02, 0.06, 0.10), (0.92, 0.92, 0.86)),
)

_WATERS: tuple[tuple[Color, float], ...] = (
    ((0.10, 0.34, 0.36), 0.00),
    ((0.16, 0.30, 0.12), 0.34),
    ((0.26, 0.20, 0.09), 0.34),
    ((0.08, 0.24, 0.38), 0.30),
)

_FLOORS: tuple[Color, ...] = ((0.62, 0.54, 0.38), (0.44, 0.38, 0.28), (0.50, 0.50, 0.42), (0.36, 0.36, 0.26))


def choose_scene(size: tuple[int, int], hour: int, random: np.random.Generator) -> Scene:
    """Draw the water, the light and the floor of one picture taken at an hour."""
    near, deep, sun = _light_at(hour)
    tint, strength = _WATERS[int(random.integers(0, len(_WATERS)))]
    strength *= random.uniform(0.5, 1.2)
    brightness = random.uniform(0.85, 1.12)
    has_floor = random.random() < 0.68
    dark = hour >= 21 or hour <= 5
    return Scene(
        size=size,
        hour=hour,
        near=scale(mix(near, scale(tint, 2.0), strength), brightness),
        deep=scale(mix(deep, tint, strength), brightness * random.uniform(0.8, 1.25)),
        sun=scale_light(mix(sun, (sun[0] * 0.9, sun[1], sun[2] * 0.8), strength), brightness),
        floor_top=size[1] * (random.uniform(0.62, 0.88) if has_floor else 1.5),
        floor=scale(_FLOORS[int(random.integers(0, len(_FLOORS)))], random.uniform(0.85, 1.15)),
        shafts=0.0 if dark else random.uniform(0.0, 0.85),
        ripple=0.0 if dark else random.uniform(0.05, 0.65),
        phase=random.random(),
        lamp=random.uniform(0.4, 0.8) if dark else 0.0,
    )


def scale_light(light: Color, factor: float) -> Color:
    """Return a light made stronger or weaker; unlike a colour's, its channels may exceed 1."""
    return light[0] * factor, light[1] * factor, light[2] * factor


def _light_at(hour: int) -> tuple[Color, Color, Color]:
    later = next(index for index, entry in enumerate(_HOURS) if entry[0] >= hour)
    if later == 0:
        return _HOURS[0][1:]
    before, after = _HOURS[later - 1], _HOURS[later]
    part = (hour - before[0]) / (after[0] - before[0])
    return mix(before[1], after[1], part), mix(before[2], after[2], part), mix(before[3], after[3], part)


def paint_water(scene: Scene, random: np.random.Generator) -> Image.Image:
    """Paint everything that lies behind weeds and fish.

    Returns:
        RGB picture of the scene's size.
    """
    width, height = scene.size
    x = np.broadcast_to(np.arange(width, dtype=np.float32)[None, :], (height, width))
    y = np.broadcast_to(np.arange(height, dtype=np.float32)[:, None], (height, width))
    drift = cloud(random, scene.size, 3) - np.float32(0.5)
    depth = ramp(y * np.float32(1 / height) + np.float32(0.16) * drift, -0.08, 1.05)
    shafts = _shafts(scene, x, y, random)
    glow = _lamp_glow(scene, x, y, random)
    surface = _surface(scene, x, y, random)
    picture = np.empty((height, width, 3), dtype=np.float32)
    for channel in range(3):
        near, deep, sun = scene.near[channel], scene.deep[channel], scene.sun[channel]
        water = (np.float32(near) + np.float32(deep - near) * depth) * (1 + np.float32(0.10) * drift)
        picture[..., channel] = water + shafts * np.float32(0.34 * sun)
    _lay_floor(picture, scene, x, y, random)
    for channel in range(3):
        seen = picture[..., channel]
        seen = seen * (1 + np.float32(1.3) * glow) + np.float32(0.05) * glow
        picture[..., channel] = seen + (np.float32(0.95 * scene.sun[channel]) - seen) * surface
    return Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8))


def _lay_floor(picture: Field, scene: Scene, x: Field, y: Field, random: np.random.Generator) -> None:
    width, height = scene.size
    first = int(scene.floor_top - 0.06 * height)
    if first >= height:
        return
    wavy = noise(random, (width, 1), (5, 1)) - np.float32(0.5)
    under = y[first:] - np.float32(scene.floor_top) - wavy * np.float32(0.10 * height)
    seen = ramp(under, -1.0, 0.05 * height) * (np.float32(0.16) + np.float32(0.72) * ramp(under, 0.0, 0.34 * height))
    light = np.float32(0.80) + np.float32(0.85) * _floor_light(scene, x[first:], under, random)
    grain = np.float32(0.84) + np.float32(0.32) * cloud(random, (width, height - first), 22, 2)
    light = light * grain
    for channel in range(3):
        strength = scene.floor[channel] * (0.72 * scene.sun[channel] + 0.5 * scene.deep[channel])
        water = picture[first:, :, channel]
        picture[first:, :, channel] = water + (np.float32(strength) * light - water) * seen


def _shafts(scene: Scene, x: Field, y: Field, random: np.random.Generator) -> Field:
    if scene.shafts == 0:
        return np.zeros_like(y)
    slope = random.uniform(-0.55, 0.55)
    focus = random.uniform(0.5, 1.4)
    width, height = scene.size
    line = noise(random, (1024, 1), (19, 1))[0] * np.float32(0.6) + noise(random, (1024, 1), (53, 1))[0] * np.float32(
        0.4
    )
    line = ramp(line, 0.45, 0.85)
    down = y * np.float32(1 / height)
    across = (x * np.float32(1 / width) - np.float32(0.5) - down * np.float32(slope)) / (1 + down * np.float32(focus))
    column = np.clip((across + np.float32(1.0)) * np.float32(512), 0, 1023).astype(np.int32)
    shafts: Field = line[column] * ramp(down, 0.95, 0.0) * np.float32(scene.shafts)
    return shafts


def _lamp_glow(scene: Scene, x: Field, y: Field, random: np.random.Generator) -> Field:
    if scene.lamp == 0:
        return np.zeros_like(y)
    width, height = scene.size
    away_x = (x - np.float32(width * random.uniform(0.35, 0.65))) * np.float32(1 / width)
    away_y = (y - np.float32(height * random.uniform(0.40, 0.65))) * np.float32(1 / height)
    return ramp(away_x * away_x + away_y * away_y, 0.62, -0.12) * np.float32(scene.lamp)


def _floor_light(scene: Scene, x: Field, under: Field, random: np.random.Generator) -> Field:
    width, height = scene.size
    distance: Field = np.float32(1) / (np.clip(under, 0, height) * np.float32(1 / height) + np.float32(0.14))
    shift = random.uniform(0, 7)
    across = (x - np.float32(width / 2)) * distance * np.float32(1.3 / width) + np.float32(shift)
    net = caustics(across, distance * np.float32(1.0), scene.phase)
    return np.float32(0.30) + net * np.float32(1.5 * scene.ripple) * ramp(under, 0.0, 0.2 * height)


def _surface(scene: Scene, x: Field, y: Field, random: np.random.Generator) -> Field:
    width, height = scene.size
    if random.random() >= 0.4:
        return np.zeros_like(y)
    level = random.uniform(0.03, 0.10) * height
    swell = noise(random, (width, 1), (6, 1)) * np.float32(0.06 * height)
    broken = noise(random, scene.size, (16, 34))
    above = np.float32(level) + swell - y
    return ramp(above, -1.0, 3.0) * ramp(broken, 0.25, 0.75) * np.float32(0.75 if scene.lamp == 0 else 0.25)
