"""Paint the background: water at an hour of the day, shafts of light, and the lit floor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from tlkit.pond.fields import Field, caustics, cloud, mix, noise, ramp

_HOURS = (5, 7, 10, 13, 16, 19, 21, 22)
_LIGHTS: Field = np.array(
    [  # water at the surface, water far below, light from above
        ((0.42, 0.40, 0.46), (0.09, 0.13, 0.20), (0.80, 0.66, 0.62)),
        ((0.66, 0.64, 0.46), (0.10, 0.24, 0.24), (1.00, 0.86, 0.66)),
        ((0.50, 0.76, 0.66), (0.07, 0.31, 0.33), (1.02, 0.98, 0.86)),
        ((0.56, 0.84, 0.80), (0.07, 0.36, 0.42), (1.10, 1.08, 0.98)),
        ((0.58, 0.76, 0.58), (0.10, 0.31, 0.29), (1.04, 0.98, 0.80)),
        ((0.84, 0.60, 0.34), (0.15, 0.20, 0.20), (1.04, 0.78, 0.52)),
        ((0.30, 0.30, 0.42), (0.05, 0.09, 0.16), (0.66, 0.62, 0.72)),
        ((0.13, 0.20, 0.28), (0.02, 0.06, 0.10), (0.92, 0.92, 0.86)),
    ],
    np.float32,
)
_TINTS: Field = np.array([(0.10, 0.34, 0.36), (0.16, 0.30, 0.12), (0.26, 0.20, 0.09), (0.08, 0.24, 0.38)], np.float32)
_FLOORS: Field = np.array([(0.62, 0.54, 0.38), (0.44, 0.38, 0.28), (0.50, 0.50, 0.42), (0.36, 0.36, 0.26)], np.float32)


@dataclass(frozen=True)
class Scene:
    """The water, light and floor of one picture.

    Args:
        size: Width and height of the picture in pixels.
        near: Colour of the water at the surface.
        deep: Colour of the water far below.
        sun: Colour and strength of the light from above.
        floor: Colour of the floor.
        floor_top: Height at which the floor begins, 0 (top) to 1 (bottom); above 1 if it is out of sight.
        shafts: Strength of the shafts of light, 0..1.
        ripple: Strength of the caustics on the floor, 0..1.
        lamp: Strength of the camera's lamp, 0..1, which is on in low light.
    """

    size: tuple[int, int]
    near: Field
    deep: Field
    sun: Field
    floor: Field
    floor_top: float
    shafts: float
    ripple: float
    lamp: float

    def water_at(self, height: float | Field) -> Field:
        """Return the colours of the water, (..., 3), at heights, 0 (top) to 1 (bottom of the picture)."""
        return mix(self.near, self.deep, np.clip(height, 0, 1)[..., None])

    def sun_at(self, height: float | Field) -> Field:
        """Return the colours of the light from above, (..., 3), at heights; channels may exceed 1."""
        return self.sun * (1.15 - 0.35 * np.asarray(height)[..., None]) * (1 + 0.25 * self.lamp)


def choose_scene(size: tuple[int, int], hour: int, random: np.random.Generator) -> Scene:
    """Choose the water, light and floor of a picture taken at an hour."""
    later = max(1, int(np.searchsorted(_HOURS, hour)))
    part = (hour - _HOURS[later - 1]) / (_HOURS[later] - _HOURS[later - 1])
    near, deep, sun = mix(_LIGHTS[later - 1], _LIGHTS[later], part)
    tint = _TINTS[random.integers(len(_TINTS))]
    strength = random.uniform(0.1, 0.4)
    brightness = random.uniform(0.85, 1.12)
    is_dark = hour >= 21 or hour <= 5
    return Scene(
        size=size,
        near=mix(near, tint * 2, strength) * brightness,
        deep=mix(deep, tint, strength) * brightness * random.uniform(0.8, 1.25),
        sun=sun * brightness,
        floor=_FLOORS[random.integers(len(_FLOORS))] * random.uniform(0.85, 1.15),
        floor_top=random.uniform(0.62, 0.88) if random.random() < 0.68 else 1.5,
        shafts=0.0 if is_dark else random.uniform(0.0, 0.85),
        ripple=0.0 if is_dark else random.uniform(0.05, 0.65),
        lamp=random.uniform(0.4, 0.8) if is_dark else 0.0,
    )


def paint_water(scene: Scene, random: np.random.Generator) -> Image.Image:
    """Return the background, behind weeds and fish, as an RGB picture of the scene's size."""
    width, height = scene.size
    x = ((np.arange(width, dtype=np.float32) + 0.5) / width)[None, :]
    y = ((np.arange(height, dtype=np.float32) + 0.5) / height)[:, None]
    near, deep, sun = (color[:, None, None] for color in (scene.near, scene.deep, scene.sun))
    drift = cloud(random, scene.size, 3) - 0.5
    picture = mix(near, deep, ramp(y + 0.16 * drift, -0.08, 1.05)) * (1 + 0.10 * drift)
    if scene.shafts:
        picture = picture + sun * (0.34 * scene.shafts * _shafts(x, y, random))
    _lay_floor(picture, scene, x, y, random)
    if scene.lamp:
        away_x, away_y = x - random.uniform(0.35, 0.65), y - random.uniform(0.40, 0.65)
        glow = ramp(away_x * away_x + away_y * away_y, 0.62, -0.12) * scene.lamp
        picture = picture * (1 + 1.3 * glow) + 0.05 * glow
    if random.random() < 0.4:
        above = random.uniform(0.03, 0.10) + 0.06 * noise(random, (width, 1), (6, 1)) - y
        broken = ramp(noise(random, scene.size, (16, 34)), 0.25, 0.75) * (0.25 if scene.lamp else 0.75)
        picture = mix(picture, 0.95 * sun, ramp(above, -0.006, 0.02) * broken)
    return Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))


def _shafts(x: Field, y: Field, random: np.random.Generator) -> Field:
    line = ramp(noise(random, (1024, 1), (19, 1))[0] * 0.6 + noise(random, (1024, 1), (53, 1))[0] * 0.4, 0.45, 0.85)
    across = (x - 0.5 - y * random.uniform(-0.55, 0.55)) / (1 + y * random.uniform(0.5, 1.4))
    shafts: Field = line[np.clip((across + 1) * 512, 0, 1023).astype(np.int32)] * ramp(y, 0.95, 0.0)
    return shafts


def _lay_floor(picture: Field, scene: Scene, x: Field, y: Field, random: np.random.Generator) -> None:
    width, height = scene.size
    first = int((scene.floor_top - 0.06) * height)
    if first >= height:
        return
    under = y[first:] - scene.floor_top - 0.10 * (noise(random, (width, 1), (5, 1)) - 0.5)
    seen = ramp(under, 0.0, 0.05) * (0.16 + 0.72 * ramp(under, 0.0, 0.34))
    distance = 1 / (np.clip(under, 0, 1) + 0.14)
    net = caustics((x - 0.5) * distance * 1.3 + random.uniform(0, 7), distance, random.random())
    light = 1.05 + net * (1.3 * scene.ripple) * ramp(under, 0.0, 0.2)
    light = light * (0.84 + 0.32 * cloud(random, (width, height - first), 22, 2))
    color = scene.floor * (0.72 * scene.sun + 0.5 * scene.deep)
    picture[:, first:] = mix(picture[:, first:], color[:, None, None] * light, seen)
