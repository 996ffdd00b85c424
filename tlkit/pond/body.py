"""The pose, outline, colours and body of one fish. The body is a rounded form with a skin, lit through moving water."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from tlkit.pond.canvas import Canvas, Ink
from tlkit.pond.fields import Field, mix, ramp, smooth_curve
from tlkit.pond.kinds import COATS, STATIONS, Kind
from tlkit.pond.skin import SKIN_HEIGHT, SKIN_WIDTH, paint_skin

_PIVOT = 0.42
_PROFILE_STEPS = 1024
_RED: Field = np.array([0.80, 0.24, 0.15], np.float32)


@dataclass(frozen=True)
class Pose:
    """The position and shape of a fish in the picture: the mapping from body coordinates to pixels, and back.

    A point of the fish is (u, v): u from the nose (0) to the root of the tail (1), v downward from the axis, both in body
    lengths. The map bends the axis, foreshortens the fish as it turns towards the camera, then mirrors, rotates and moves it.

    Args:
        center: Pixel (x, y) at which the axis' point u = 0.5 lies before bending.
        length_px: Length of the body without its tail fin.
        angle_degrees: Rotation of the whole fish; the light does not rotate.
        facing: 1 if it faces left, -1 if it faces right.
        squeeze: Apparent length as a fraction of the true one, 0..1; below 1 the fish is turned away from the side view.
        bend: Second and third order curvature of the axis; a swimming fish's tail has both.
    """

    center: tuple[float, float]
    length_px: float
    angle_degrees: float
    facing: int
    squeeze: float
    bend: tuple[float, float]

    @cached_property
    def _turn(self) -> tuple[float, float]:
        radians = math.radians(self.angle_degrees)
        return round(math.cos(radians), 9), round(math.sin(radians), 9)

    def _axis_at(self, u: Field) -> Field:
        ahead = u - _PIVOT
        axis: Field = (self.bend[0] + self.bend[1] * ahead) * ahead * ahead
        return axis

    def place(self, points: Field) -> Field:
        """Convert points on the fish, (..., 2), to pixels, (..., 2)."""
        u, v = points[..., 0], points[..., 1]
        across = (u - 0.5) * (self.length_px * self.squeeze * self.facing)
        down = (v + self._axis_at(u)) * self.length_px
        cosine, sine = self._turn
        return np.stack([across * cosine - down * sine, across * sine + down * cosine], axis=-1) + self.center

    def find(self, x: Field, y: Field) -> tuple[Field, Field]:
        """Convert pixel coordinates x and y to (u, v); both are broadcast."""
        cosine, sine = self._turn
        x, y = x - self.center[0], y - self.center[1]
        u = (x * cosine + y * sine) * (self.facing / (self.length_px * self.squeeze)) + 0.5
        return u, (y * cosine - x * sine) * (1 / self.length_px) - self._axis_at(u)


@dataclass(frozen=True)
class Fish:
    """One fish and its canvas.

    Args:
        kind: Its kind.
        pose: Its position and shape on the canvas.
        canvas: A transparent RGBA canvas.
        profile: Heights above and below the axis, (2, _PROFILE_STEPS), from the nose to the root of the tail.
        coat: Its colours, one of COATS or a blend of two.
        haze: How much the water hides it, 0..1.
    """

    kind: Kind
    pose: Pose
    canvas: Canvas
    profile: Field
    coat: Field
    haze: float

    def heights_at(self, u: Field) -> Field:
        """Return the heights of the back above the axis and of the belly below it, (2, ...)."""
        return self.profile[:, np.clip(u * (_PROFILE_STEPS - 1), 0, _PROFILE_STEPS - 1).astype(np.int32)]

    def find_spots(self, spots: Field) -> Field:
        """Convert spots, (u, part) as in `kinds`, to points (u, v); both (..., 2)."""
        u, part = spots[..., 0], spots[..., 1]
        back, belly = self.heights_at(u)
        return np.stack([u, part * np.where(part > 0, belly, back)], axis=-1)

    def tones(self, pigments: Field, alpha: float = 1.0) -> list[Ink]:
        """Return how pigments, (n, 3), look in the light around this fish."""
        return self.canvas.tones(pigments, np.full(len(pigments), self.pose.center[1]), self.haze, alpha)


def choose_fish(kind: Kind, pose: Pose, canvas: Canvas) -> Fish:
    """Choose the proportions and colours of one fish of a kind at random; its coat is a blend of two in COATS."""
    random = canvas.random
    first, second = COATS[random.integers(0, len(COATS), 2)]
    coat = mix(first, second, random.uniform(0.0, 0.35)) * random.uniform(0.86, 1.14)
    fattening = ramp(np.linspace(0, 1, _PROFILE_STEPS), 0.0, 0.35) * random.uniform(-0.12, 0.12, (2, 1))
    profile = np.stack([smooth_curve(np.array(edge), _PROFILE_STEPS, STATIONS) for edge in (kind.back, kind.belly)])
    return Fish(kind, pose, canvas, (profile * (1 + fattening)).astype(np.float32), coat, random.uniform(0.0, 0.26))


def paint_body(fish: Fish) -> None:
    """Paint the body, without fins."""
    left, top, right, bottom = _frame_around(fish)
    x = np.arange(left, right, dtype=np.float32)[None, :] + 0.5
    y = np.arange(top, bottom, dtype=np.float32)[:, None] + 0.5
    u, v = fish.pose.find(x, y)
    back, belly = fish.heights_at(u)
    inside = (u > 0) & (u < 1.025) & (v > -back) & (v < belly)
    u, v, back, belly = u[inside], v[inside], back[inside], belly[inside]
    side = (2 * v - belly + back) / (back + belly)

    height = np.array(fish.pose.center[1] / fish.canvas.size[1], np.float32)
    sun, water = fish.canvas.scene.sun_at(height)[:, None], fish.canvas.scene.water_at(height)[:, None]
    pigment = _pigment(fish, u, v, side)
    roundness = np.sqrt(np.clip(1 - side * side, 0, 1))
    relief = _scale_relief(fish.kind, u, v, side) * _gill_relief(fish, u, side)
    lit = (0.45 + 0.58 * roundness - 0.36 * side) * relief
    gloss = ramp(np.abs(side + 0.48), 0.30, 0.0) * relief * relief * 0.22
    edge = ramp(roundness, 0.55, 0.0) * 0.45
    shade = pigment * (lit * sun + water * 0.42) + gloss * sun
    shade = mix(shade * (1 - 0.6 * edge) + pigment * (edge * 0.9) * water, water, fish.haze)

    rgba = np.zeros((*inside.shape, 4), dtype=np.uint8)
    rgba[inside, :3] = (np.clip(shade, 0, 1) * 255).astype(np.uint8).T
    rgba[inside, 3] = (ramp(u, 1.025, 0.965) * 255).astype(np.uint8)
    body = Image.fromarray(rgba)
    fish.canvas.image.paste(body, (left, top), body)


def _frame_around(fish: Fish) -> tuple[int, int, int, int]:
    u, reach = np.linspace(-0.1, 1.1, 13), fish.profile.max() + 0.01
    strip = fish.pose.place(np.stack([np.tile(u, 2), np.repeat([-reach, reach], len(u))], axis=-1))
    left, top = np.maximum(strip.min(axis=0), 0).astype(int).tolist()
    right, bottom = np.minimum(strip.max(axis=0) + 1, fish.canvas.size).astype(int).tolist()
    return left, top, right, bottom


def _pigment(fish: Fish, u: Field, v: Field, side: Field) -> Field:
    column = np.clip(u * SKIN_WIDTH, 0, SKIN_WIDTH - 1).astype(np.int32)
    row = np.clip(v * SKIN_WIDTH + SKIN_HEIGHT / 2, 0, SKIN_HEIGHT - 1).astype(np.int32)
    dark, pale, red = paint_skin(fish.kind.skin, fish.canvas.random)[row, column].T
    upper, lower = ramp(side, -0.05, -0.80), ramp(side, 0.05, 0.72)
    back, flank, belly, mark, _ = fish.coat[:, :, None]
    base = mix(mix(flank, back, upper), belly, lower)
    base = mix(base, mark, dark * (1 - 0.75 * lower))
    base = mix(base, mix(flank, belly, 0.75), pale * (1 - 0.55 * upper))
    return mix(base, _RED[:, None], red)


def _scale_relief(kind: Kind, u: Field, v: Field, side: Field) -> Field:
    if kind.scales == 0:
        return np.ones_like(u)
    across, down = u * (1 / kind.scales), v * (1.25 / kind.scales)
    row = np.floor(down)
    x = across + 0.5 * (row - 2 * np.floor(row * 0.5))
    x = x - np.floor(x) - 0.35
    y = down - row - 0.5
    behind_head = ramp(u, kind.gill, kind.gill + 0.05) * ramp(np.abs(side), 1.0, 0.7)
    return 1 - 0.26 * ramp(x * x + y * y, 0.12, 0.36) * behind_head


def _gill_relief(fish: Fish, u: Field, side: Field) -> Field:
    gill = fish.kind.gill
    reach = 0.31 * float(fish.heights_at(np.array(gill)).sum())
    x, y = (u - gill) * (1 / reach) + 1, (side - 0.12) * (1 / 0.82)
    radius = np.sqrt(x * x + y * y)
    seam = ramp(np.abs(radius - 1.02), 0.13, 0.0) * ramp(x, 0.0, 0.35)
    cheek = ramp(np.abs(radius - 0.80), 0.2, 0.0) * ramp(x, 0.0, 0.5)
    return 1 - 0.42 * seam + 0.12 * cheek
