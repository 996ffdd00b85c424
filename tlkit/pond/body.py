"""Shade the body of a fish: skin on a rounded form, lit from above through moving water."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.pond.anatomy import Coat, Kind
from tlkit.pond.fields import Color, Field, caustics, ramp, smooth_curve
from tlkit.pond.pose import Pose
from tlkit.pond.skin import SKIN_WIDTH

_PROFILE_STEPS = 1024
_COARSE = 3
_RED: Color = (0.80, 0.24, 0.15)


@dataclass(frozen=True)
class Light:
    """The light in the water of one picture.

    Args:
        sun: Colour and strength of what falls from above, 0 and up.
        water: Colour of the water at the fish's depth: what comes from every side, and what distance fades into.
        ripple: How strongly the surface's net of light plays on backs and floor, 0..1.
        phase: Moment of the ripples.
        haze: How far the fish has faded into the water, 0..1.
    """

    sun: Color
    water: Color
    ripple: float
    phase: float
    haze: float


@dataclass(frozen=True)
class Outline:
    """Half heights of one fish above and below its axis, at _PROFILE_STEPS places from nose to tail root."""

    back: Field
    belly: Field

    def back_at(self, u: float) -> float:
        """Return the height of the back over the axis at `u`, in body lengths."""
        return float(self.back[_step_at(u)])

    def belly_at(self, u: float) -> float:
        """Return the depth of the belly under the axis at `u`, in body lengths."""
        return float(self.belly[_step_at(u)])

    @property
    def height(self) -> float:
        """Return the height of the strip, centred on the axis, that holds the whole body."""
        return 2 * max(float(self.back.max()), float(self.belly.max())) + 0.02


def _step_at(u: float) -> int:
    return max(0, min(_PROFILE_STEPS - 1, int(u * (_PROFILE_STEPS - 1))))


def build_outline(kind: Kind, back_factor: float, belly_factor: float) -> Outline:
    """Return a fish's outline: its kind's, with a back and a belly of its own."""
    fattening = ramp(np.linspace(0, 1, _PROFILE_STEPS, dtype=np.float32), 0.0, 0.35)
    back = smooth_curve(kind.back, _PROFILE_STEPS)
    belly = smooth_curve(kind.belly, _PROFILE_STEPS)
    return Outline(
        back * (1 + np.float32(back_factor - 1) * fattening), belly * (1 + np.float32(belly_factor - 1) * fattening)
    )


def shade_body(
    kind: Kind, coat: Coat, outline: Outline, skin: Field, *, pose: Pose, light: Light, size: tuple[int, int]
) -> tuple[Image.Image, tuple[int, int]]:
    """Paint the body without fins.

    Args:
        kind: What fish it is.
        coat: Its colours.
        outline: Its outline.
        skin: Its marks, as `paint_skin` returns them for the outline's height.
        pose: Its place, in pixels of the drawing.
        light: The light around it.
        size: Width and height of the drawing, in pixels.

    Returns:
        The body as an RGBA picture, and the pixel (x, y) of the drawing where its left upper corner belongs.
    """
    left, top, right, bottom = _pixel_frame(outline, pose, size)
    x = np.broadcast_to(np.arange(left, right, dtype=np.float32)[None, :] + 0.5, (bottom - top, right - left))
    y = np.broadcast_to(np.arange(top, bottom, dtype=np.float32)[:, None] + 0.5, (bottom - top, right - left))
    u, v = pose.find(x, y)
    inside = _is_inside(outline, u, v)
    net = _ripples_over(light, left, top, inside.shape, size[0])[inside]
    u, v = u[inside], v[inside]
    back, belly = _profiles_at(outline, u)
    side = (v - (belly - back) * np.float32(0.5)) / ((back + belly) * np.float32(0.5))

    pigment = _pigment(coat, outline, skin, u, v, side)
    roundness = np.sqrt(np.clip(1 - side * side, 0, 1))
    relief = _scale_relief(kind, u, v, side) * _gill_relief(kind, outline, u, side)
    lit = (np.float32(0.40) + np.float32(0.58) * roundness - np.float32(0.34) * side) * relief
    lit = lit + net * ramp(side, 0.35, -0.55) * relief
    gloss = ramp(np.abs(side + np.float32(0.48)), 0.30, 0.0) * relief * relief * np.float32(0.22)
    edge = ramp(roundness, 0.55, 0.0) * np.float32(0.45)

    painted = np.empty((len(u), 4), dtype=np.uint8)
    for channel in range(3):
        sun, water = np.float32(light.sun[channel]), np.float32(light.water[channel])
        shade = pigment[channel] * (lit * sun + water * np.float32(0.42)) + gloss * sun
        shade = shade + (water * pigment[channel] * np.float32(0.9) - shade * np.float32(0.6)) * edge
        painted[:, channel] = (np.clip(shade, 0, 1) * 255).astype(np.uint8)
    painted[:, 3] = (ramp(u, 1.025, 0.965) * 255).astype(np.uint8)
    rgba = np.zeros((*inside.shape, 4), dtype=np.uint8)
    rgba[inside] = painted
    return Image.fromarray(rgba), (left, top)


def _profiles_at(outline: Outline, u: Field) -> tuple[Field, Field]:
    step = np.clip(u * np.float32(_PROFILE_STEPS - 1), 0, _PROFILE_STEPS - 1).astype(np.int32)
    return outline.back[step], outline.belly[step]


def _is_inside(outline: Outline, u: Field, v: Field) -> NDArray[np.bool_]:
    back, belly = _profiles_at(outline, u)
    return (u > 0) & (u < 1.025) & (v > -back) & (v < belly)


def _ripples_over(light: Light, left: int, top: int, shape: tuple[int, ...], width: int) -> Field:
    if light.ripple == 0:
        return np.zeros(shape, dtype=np.float32)
    unit = np.float32(1 / (0.10 * width))
    rows, columns = -(-shape[0] // _COARSE), -(-shape[1] // _COARSE)
    x = (np.arange(columns, dtype=np.float32) * _COARSE + left) * unit
    y = (np.arange(rows, dtype=np.float32) * _COARSE + top) * unit
    across, down = np.broadcast_to(x[None, :], (rows, columns)), np.broadcast_to(y[:, None], (rows, columns))
    net = caustics(across, down, light.phase) * np.float32(light.ripple)
    return net.repeat(_COARSE, axis=0).repeat(_COARSE, axis=1)[: shape[0], : shape[1]]


def _pixel_frame(outline: Outline, pose: Pose, size: tuple[int, int]) -> tuple[int, int, int, int]:
    reach = outline.height / 2
    corners = [pose.place(step / 10, sign * reach) for step in range(-1, 12) for sign in (-1, 1)]
    across = [corner[0] for corner in corners]
    down = [corner[1] for corner in corners]
    left, top = max(0, int(min(across))), max(0, int(min(down)))
    return left, top, max(left + 1, min(size[0], int(max(across)) + 1)), max(top + 1, min(size[1], int(max(down)) + 1))


def _pigment(coat: Coat, outline: Outline, skin: Field, u: Field, v: Field, side: Field) -> list[Field]:
    column = np.clip(u * np.float32(SKIN_WIDTH), 0, SKIN_WIDTH - 1).astype(np.int32)
    row = np.clip((v + np.float32(outline.height / 2)) * np.float32(SKIN_WIDTH), 0, skin.shape[0] - 1).astype(np.int32)
    marks = skin[row, column]
    upper, lower = ramp(side, -0.05, -0.80), ramp(side, 0.05, 0.72)
    dark = marks[..., 0] * (1 - np.float32(0.75) * lower)
    pale = marks[..., 1] * (1 - np.float32(0.55) * upper)
    pigment = []
    for channel in range(3):
        base = np.float32(coat.flank[channel]) + np.float32(coat.back[channel] - coat.flank[channel]) * upper
        base = base + (np.float32(coat.belly[channel]) - base) * lower
        base = base + (np.float32(coat.mark[channel]) - base) * dark
        base = base + (np.float32(0.25 * coat.flank[channel] + 0.75 * coat.belly[channel]) - base) * pale
        pigment.append(base + (np.float32(_RED[channel]) - base) * marks[..., 2])
    return pigment


def _scale_relief(kind: Kind, u: Field, v: Field, side: Field) -> Field:
    if kind.scales == 0:
        return np.ones_like(u)
    across, down = u * np.float32(1 / kind.scales), v * np.float32(1.25 / kind.scales)
    row = np.floor(down)
    x = across + np.float32(0.5) * (row - 2 * np.floor(row * np.float32(0.5)))
    x = x - np.floor(x) - np.float32(0.35)
    y = down - row - np.float32(0.5)
    rim = ramp(x * x + y * y, 0.12, 0.36)
    behind_head = ramp(u, kind.gill, kind.gill + 0.05) * ramp(np.abs(side), 1.0, 0.7)
    return 1 - np.float32(0.26) * rim * behind_head


def _gill_relief(kind: Kind, outline: Outline, u: Field, side: Field) -> Field:
    half = (outline.back_at(kind.gill) + outline.belly_at(kind.gill)) / 2
    x = (u - np.float32(kind.gill - 0.62 * half)) * np.float32(1 / (0.62 * half))
    y = (side - np.float32(0.12)) * np.float32(1 / 0.82)
    radius = np.sqrt(x * x + y * y)
    seam = ramp(np.abs(radius - np.float32(1.02)), 0.13, 0.0) * ramp(x, 0.0, 0.35)
    cheek = ramp(np.abs(radius - np.float32(0.80)), 0.2, 0.0) * ramp(x, 0.0, 0.5)
    return 1 - np.float32(0.42) * seam + np.float32(0.12) * cheek
