"""Paint a picture by following gradients back from a network to a canvas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.dreaming.canvas import Canvas
from tlkit.dreaming.gradients import Gradient
from tlkit.dreaming.lens import Lens
from tlkit.dreaming.variation import measure_variation

NUM_FRAMES = 8
BLUR_EVERY = 32


@dataclass(frozen=True)
class Brush:
    """How a canvas is painted.

    Attributes:
        num_steps: Steps of Adam, at least 1.
        rate: The step of each wave: see `Canvas.descend`.
        shift_px: The longest random shift before each step; 0 shows the network the picture as it is.
        smoothness: Weight of the total variation in the loss.
        blur_px: Every 32 steps but in the last quarter, the canvas is blurred by this standard deviation; 0 for never.
    """

    num_steps: int = 256
    rate: float = 0.05
    shift_px: float = 0
    smoothness: float = 0
    blur_px: float = 0


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture as it grows.

    Attributes:
        step: Steps that it has taken.
        loss: The network's loss at the last step, without the smoothness; the first frame has that of the first step.
        picture: uint8 (height, width, 3), RGB, 0..255.
    """

    step: int
    loss: float
    picture: NDArray[np.uint8]


def paint(canvas: Canvas, gradient: Gradient, brush: Brush, rng: np.random.Generator) -> Iterator[Frame | None]:
    """Change a canvas until it suits a network, and yield after each step: a frame now and then, None otherwise.

    Args:
        canvas: Where it begins; it is changed.
        gradient: Takes a picture, float32 (1, height, width, 3), 0..255; returns its loss, (1,), and the gradient.
        brush: How it is painted.
        rng: Draws the shifts.
    """
    shown = {round(brush.num_steps * share / NUM_FRAMES) for share in range(1, NUM_FRAMES + 1)}
    for step in range(1, brush.num_steps + 1):
        picture = canvas.render()
        if brush.shift_px:
            lens = Lens.draw(canvas.size, rng, shift_px=brush.shift_px)
            losses, seen = gradient(lens.apply(picture)[np.newaxis])
            slopes = lens.pull_back(seen[0])
        else:
            losses, seen = gradient(picture[np.newaxis])
            slopes = seen[0]
        if brush.smoothness:
            slopes = slopes + brush.smoothness * measure_variation(picture)[1]
        canvas.descend(slopes, brush.rate)
        if brush.blur_px and step % BLUR_EVERY == 0 and step <= brush.num_steps * 3 // 4:
            canvas.blur(brush.blur_px)
        yield Frame(step, float(losses[0]), to_pixels(canvas.render())) if step in shown else None


def to_pixels(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a picture rounded and clipped to uint8, 0..255."""
    pixels: NDArray[np.uint8] = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return pixels
