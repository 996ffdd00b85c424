"""Draw one fish: choose its coat, proportions and marks, then its parts from the far side to the near one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from tlkit.pond.anatomy import Coat, Kind
from tlkit.pond.body import Light, Outline, build_outline, shade_body
from tlkit.pond.fields import Color, Field, ink, mix, scale
from tlkit.pond.fins import Brush, draw_barbel, draw_face, draw_fin, draw_side_fin, draw_tail
from tlkit.pond.kinds import COATS
from tlkit.pond.pose import Pose
from tlkit.pond.skin import paint_skin

_IRISES: tuple[Color, ...] = ((0.95, 0.78, 0.30), (0.90, 0.62, 0.25), (0.86, 0.88, 0.80), (0.80, 0.45, 0.22))


@dataclass(frozen=True)
class Individual:
    """What sets one fish apart from its kind."""

    kind: Kind
    coat: Coat
    outline: Outline
    skin: Field
    iris: Color
    raised: float
    opened: float
    spread: float


def choose_individual(kind: Kind, random: np.random.Generator) -> Individual:
    """Draw one fish of a kind: its coat, its build, its marks and how it holds its fins."""
    weights = [weight / sum(kind.coats) for weight in kind.coats]
    mark = random.random()
    coat = COATS[-1]
    for candidate, weight in zip(COATS, weights, strict=True):
        if mark < weight:
            coat = candidate
            break
        mark -= weight
    neighbour = COATS[int(random.integers(0, len(COATS)))]
    coat = _blend_coats(coat, neighbour, random.uniform(0.0, 0.35), random.uniform(0.86, 1.14))
    outline = build_outline(kind, random.uniform(0.90, 1.10), random.uniform(0.88, 1.14))
    return Individual(
        kind=kind,
        coat=coat,
        outline=outline,
        skin=paint_skin(kind.skin, outline.height, random),
        iris=_IRISES[int(random.integers(0, len(_IRISES)))],
        raised=random.uniform(0.62, 1.1),
        opened=random.uniform(0.75, 1.15),
        spread=random.uniform(0.75, 1.12),
    )


def _blend_coats(first: Coat, second: Coat, part: float, brightness: float) -> Coat:
    return Coat(
        first.name,
        scale(mix(first.back, second.back, part), brightness),
        scale(mix(first.flank, second.flank, part), brightness),
        mix(first.belly, second.belly, part),
        scale(mix(first.mark, second.mark, part), brightness),
        mix(first.fin, second.fin, part),
    )


def draw_fish(
    fish: Individual, pose: Pose, light: Light, random: np.random.Generator, size: tuple[int, int]
) -> Image.Image:
    """Draw a fish on a clear ground.

    Args:
        fish: Which one.
        pose: Where, in pixels of the drawing.
        light: The light around it.
        random: Source of the sway of its barbels and tail.
        size: Width and height of the drawing.

    Returns:
        RGBA picture of `size`; where alpha is 0 there is no fish.
    """
    layer = Image.new("RGBA", size, ink(light.water, 0.0))
    draw = ImageDraw.Draw(layer)
    brush = Brush(draw, pose, light, fish.coat.fin)
    kind, outline = fish.kind, fish.outline
    barbel_color = mix(fish.coat.flank, fish.coat.belly, 0.35)

    for index, barbel in enumerate(kind.barbels):
        if index % 2 == 0:
            draw_barbel(brush, barbel, outline, random, color=barbel_color, far=True)
    for side_fin in kind.side_fins:
        draw_side_fin(brush, side_fin, outline, opened=fish.opened * 0.85, far=True)
    draw_tail(brush, kind.tail, outline, spread=fish.spread, swing=random.uniform(-0.25, 0.25))
    for fin in kind.fins:
        draw_fin(brush, fin, outline, raised=fish.raised)
    body, corner = shade_body(kind, fish.coat, outline, fish.skin, pose=pose, light=light, size=size)
    layer.paste(body, corner, body)
    draw_face(brush, kind, outline, iris=fish.iris)
    for side_fin in kind.side_fins:
        draw_side_fin(brush, side_fin, outline, opened=fish.opened, far=False)
    for index, barbel in enumerate(kind.barbels):
        if index % 2:
            draw_barbel(brush, barbel, outline, random, color=barbel_color, far=False)
    return _fade(layer, light)


def _fade(layer: Image.Image, light: Light) -> Image.Image:
    bounds = layer.getbbox()
    if bounds is None or light.haze == 0:
        return layer
    fish = layer.crop(bounds)
    faded = Image.blend(fish, Image.new("RGBA", fish.size, ink(light.water)), light.haze)
    faded.putalpha(fish.getchannel("A"))
    layer.paste(faded, bounds)
    return layer
