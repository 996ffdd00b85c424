"""Compose one picture from water, scenery, fish, weeds in front of it and camera noise, and find the fish's box.

A picture is drawn SUPERSAMPLING times as large and then reduced, for smooth edges and fine scales.
Every random choice comes from the picture's own generator, in a fixed order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from tlkit.pond.body import Pose
from tlkit.pond.canvas import Canvas
from tlkit.pond.fields import ramp
from tlkit.pond.fish import draw_fish
from tlkit.pond.kinds import Kind
from tlkit.pond.scenery import draw_branch, draw_bubbles, draw_lily_pads, draw_stones, plant_weeds
from tlkit.pond.water import choose_scene, paint_water

SUPERSAMPLING = 3
SEEN_ALPHA = 60
"""Pixels of a fish with a higher alpha, 0..255, are seen; the rest is the edge of a fin."""


class Box(NamedTuple):
    """The fish's box in pixels of the picture: left, top, right and bottom; right and bottom are exclusive."""

    x_min: int
    y_min: int
    x_max: int
    y_max: int


def draw_picture(
    kind: Kind, *, size: tuple[int, int], hour: int, random: np.random.Generator
) -> tuple[Image.Image, Box]:
    """Draw one fish of a kind in the pond.

    Args:
        kind: The kind.
        size: Width and height of the picture in pixels.
        hour: Hour of the day, 5 to 22.
        random: Generator of everything else; the same state gives the same picture.

    Returns:
        The RGB picture, and the box around the part of the fish within the frame, including fins, barbels and what
        weeds hide.
    """
    canvas = paint_behind(size, hour, random)
    fish = draw_fish(kind, _choose_pose(kind, canvas.size, random), canvas.scene, random, canvas.size)
    canvas.image.paste(fish, (0, 0), fish)
    paint_in_front(canvas)
    return finish_picture(canvas.image.reduce(SUPERSAMPLING), random), _box_around(fish)


def paint_behind(size: tuple[int, int], hour: int, random: np.random.Generator) -> Canvas:
    """Return the pond without fish, `SUPERSAMPLING` times as large as its picture; arguments as for `draw_picture`."""
    scene = choose_scene(size, hour, random)
    large = (size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING)
    distance = Canvas(paint_water(scene, random), scene, random)
    plant_weeds(distance, 5, ground=min(1.02, scene.floor_top + 0.06), haze=0.72)
    blurred = distance.image.filter(ImageFilter.GaussianBlur(1.1))
    canvas = Canvas(blurred.resize(large, Image.Resampling.BILINEAR), scene, random)
    draw_stones(canvas)
    for chance, draw_thing in ((0.25, draw_lily_pads), (0.25, draw_branch), (0.5, draw_bubbles)):
        if random.random() < chance:
            draw_thing(canvas)
    plant_weeds(canvas, 4, ground=1.02, haze=random.uniform(0.15, 0.5))
    return canvas


def paint_in_front(canvas: Canvas) -> None:
    """Paint the weeds that grow in front of the fish."""
    plant_weeds(canvas, 2, ground=1.05, haze=0.03)


def _choose_pose(kind: Kind, large: tuple[int, int], random: np.random.Generator) -> Pose:
    width, height = large
    return Pose(
        center=(width * random.uniform(0.40, 0.60), height * random.uniform(0.36, 0.64)),
        length_px=random.uniform(*kind.lengths) * min(width, height * 1.45),
        angle_degrees=random.uniform(-24, 24),
        facing=1 if random.random() < 0.5 else -1,
        squeeze=random.uniform(0.76, 1.0),
        bend=(random.uniform(-0.28, 0.28), random.uniform(-0.45, 0.45)),
    )


def finish_picture(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """Return a picture of the final size with the camera's vignette and noise."""
    width, height = picture.size
    x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    vignette = 1 - 0.30 * ramp(x * x + y * y, 0.5, 2.2)
    grain = random.integers(-2, 3, (height, width, 1), np.int8) + random.integers(-2, 3, (height, width, 3), np.int8)
    pixels = np.asarray(picture) * vignette[..., None] + grain
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def is_of_fish(fish: Image.Image) -> NDArray[np.bool_]:
    """Return which pixels of a drawn fish are opaque enough to be seen, (height, width)."""
    return np.asarray(fish.getchannel("A")) > SEEN_ALPHA


def _box_around(fish: Image.Image) -> Box:
    bounds = fish.getchannel("A").point(lambda level: 255 if level > SEEN_ALPHA else 0).getbbox()
    if bounds is None:
        raise AssertionError("the fish lies outside its picture")
    left, top, right, bottom = bounds
    return Box(left // SUPERSAMPLING, top // SUPERSAMPLING, -(-right // SUPERSAMPLING), -(-bottom // SUPERSAMPLING))
