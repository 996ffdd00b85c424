"""Smooth curves, waves and noise that are identical on every machine.

The pond's pictures must be the same to the byte wherever they are drawn. Sines and exponentials of whole arrays differ
in the last bit between processors, so the pond avoids them: arrays use only + - * /, square roots, comparisons and
look-ups in rounded tables, and Pillow enlarges noise in integers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.floating[Any]]
"""Values over an area or along a curve; a colour has three channels, 0..1."""

_WAVE_STEPS = 4096
_WAVE: Field = np.array(
    [round(math.sin(2 * math.pi * step / _WAVE_STEPS), 6) for step in range(_WAVE_STEPS)], np.float32
)


def wave(turns: Field) -> Field:
    """Return the sine of `turns` full circles, -1..1, of any shape."""
    level: Field = _WAVE[(turns * _WAVE_STEPS).astype(np.int32) & (_WAVE_STEPS - 1)]
    return level


def ramp(values: Field, low: float, high: float) -> Field:
    """Return a smooth step from 0 at `low` to 1 at `high`; `low` may be the larger one."""
    part = np.clip((values - low) * (1 / (high - low)), 0, 1)
    smooth: Field = part * part * (3 - 2 * part)
    return smooth


def mix(first: Field, second: Field, part: float | Field) -> Field:
    """Interpolate linearly: `first` at part 0, `second` at part 1."""
    return first + (second - first) * part


def noise(random: np.random.Generator, size: tuple[int, int], cells: tuple[int, int]) -> Field:
    """Draw smooth noise, 0..1, of `size` (width, height), with lumps of about `size / cells` pixels."""
    grid = random.integers(0, 256, (cells[1] + 1, cells[0] + 1), dtype=np.uint8)
    return np.asarray(Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC), dtype=np.float32) / 255


def cloud(random: np.random.Generator, size: tuple[int, int], cells: int, octaves: int = 3) -> Field:
    """Draw noise, 0..1, with lumps of several sizes."""
    down = cells * size[1] // size[0]
    layers = [noise(random, size, (cells << octave, max(1, down << octave))) / 2**octave for octave in range(octaves)]
    total: Field = np.sum(layers, axis=0) / (2 - 2 / 2**octaves)
    return total


def caustics(x: Field, y: Field, phase: float) -> Field:
    """Return the caustics below a rippled surface, 0..1; a mesh of the net is about one unit of the coordinates wide."""
    bent_x, bent_y = x, y
    light = np.zeros(1, dtype=np.float32)
    for turn in range(3):
        shift = phase + 0.37 * turn
        bent_x, bent_y = (
            x + 0.22 * (wave(bent_y * 0.71 + shift) + wave(bent_x * 0.43 - shift)),
            y + 0.22 * (wave(bent_x * 0.67 - shift) - wave(bent_y * 0.47 + shift)),
        )
        ridge = 1 - np.abs(wave(bent_x * 0.5) * wave(bent_y * 0.5))
        light = light + ridge * ridge * ridge / 3
    return ramp(light * light * light, 0.08, 0.75)


def smooth_curve(heights: Field, steps: int, stations: Field | None = None) -> Field:
    """Sample a smooth curve through heights or points at `steps` places.

    Args:
        heights: The heights (n,) or points (n, 2) to pass through.
        steps: Number of samples, evenly spaced from the first station to the last.
        stations: Positions of the heights, 0..1; None for even spacing.
    """
    x = np.linspace(0, 1, len(heights)) if stations is None else stations
    slopes = np.gradient(heights, x, axis=0)
    t = np.linspace(0, 1, steps)
    left = np.clip(np.searchsorted(x, t, side="right") - 1, 0, len(x) - 2)
    right = left + 1
    width = (x[right] - x[left]).reshape(-1, *[1] * (heights.ndim - 1))
    t = (t - x[left]).reshape(width.shape) / width
    rest = 1 - t
    level = heights[left] * (1 + 2 * t) * rest * rest + heights[right] * t * t * (3 - 2 * t)
    return level + (slopes[left] * rest - slopes[right] * t) * width * t * rest
