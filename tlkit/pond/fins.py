"""Draw what stands out of a fish's body: fins with their rays, barbels, eye and mouth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import ImageDraw

from tlkit.pond.anatomy import Barbel, Fin, Kind, SideFin, Tail
from tlkit.pond.body import Light, Outline
from tlkit.pond.fields import Color, Point, ink, mix, scale, smooth_curve
from tlkit.pond.pose import Pose

_BANDS = 3


@dataclass(frozen=True)
class Brush:
    """What every stroke on one fish needs: where it is, in which light, and the colour of its fins."""

    draw: ImageDraw.ImageDraw
    pose: Pose
    light: Light
    color: Color

    def tone(self, color: Color, brightness: float, alpha: float = 1.0) -> tuple[int, int, int, int]:
        """Return a pigment under this picture's light as RGBA."""
        sun, water = self.light.sun, self.light.water
        lit = (
            color[0] * (sun[0] * brightness + 0.42 * water[0]),
            color[1] * (sun[1] * brightness + 0.42 * water[1]),
            color[2] * (sun[2] * brightness + 0.42 * water[2]),
        )
        return ink(lit, alpha)

    def stroke(self, points: Sequence[Point], color: tuple[int, int, int, int], width: float) -> None:
        """Draw a line through points of the fish, `width` body lengths thick."""
        pixels = [self.pose.place(*point) for point in points]
        self.draw.line(pixels, fill=color, width=max(1, round(width * self.pose.length_px)), joint="curve")


def draw_fin(brush: Brush, fin: Fin, outline: Outline, *, raised: float) -> None:
    """Draw a fin of the back or the belly, `raised` 0..1 as far as it will stand."""
    steps = max(8, round((fin.end - fin.start) * 36))
    heights = smooth_curve(fin.edge, steps)
    sign = -1 if fin.on_back else 1
    bases, tips = [], []
    for step in range(steps):
        part = step / (steps - 1)
        u = fin.start + (fin.end - fin.start) * part
        profile = outline.back_at(u) if fin.on_back else outline.belly_at(u)
        height = float(heights[step]) * raised
        if part < fin.spines and step % 2:
            height *= 0.80
        bases.append((u, sign * profile * 0.86))
        tips.append((u + fin.sweep * (1.25 - 0.5 * raised) * (0.35 + 0.65 * part), sign * (profile + height)))
    _draw_membrane(brush, bases, tips, light_from=0.86 if fin.on_back else 0.68)


def draw_tail(brush: Brush, tail: Tail, outline: Outline, *, spread: float, swing: float) -> None:
    """Draw the tail fin, opened by the factor `spread` and turned by `swing` (downward per unit backward)."""
    steps = 19
    lengths = smooth_curve(tail.lengths, 64)
    back, belly = outline.back_at(1.0) * 0.95, outline.belly_at(1.0) * 0.95
    bases, tips = [], []
    for step in range(steps):
        part = 2 * step / (steps - 1) - 1
        length = float(lengths[int(abs(part) * 63)])
        bases.append((0.965, part * (belly if part > 0 else back)))
        tips.append((1.0 + length, part * tail.spread * spread + swing * length))
    _draw_membrane(brush, bases, tips, light_from=0.78)


def draw_side_fin(brush: Brush, fin: SideFin, outline: Outline, *, opened: float, far: bool) -> None:
    """Draw a fin of the flank; a `far` one, on the other side of the body, is darker and lies a little ahead."""
    u, part = fin.root
    v = part * (outline.belly_at(u) if part > 0 else outline.back_at(u))
    if far:
        u, v = u - 0.012, v + 0.012
    steps = 8
    bases, tips = [], []
    for step in range(steps):
        along = step / (steps - 1)
        slope = fin.upper_slope + (fin.lower_slope - fin.upper_slope) * along * opened
        length = fin.length * (1.0 - 0.36 * along) * (0.85 if step == 0 else 1.0)
        backward = length / (1 + 0.55 * slope)
        bases.append((u + 0.10 * fin.length * along, v + 0.30 * fin.length * (along - 0.4)))
        tips.append((u + backward, v + backward * slope))
    _draw_membrane(brush, bases, tips, light_from=0.50 if far else 0.90)


def _draw_membrane(brush: Brush, bases: list[Point], tips: list[Point], *, light_from: float) -> None:
    for step in range(len(bases) - 1):
        ripple = 0.07 if step % 2 else -0.05
        for band in range(_BANDS):
            inner, outer = band / _BANDS, (band + 1) / _BANDS
            corners = (
                _between(bases[step], tips[step], inner),
                _between(bases[step], tips[step], outer),
                _between(bases[step + 1], tips[step + 1], outer),
                _between(bases[step + 1], tips[step + 1], inner),
            )
            tone = brush.tone(brush.color, light_from + ripple + 0.10 * inner, 0.90 - 0.42 * inner)
            brush.draw.polygon([brush.pose.place(*corner) for corner in corners], fill=tone)
    dark = scale(brush.color, 0.62)
    for base, tip in zip(bases, tips, strict=True):
        brush.stroke((base, _between(base, tip, 0.6)), brush.tone(dark, light_from, 0.85), 0.0035)
        brush.stroke((_between(base, tip, 0.6), tip), brush.tone(dark, light_from + 0.1, 0.60), 0.0025)


def _between(first: Point, second: Point, part: float) -> Point:
    return first[0] + (second[0] - first[0]) * part, first[1] + (second[1] - first[1]) * part


def draw_barbel(
    brush: Brush, barbel: Barbel, outline: Outline, random: np.random.Generator, *, color: Color, far: bool
) -> None:
    """Draw one whisker, tapering, each with a sway of its own."""
    u0, part = barbel.root
    v0 = part * (outline.belly_at(u0) if part > 0 else outline.back_at(u0))
    reach_u = barbel.reach[0] * random.uniform(0.8, 1.15) + random.uniform(-0.03, 0.03)
    reach_v = barbel.reach[1] * random.uniform(0.7, 1.2) + random.uniform(-0.03, 0.03)
    droop = barbel.droop * random.uniform(0.5, 1.3)
    steps = 14
    points = []
    for step in range(steps):
        t = step / (steps - 1)
        bow = droop * 4 * t * (1 - t)
        points.append(
            (u0 + reach_u * t + 0.35 * bow, v0 + reach_v * t * (0.5 + 0.5 * t) + (bow if far else -bow) * 0.5)
        )
    for step in range(steps - 1):
        t = step / (steps - 1)
        tone = brush.tone(scale(color, 0.9 if far else 1.1 + 0.25 * t), 0.8)
        brush.stroke(points[step : step + 2], tone, 0.0155 * (1 - 0.62 * t))


def draw_face(brush: Brush, kind: Kind, outline: Outline, *, iris: Color) -> None:
    """Draw mouth and eye."""
    dark = brush.tone((0.10, 0.07, 0.06), 0.5)
    brush.stroke(kind.mouth, dark, 0.006)
    brush.stroke(
        [(u, v + 0.007) for u, v in kind.mouth], brush.tone(mix(brush.color, (1, 0.95, 0.85), 0.6), 0.7, 0.55), 0.004
    )
    u, part = kind.eye
    v = part * (outline.back_at(u) if part < 0 else outline.belly_at(u))
    radius = kind.eye_radius
    _draw_disc(brush, (u, v), radius * 1.28, brush.tone(scale(brush.color, 0.45), 0.55, 0.9))
    _draw_disc(brush, (u, v), radius, brush.tone(iris, 0.95))
    _draw_disc(brush, (u, v + radius * 0.1), radius * 0.86, brush.tone(scale(iris, 0.8), 0.85))
    _draw_disc(brush, (u, v), radius * 0.58, ink((0.02, 0.03, 0.04)))
    _draw_disc(brush, (u - radius * 0.26, v - radius * 0.30), radius * 0.24, ink((0.96, 0.98, 1.0), 0.95))


def _draw_disc(brush: Brush, center: Point, radius: float, color: tuple[int, int, int, int]) -> None:
    x, y = brush.pose.place(*center)
    high = max(1.0, radius * brush.pose.length_px)
    wide = max(1.0, high * (0.4 + 0.6 * brush.pose.squeeze))
    brush.draw.ellipse((x - wide, y - high, x + wide, y + high), fill=color)
