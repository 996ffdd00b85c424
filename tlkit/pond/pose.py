"""Where a fish is in the picture: the map from lengths along its body to pixels, and back.

A point of the fish is (u, v): u from the nose (0) to the root of the tail (1), v downward from the axis, both in body
lengths. The map bends the axis, foreshortens the fish as it turns towards the camera, mirrors, rotates and places it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tlkit.pond.fields import Field, Point

_PIVOT = 0.42


@dataclass(frozen=True)
class Pose:
    """A fish's place in the picture.

    Args:
        center: Pixel (x, y) at which the axis' point u = 0.5 lies before bending.
        length_px: Length of the body without its tail fin.
        angle_degrees: Rotation of the whole fish; the picture's light stays where it is.
        facing: 1 with the nose to the left, -1 to the right.
        squeeze: Apparent part of the length, 0..1, of a fish that turns from the side view.
        bend: Second and third order curvature of the axis; the tail of a swimming fish has both.
    """

    center: Point
    length_px: float
    angle_degrees: float
    facing: int
    squeeze: float
    bend: tuple[float, float]

    @cached_property
    def _turn(self) -> tuple[float, float]:
        radians = math.radians(self.angle_degrees)
        return round(math.cos(radians), 9), round(math.sin(radians), 9)

    def place(self, u: float, v: float) -> Point:
        """Return the pixel of a point of the fish."""
        ahead = u - _PIVOT
        across = (u - 0.5) * self.length_px * self.squeeze * self.facing
        down = (v + (self.bend[0] + self.bend[1] * ahead) * ahead * ahead) * self.length_px
        cosine, sine = self._turn
        return self.center[0] + across * cosine - down * sine, self.center[1] + across * sine + down * cosine

    def find(self, x: Field, y: Field) -> tuple[Field, Field]:
        """Return (u, v) of the pixels (x, y), float32 of the same shape."""
        cosine, sine = self._turn
        x = x - np.float32(self.center[0])
        y = y - np.float32(self.center[1])
        across = x * np.float32(cosine) + y * np.float32(sine)
        down = y * np.float32(cosine) - x * np.float32(sine)
        u = across * np.float32(self.facing / (self.length_px * self.squeeze)) + np.float32(0.5)
        ahead = u - np.float32(_PIVOT)
        axis = (np.float32(self.bend[0]) + np.float32(self.bend[1]) * ahead) * ahead * ahead
        return u, down * np.float32(1 / self.length_px) - axis
