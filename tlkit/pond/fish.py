"""Draw a whole fish from back to front: barbels, fins with their rays, body, eye and mouth."""

from __future__ import annotations

import numpy as np
from PIL import Image

from tlkit.pond.body import Fish, Pose, choose_fish, paint_body
from tlkit.pond.canvas import Canvas, make_inks
from tlkit.pond.fields import Field, mix, smooth_curve
from tlkit.pond.kinds import Fin, Kind, Point
from tlkit.pond.water import Scene

_BANDS = 3
_IRISES: Field = np.array([(0.95, 0.78, 0.30), (0.90, 0.62, 0.25), (0.86, 0.88, 0.80), (0.80, 0.45, 0.22)], np.float32)


def draw_fish(kind: Kind, pose: Pose, scene: Scene, random: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Draw one fish on a transparent background.

    Args:
        kind: Its kind.
        pose: Its position and shape, in pixels of the drawing.
        scene: The water and light around it.
        random: Generator of its coat, proportions, marks and the posture of its fins.
        size: Width and height of the drawing.

    Returns:
        An RGBA picture of `size`; alpha is 0 outside the fish.
    """
    fish = choose_fish(kind, pose, Canvas(Image.new("RGBA", size), scene, random))
    for barbel in kind.barbels[::2]:
        _draw_barbel(fish, barbel, light=0.75)
    for fin in kind.side_fins:
        _draw_fin(fish, fin, light=0.50, shift=0.012)
    for fin in kind.fins:
        _draw_fin(fish, fin, light=0.84 if fin.start[1] < 0 else 0.68)
    paint_body(fish)
    _draw_face(fish)
    for fin in kind.side_fins:
        _draw_fin(fish, fin, light=0.90)
    for barbel in kind.barbels[1::2]:
        _draw_barbel(fish, barbel, light=1.0)
    return fish.canvas.image


def _draw_fin(fish: Fish, fin: Fin, *, light: float, shift: float = 0.0) -> None:
    canvas, place, color = fish.canvas, fish.pose.place, fish.coat[-1]
    part = np.linspace(0, 1, fin.num_rays)[:, None]
    bases = fish.find_spots(mix(np.array(fin.start), np.array(fin.end), part)) + np.array([-shift, shift])
    tips = bases + smooth_curve(np.array(fin.edge), fin.num_rays) * (1, canvas.random.uniform(0.75, 1.25))
    ripple = np.where(np.arange(fin.num_rays) % 2, 0.07, -0.05)[:, None]
    for inner in np.arange(_BANDS) / _BANDS:
        tones = fish.tones(color * (light + ripple + 0.10 * inner), 0.90 - 0.42 * inner)
        canvas.strip(place(mix(bases, tips, inner)), place(mix(bases, tips, inner + 1 / _BANDS)), tones)
    rays = place(mix(bases, tips, np.array([0, 0.6, 1])[:, None, None]))
    near, far = fish.tones(color[None] * light * 0.6, 0.85)[0], fish.tones(color[None] * light * 0.7, 0.60)[0]
    for ray in rays.swapaxes(0, 1):
        canvas.line(ray[:2], near, 0.0035 * fish.pose.length_px)
        canvas.line(ray[1:], far, 0.0025 * fish.pose.length_px)


def _draw_barbel(fish: Fish, barbel: tuple[Point, ...], *, light: float) -> None:
    points = np.array(barbel)
    points[1:] *= fish.canvas.random.uniform(0.7, 1.2, (2, 2))
    course = points + fish.find_spots(points[0])
    course[0] -= points[0]
    course = fish.pose.place(smooth_curve(course, 14))
    tone = fish.tones(mix(fish.coat[1], fish.coat[2], 0.35)[None] * light)[0]
    for step, width in enumerate(np.linspace(0.0155, 0.006, 13)):
        fish.canvas.line(course[step : step + 2], tone, width * fish.pose.length_px)


def _draw_face(fish: Fish) -> None:
    kind, pose, canvas, fin = fish.kind, fish.pose, fish.canvas, fish.coat[-1]
    iris = _IRISES[canvas.random.integers(len(_IRISES))]
    socket, bright, dull, gape, lip = fish.tones(
        np.stack([fin * 0.25, iris * 0.95, iris * 0.70, np.full(3, 0.04), mix(fin, np.ones(3), 0.6) * 0.6])
    )
    pupil, glint = make_inks(np.array([(0.02, 0.03, 0.04), (0.96, 0.98, 1.0)]))
    mouth = np.array(kind.mouth)
    canvas.line(pose.place(mouth + np.array([0, 0.007])), lip, 0.004 * pose.length_px)
    canvas.line(pose.place(mouth), gape, 0.006 * pose.length_px)
    eye = fish.find_spots(np.array(kind.eye))
    discs = (
        (0, 0, 1.28, socket),
        (0, 0, 1, bright),
        (0, 0.1, 0.86, dull),
        (0, 0, 0.58, pupil),
        (-0.26, -0.3, 0.24, glint),
    )
    for across, down, size, ink in discs:
        high = max(1.0, kind.eye_radius * size * pose.length_px)
        center = pose.place(eye + kind.eye_radius * np.array([across, down]))
        canvas.ellipse(center, max(1.0, high * (0.4 + 0.6 * pose.squeeze)), high, ink)
