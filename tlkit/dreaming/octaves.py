"""DeepDream: make what a network sees in a picture stronger, from coarse to fine.

Mordvintsev et al., 2015: gradient ascent on the pixels, at growing sizes of the picture (octaves), with a random shift
before each step and gradients of unit mean. Large pictures are cut into tiles, so that memory does not grow with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.dreaming.gradients import Gradient
from tlkit.dreaming.painting import Frame, to_pixels

OCTAVE_RATIO = 1.4
NUM_OCTAVES = 4
STEP_PX = 1.5
"""Mean change of a colour in a step, of 0..255."""
TILE_PX = 512
MULTIPLE_PX = 32
"""Sizes are multiples of this, so that no stride leaves a rest."""


def plan_octaves(size: tuple[int, int], smallest_px: int) -> list[tuple[int, int]]:
    """Return the sizes at which a picture is worked on, the smallest first, each (height, width) in pixels.

    Args:
        size: (height, width) of the picture.
        smallest_px: The network's smallest edge.
    """
    sizes = []
    for octave in reversed(range(NUM_OCTAVES)):
        height, width = (round_edge(edge / OCTAVE_RATIO**octave) for edge in size)
        if min(height, width) >= smallest_px and (height, width) not in sizes:
            sizes.append((height, width))
    return sizes or [(round_edge(size[0], smallest_px), round_edge(size[1], smallest_px))]


def round_edge(edge: float, smallest_px: int = MULTIPLE_PX) -> int:
    """Return an edge as a multiple of 32 pixels, not below the smallest."""
    return max(round(edge / MULTIPLE_PX), -(-smallest_px // MULTIPLE_PX), 1) * MULTIPLE_PX


def amplify(
    picture: NDArray[Any],
    open_gradient: Callable[[tuple[int, int]], Gradient],
    *,
    num_steps: int,
    smallest_px: int,
    rng: np.random.Generator,
) -> Iterator[Frame | None]:
    """Yield after each step: a frame at the end of each octave, None otherwise.

    Args:
        picture: (height, width, 3), RGB, 0..255, edges multiples of 32.
        open_gradient: Returns the gradient of a loss for tiles of a size.
        num_steps: Steps in all, shared by the octaves.
        smallest_px: The network's smallest edge.
        rng: Draws the shifts.
    """
    sizes = plan_octaves((picture.shape[0], picture.shape[1]), smallest_px)
    details = np.zeros((*sizes[0], 3), np.float32)
    counts = [num_steps // len(sizes) + (number < num_steps % len(sizes)) for number in range(len(sizes))]
    done = 0
    for size, count in zip(sizes, counts, strict=True):
        base = resize(picture, size)
        details = resize(details, size)
        tile = (min(size[0], TILE_PX), min(size[1], TILE_PX))
        gradient, loss = open_gradient(tile), 0.0
        for step in range(count):
            loss, slopes = _compute_in_tiles(gradient, base + details, tile, rng)
            changed = base + details - slopes * (STEP_PX / (np.abs(slopes).mean() + 1e-12))
            details = np.clip(changed, 0, 255) - base
            done += 1
            yield Frame(done, loss, to_pixels(base + details)) if step == count - 1 else None


def resize(picture: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return a picture, (height, width, 3), any values, at another size, float32."""
    if picture.shape[:2] == size:
        return np.asarray(picture, np.float32)
    channels = [
        np.asarray(Image.fromarray(channel).resize(size[::-1], Image.Resampling.BICUBIC))
        for channel in np.moveaxis(np.asarray(picture, np.float32), -1, 0)
    ]
    return np.stack(channels, axis=-1)


def _compute_in_tiles(
    gradient: Gradient, picture: NDArray[np.float32], tile: tuple[int, int], rng: np.random.Generator
) -> tuple[float, NDArray[np.float32]]:
    """Return the mean loss of the tiles of a picture, randomly shifted, and the gradient by its pixels."""
    shift = tuple(int(rng.integers(0, edge)) for edge in picture.shape[:2])
    shifted = np.roll(picture, shift, (0, 1))
    slopes, losses = np.zeros_like(shifted), []
    for top in _place_tiles(picture.shape[0], tile[0]):
        for left in _place_tiles(picture.shape[1], tile[1]):
            cut = (slice(top, top + tile[0]), slice(left, left + tile[1]))
            loss, found = gradient(shifted[cut][np.newaxis])
            slopes[cut] = found[0]
            losses.append(float(loss[0]))
    return float(np.mean(losses)), np.roll(slopes, (-shift[0], -shift[1]), (0, 1))


def _place_tiles(edge: int, tile: int) -> list[int]:
    """Return where tiles begin that cover an edge; the last two overlap where it is no multiple."""
    return [*range(0, edge - tile, tile), edge - tile]
