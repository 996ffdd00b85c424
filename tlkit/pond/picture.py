"""Compose one picture: water, far things, the fish, near things, the camera's grain; and the box around the fish.

A picture is drawn SUPERSAMPLING times as large and reduced at the end, so that edges are smooth and scales are fine.
Every random choice comes from the picture's own generator, in a fixed order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from tlkit.pond.anatomy import Kind
from tlkit.pond.body import Light
from tlkit.pond.clutter import draw_bubbles, draw_fry, draw_rope, draw_specks, draw_stones
from tlkit.pond.fields import Point, ink, scale
from tlkit.pond.fish import choose_individual, draw_fish
from tlkit.pond.plants import Growth, draw_branch, draw_grass, draw_leafy_stem, draw_lily_pads
from tlkit.pond.pose import Pose
from tlkit.pond.water import Scene, choose_scene, paint_water

SUPERSAMPLING = 3


@dataclass(frozen=True)
class Box:
    """The fish's box in pixels of the picture: left and upper edge, right and lower edge (not included)."""

    x_min: int
    y_min: int
    x_max: int
    y_max: int


def draw_picture(
    kind: Kind, *, size: tuple[int, int], hour: int, random: np.random.Generator
) -> tuple[Image.Image, Box]:
    """Draw one fish of a kind in the pond.

    Args:
        kind: What fish.
        size: Width and height of the picture in pixels.
        hour: Hour of the day, 5 to 22.
        random: Source of everything else; the same generator gives the same picture.

    Returns:
        The RGB picture, and the box around the whole fish within the frame, fins and barbels included, whether weeds
        hide parts of it or not.
    """
    scene = choose_scene(size, hour, random)
    large = (size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING)
    drawing = _draw_far_things(paint_water(scene, random), scene, random).resize(large, Image.Resampling.BILINEAR)
    draw_stones(drawing, scene, random, top_px=scene.floor_top * SUPERSAMPLING)
    _draw_middle_things(drawing, scene, random)

    pose = _choose_pose(kind, large, random)
    light = _light_around(scene, pose, large, random)
    fish = draw_fish(choose_individual(kind, random), pose, light, random, large)
    alpha = fish.getchannel("A")
    drawing = _cast_shadow(drawing, alpha, scene, pose)
    drawing.paste(fish, (0, 0), fish)
    _draw_near_things(drawing, scene, random, pose)
    return _finish(drawing.reduce(SUPERSAMPLING), random), _box_around(alpha)


def _draw_far_things(water: Image.Image, scene: Scene, random: np.random.Generator) -> Image.Image:
    width, height = scene.size
    far = water.copy()
    if random.random() < 0.15:
        return far
    growth = Growth(far, scene, haze=0.72)
    for _ in range(int(random.integers(1, 5))):
        root = (random.uniform(0, width), min(height * 1.02, scene.floor_top + 0.06 * height))
        tall = random.uniform(0.35, 0.8) * height
        draw_grass(growth, random, root=root, num_blades=int(random.integers(5, 12)), height_px=tall)
    if random.random() < 0.35:
        draw_fry(far, scene, random)
    return far.filter(ImageFilter.GaussianBlur(1.1))


def _draw_middle_things(drawing: Image.Image, scene: Scene, random: np.random.Generator) -> None:
    width, height = drawing.size
    if random.random() < 0.25:
        draw_lily_pads(Growth(drawing, scene, random.uniform(0.1, 0.4)), random)
    if random.random() < 0.22:
        draw_branch(Growth(drawing, scene, random.uniform(0.15, 0.45)), random)
    if random.random() < 0.14:
        draw_rope(drawing, scene, random)
    for _ in range(int(random.integers(0, 5))):
        root = (random.uniform(-0.02, 1.02) * width, height * random.uniform(0.96, 1.05))
        growth = Growth(drawing, scene, random.uniform(0.15, 0.5))
        _draw_weed(growth, random, root, most_blades=11, height_px=random.uniform(0.3, 0.85) * height)
    if random.random() < 0.4:
        draw_bubbles(drawing, scene, random)


def _draw_near_things(drawing: Image.Image, scene: Scene, random: np.random.Generator, pose: Pose) -> None:
    width, height = drawing.size
    growth = Growth(drawing, scene, haze=0.03)
    for _ in range(int(random.integers(0, 3))):
        root = (pose.center[0] + random.uniform(-0.42, 0.42) * width, height * random.uniform(1.0, 1.08))
        _draw_weed(growth, random, root, most_blades=6, height_px=random.uniform(0.40, 0.90) * height)
    if random.random() < 0.3:
        draw_bubbles(drawing, scene, random)
    draw_specks(drawing, scene, random)


def _draw_weed(growth: Growth, random: np.random.Generator, root: Point, *, most_blades: int, height_px: float) -> None:
    if random.random() < 0.6:
        num_blades = int(random.integers(most_blades // 3, most_blades))
        draw_grass(growth, random, root=root, num_blades=num_blades, height_px=height_px)
    else:
        draw_leafy_stem(growth, random, root=root, height_px=height_px)


def _choose_pose(kind: Kind, large: tuple[int, int], random: np.random.Generator) -> Pose:
    width, height = large
    length = random.uniform(*kind.lengths) * min(width, height * 1.45)
    return Pose(
        center=(width * random.uniform(0.40, 0.60), height * random.uniform(0.36, 0.64)),
        length_px=length,
        angle_degrees=random.uniform(-24, 24),
        facing=1 if random.random() < 0.5 else -1,
        squeeze=random.uniform(0.76, 1.0),
        bend=(random.uniform(-0.28, 0.28), random.uniform(-0.45, 0.45)),
    )


def _light_around(scene: Scene, pose: Pose, large: tuple[int, int], random: np.random.Generator) -> Light:
    depth = pose.center[1] / large[1]
    strength = (1.18 - 0.28 * depth) * (1 + 0.25 * scene.lamp)
    return Light(
        sun=(scene.sun[0] * strength, scene.sun[1] * strength, scene.sun[2] * strength),
        water=scene.water_at(depth),
        ripple=scene.ripple * 0.75,
        phase=scene.phase,
        haze=random.uniform(0.0, 0.26),
    )


def _cast_shadow(drawing: Image.Image, alpha: Image.Image, scene: Scene, pose: Pose) -> Image.Image:
    floor = scene.floor_top * SUPERSAMPLING + 0.16 * drawing.size[1]
    if floor > drawing.size[1] or scene.lamp > 0:
        return drawing
    small = alpha.reduce(SUPERSAMPLING)
    width, height = small.size
    flat = small.resize((width, max(1, height // 5)), Image.Resampling.BILINEAR)
    mask = Image.new("L", small.size)
    middle = round(floor / SUPERSAMPLING) - flat.size[1] // 2
    mask.paste(flat.point(lambda level: level * 0.42), (0, middle))
    mask = mask.filter(ImageFilter.GaussianBlur(3.0)).resize(drawing.size, Image.Resampling.BILINEAR)
    return Image.composite(Image.new("RGB", drawing.size, ink(scale(scene.deep, 0.3))[:3]), drawing, mask)


def _finish(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    width, height = picture.size
    dark = Image.composite(Image.new("RGB", picture.size), picture, _vignette(picture.size))
    grain = random.integers(-2, 3, (height, width, 1), dtype=np.int16) + random.integers(
        -2, 3, (height, width, 3), dtype=np.int16
    )
    return Image.fromarray(np.clip(np.asarray(dark, dtype=np.int16) + grain, 0, 255).astype(np.uint8))


@lru_cache(maxsize=16)
def _vignette(size: tuple[int, int]) -> Image.Image:
    corners = Image.new("L", (16, 16), 95)
    ImageDraw.Draw(corners).ellipse((-2, -2, 17, 17), fill=0)
    return corners.resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(20))


def _box_around(alpha: Image.Image) -> Box:
    bounds = alpha.point(lambda level: 255 if level > 60 else 0).getbbox()
    if bounds is None:
        raise AssertionError("the fish lies outside its picture")
    left, top, right, bottom = bounds
    return Box(left // SUPERSAMPLING, top // SUPERSAMPLING, -(-right // SUPERSAMPLING), -(-bottom // SUPERSAMPLING))
