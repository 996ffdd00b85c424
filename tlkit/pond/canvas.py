"""The canvas: an image with the colour of its water and light, and the basic strokes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image, ImageDraw

from tlkit.pond.fields import Field, mix
from tlkit.pond.water import Scene

Ink = tuple[int, ...]
"""RGBA, 0..255, the format of Pillow."""


def make_inks(colors: Field, alpha: float = 1.0) -> list[Ink]:
    """Convert colours, (n, 3), 0..1, to inks."""
    rgba = np.full((len(colors), 4), alpha)
    rgba[:, :3] = colors
    return [tuple(ink) for ink in (np.clip(rgba, 0, 1) * 255 + 0.5).astype(int).tolist()]


@dataclass(frozen=True)
class Canvas:
    """An image on which the scene is drawn; on an RGB image, translucent inks blend with the background."""

    image: Image.Image
    scene: Scene
    random: np.random.Generator

    @property
    def size(self) -> tuple[int, int]:
        """The width and height in pixels."""
        return self.image.size

    @cached_property
    def draw(self) -> ImageDraw.ImageDraw:
        """The Pillow object that draws on the image."""
        return ImageDraw.Draw(self.image, "RGBA")

    def tone(self, pigment: Field, y: float, haze: float, alpha: float = 1.0) -> Ink:
        """Return how a pigment looks at height `y` in pixels; `haze`, 0..1, is how much the water hides it."""
        return self.tones(pigment[None], np.array([y]), haze, alpha)[0]

    def tones(self, pigments: Field, y: Field, haze: float, alpha: float = 1.0) -> list[Ink]:
        """Return the tones of pigments, (n, 3), at heights `y`, (n,)."""
        height = y / self.size[1]
        water = self.scene.water_at(height)
        lit = pigments * (self.scene.sun_at(height) + 0.42 * water)
        return make_inks(mix(lit, water, haze), alpha)

    def ellipse(self, center: Field, wide: float, high: float, fill: Ink) -> None:
        """Draw an ellipse, given its two semi-axes."""
        x, y = center
        self.draw.ellipse((x - wide, y - high, x + wide, y + high), fill=fill)

    def line(self, points: Field, fill: Ink, width: float) -> None:
        """Draw a line through points, (n, 2), at least one pixel wide."""
        self.draw.line(points.ravel().tolist(), fill=fill, width=max(1, round(width)), joint="curve")

    def strip(self, first: Field, second: Field, inks: list[Ink]) -> None:
        """Fill the strip between two lines of n points; each segment has the ink of its first point."""
        corners = np.concatenate([first[:-1], first[1:], second[1:], second[:-1]], axis=1).tolist()
        for polygon, ink in zip(corners, inks[:-1], strict=True):
            self.draw.polygon(polygon, fill=ink)
