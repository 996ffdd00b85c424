"""Smooth curves, waves and noise that come out the same on every machine.

The pond's pictures must be the same to the byte wherever they are drawn. Sines and exponentials of whole arrays differ
in the last bit from one processor to the next, so the pond does without: arrays see only + - * /, square roots,
comparisons and look-ups in tables that were rounded first, and noise is enlarged by Pillow in whole numbers.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.float32]
Color = tuple[float, float, float]
Point = tuple[float, float]

_WAVE_STEPS = 4096
_WAVE: Field = np.array(
    [round(math.sin(2 * math.pi * step / _WAVE_STEPS), 6) for step in range(_WAVE_STEPS)], dtype=np.float32
)


def wave(turns: Field) -> Field:
    """Return the sine of `turns` full circles, -1..1, of any shape."""
    wave_at: Field = _WAVE[(turns * np.float32(_WAVE_STEPS)).astype(np.int32) & (_WAVE_STEPS - 1)]
    return wave_at


def ramp(values: Field, low: float, high: float) -> Field:
    """Return the smooth step from 0 at `low` to 1 at `high` (`low` may be the larger one)."""
    part = np.clip((values - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    smooth: Field = part * part * (3 - 2 * part)
    return smooth


def mix(first: Color, second: Color, part: float) -> Color:
    """Return the colour `part` of the way from `first` to `second`."""
    return (
        first[0] + (second[0] - first[0]) * part,
        first[1] + (second[1] - first[1]) * part,
        first[2] + (second[2] - first[2]) * part,
    )


def scale(color: Color, factor: float) -> Color:
    """Return the colour made lighter or darker, each channel kept within 0..1."""
    return (min(1.0, color[0] * factor), min(1.0, color[1] * factor), min(1.0, color[2] * factor))


def ink(color: Color, alpha: float = 1.0) -> tuple[int, int, int, int]:
    """Return a colour of channels 0..1 as the RGBA 0..255 that Pillow draws with."""
    return (
        max(0, min(255, int(255 * color[0] + 0.5))),
        max(0, min(255, int(255 * color[1] + 0.5))),
        max(0, min(255, int(255 * color[2] + 0.5))),
        max(0, min(255, int(255 * alpha + 0.5))),
    )


def noise(random: np.random.Generator, size: tuple[int, int], cells: tuple[int, int]) -> Field:
    """Draw smooth noise, 0..1, of `size` (width, height) whose lumps are about `size / cells` pixels large."""
    grid = random.integers(0, 256, (cells[1] + 1, cells[0] + 1), dtype=np.uint8)
    large = Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(large, dtype=np.float32) / np.float32(255)


def cloud(random: np.random.Generator, size: tuple[int, int], cells: int, octaves: int = 3) -> Field:
    """Draw noise, 0..1, that has large lumps with smaller ones on them."""
    total = np.zeros((size[1], size[0]), dtype=np.float32)
    weight, weights = 1.0, 0.0
    for octave in range(octaves):
        across = cells << octave
        down = max(1, across * size[1] // size[0])
        total += np.float32(weight) * noise(random, size, (across, down))
        weights += weight
        weight /= 2
    return total / np.float32(weights)


def caustics(x: Field, y: Field, phase: float) -> Field:
    """Return the net of light that ripples throw, 0..1, at coordinates whose unit is about one mesh."""
    bent_x, bent_y = x, y
    light = np.zeros_like(x)
    for turn in range(3):
        shift = np.float32(phase + 0.37 * turn)
        bent_x, bent_y = (
            x + np.float32(0.22) * (wave(bent_y * np.float32(0.71) + shift) + wave(bent_x * np.float32(0.43) - shift)),
            y + np.float32(0.22) * (wave(bent_x * np.float32(0.67) - shift) - wave(bent_y * np.float32(0.47) + shift)),
        )
        ridge = np.float32(1) - np.abs(wave(bent_x * np.float32(0.5)) * wave(bent_y * np.float32(0.5)))
        light += ridge * ridge * ridge
    light *= np.float32(1 / 3)
    return ramp(light * light * light, 0.08, 0.75)


@lru_cache(maxsize=256)
def smooth_curve(points: tuple[Point, ...], steps: int) -> Field:
    """Return `steps` heights of the smooth curve through `points`, evenly spaced from the first x to the last.

    The array is shared by all callers and read-only. Slopes at the points are those of the neighbours' chord (Catmull and
    Rom), so the curve has no corners.
    """
    heights = np.empty(steps, dtype=np.float64)
    slopes = [
        (points[min(index + 1, len(points) - 1)][1] - points[max(index - 1, 0)][1])
        / (points[min(index + 1, len(points) - 1)][0] - points[max(index - 1, 0)][0])
        for index in range(len(points))
    ]
    first, last = points[0][0], points[-1][0]
    segment = 0
    for step in range(steps):
        x = first + (last - first) * step / (steps - 1)
        while segment < len(points) - 2 and x > points[segment + 1][0]:
            segment += 1
        (x0, y0), (x1, y1) = points[segment], points[segment + 1]
        width = x1 - x0
        t = (x - x0) / width
        rest = 1 - t
        heights[step] = (
            y0 * (1 + 2 * t) * rest * rest
            + slopes[segment] * width * t * rest * rest
            + y1 * t * t * (3 - 2 * t)
            - slopes[segment + 1] * width * t * t * rest
        )
    curve = heights.astype(np.float32)
    curve.flags.writeable = False
    return curve
