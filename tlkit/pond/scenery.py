"""Draw weeds, lily pads, branches, stones and bubbles, which hide a fish or can be mistaken for one.

Positions and lengths are in pixels of the canvas; `haze`, 0..1, is how much the water hides an object.
"""

from __future__ import annotations

import numpy as np

from tlkit.pond.canvas import Canvas, make_inks
from tlkit.pond.fields import Field, mix

_GREENS: Field = np.array([(0.30, 0.46, 0.14), (0.20, 0.40, 0.20), (0.44, 0.46, 0.16), (0.34, 0.26, 0.12)], np.float32)
_STONES: Field = np.array([(0.66, 0.64, 0.58), (0.48, 0.48, 0.50), (0.70, 0.56, 0.42), (0.42, 0.40, 0.32)], np.float32)


def plant_weeds(canvas: Canvas, most: int, *, ground: float, haze: float) -> None:
    """Draw up to `most` weeds, tufts of ribbons or leafy stems, rooted at the height `ground`, 0 (top) to 1."""
    random, (width, height) = canvas.random, canvas.size
    for _ in range(random.integers(most + 1)):
        root = np.array([random.uniform(0, width), ground * height])
        draw_weed = _draw_ribbons if random.random() < 0.7 else _draw_leafy_stem
        draw_weed(canvas, root, random.uniform(0.3, 0.85) * height, haze)


def _draw_ribbons(canvas: Canvas, root: Field, tall: float, haze: float) -> None:
    random = canvas.random
    green = _GREENS[random.integers(len(_GREENS))] * random.uniform(0.85, 1.2)
    lean = random.uniform(-0.30, 0.30)
    part = np.linspace(0, 1, 8)
    for _ in range(random.integers(3, 11)):
        foot = root + tall * random.uniform((-0.16, -0.01), (0.16, 0.03))
        middle = _sway(canvas, foot, tall * random.uniform(0.45, 1.0), lean, part)
        half = tall * random.uniform(0.016, 0.032) * (1 - part * part) * (1 - 0.25 * part) + 0.4
        edge = np.stack([half, 0 * half], axis=1)
        light = (0.50 + 0.55 * part)[:, None] * green * random.uniform(0.7, 1.25)
        canvas.strip(middle - edge, middle, canvas.tones(light * 0.78, middle[:, 1], haze))
        canvas.strip(middle, middle + edge, canvas.tones(light * 1.18, middle[:, 1], haze))


def _draw_leafy_stem(canvas: Canvas, root: Field, tall: float, haze: float) -> None:
    random = canvas.random
    green = _GREENS[random.integers(3)] * random.uniform(0.9, 1.3)
    part = np.linspace(0, 1, 16)
    stem = _sway(canvas, root, tall, 0.0, part)
    canvas.line(stem, canvas.tone(green * 0.6, root[1], haze), tall * 0.010)
    lengths = tall * random.uniform(0.07, 0.11) * (1.15 - 0.75 * part)
    tones = canvas.tones((0.55 + 0.50 * part)[:, None] * green, stem[:, 1], haze)
    for joint, length, tone in zip(stem[1:], lengths[1:], tones[1:], strict=True):
        for side in (-length, length):
            rise = random.uniform(-0.15, 0.55) * length
            leaf = np.array([(0, 0), (side / 2, -rise / 2 - 0.24 * length), (side, -rise), (side / 2, -rise / 2)])
            canvas.draw.polygon((joint + leaf).ravel().tolist(), fill=tone)


def _sway(canvas: Canvas, foot: Field, tall: float, lean: float, part: Field) -> Field:
    lean, curl = lean + canvas.random.uniform(-0.22, 0.22), canvas.random.uniform(-0.25, 0.25)
    across = lean * part * part + curl * part * (1 - part) * (2 * part - 0.6)
    return foot + tall * np.stack([across, part * (0.12 * abs(lean) * part - 1)], axis=1)


def draw_lily_pads(canvas: Canvas) -> None:
    """Draw floating lily pads with their stems, seen from below."""
    random, (width, height) = canvas.random, canvas.size
    pigments = np.array([(0.26, 0.26, 0.12), (0.14, 0.24, 0.09), (0.55, 0.66, 0.26)])
    stalk, shade, rim = canvas.tones(pigments, np.array([0.5 * height, 0, 0]), random.uniform(0.1, 0.4))
    part = np.linspace(0, 1, 8)
    for _ in range(random.integers(2, 5)):
        center = random.uniform((0, 0), (width, 0.06 * height))
        wide, high = random.uniform(0.08, 0.17) * width, random.uniform(0.022, 0.045) * height
        drift = random.uniform(-0.18, 0.18) * width
        canvas.line(center + np.stack([drift * part * part, height * part], axis=1), stalk, width * 0.006)
        canvas.ellipse(center, wide, high, rim)
        canvas.ellipse(center - np.array([0, high * 0.26]), wide * 0.97, high, shade)


def draw_branch(canvas: Canvas) -> None:
    """Draw a sunken branch that reaches into the picture from one side."""
    random, (width, height) = canvas.random, canvas.size
    side = random.choice((-1, 1))
    start = np.array([width * (0.5 - 0.55 * side), height * random.uniform(0.70, 0.98)])
    stride = np.array([side * width * 0.10, -height * random.uniform(0.01, 0.05)])
    bark = canvas.tone(np.array([0.30, 0.22, 0.15]), start[1], random.uniform(0.15, 0.45))
    _grow_branch(canvas, start, stride, 0.034 * width, bark)


def _grow_branch(canvas: Canvas, start: Field, stride: Field, thick: float, bark: tuple[int, ...]) -> None:
    random = canvas.random
    lit = tuple(min(255, level * 3 // 2) for level in bark)
    for _ in range(7):
        if thick < 1.2:
            return
        reach = abs(stride[0])
        end = start + stride * (random.uniform(0.7, 1.2), 1) + (0, random.uniform(-0.25, 0.25) * reach)
        canvas.line(np.stack([start, end]), bark, thick)
        canvas.ellipse(end, thick / 2, thick / 2, bark)
        canvas.line(np.stack([start, end]) - np.array([0, thick * 0.22]), lit, thick * 0.42)
        if random.random() < 0.45:
            twig = np.array([stride[0] * 0.55, -reach * random.uniform(0.5, 1.0)])
            _grow_branch(canvas, end, twig, thick * 0.42, bark)
        start, thick = end, thick * 0.84


def draw_stones(canvas: Canvas) -> None:
    """Scatter pebbles over the floor, larger towards the camera."""
    random, (width, height) = canvas.random, canvas.size
    room = 1 - canvas.scene.floor_top
    if room <= 0:
        return
    largest = random.uniform(0.018, 0.045) * width
    shadow = make_inks(canvas.scene.deep[None] * 0.35, 0.45)[0]
    part = np.linspace(0, 1, 6)
    for place in np.sort(random.random(random.integers(10, 46))):
        down = 0.08 + 0.98 * place * place
        nearness = 0.25 + 0.95 * down
        center = np.array([random.uniform(-0.03, 1.03) * width, (1 - room + room * down) * height])
        wide = largest * nearness * random.uniform(0.45, 1.25)
        high = wide * random.uniform(0.45, 0.75)
        canvas.ellipse(center + np.array([0, high * 0.78]), wide * 1.15, high * 0.44, shadow)
        stone = _STONES[random.integers(len(_STONES))] * (0.42 + 0.68 * part)[:, None]
        tones = canvas.tones(stone, np.full(6, center[1]), max(0.08, 0.72 - 0.70 * nearness))
        for up, tone in zip(part, tones, strict=True):
            shrink = 1 - 0.72 * up
            canvas.ellipse(center - np.array([0, high * 0.46 * up]), wide * shrink, high * shrink, tone)


def draw_bubbles(canvas: Canvas) -> None:
    """Draw a chain of rising bubbles."""
    random, (width, height) = canvas.random, canvas.size
    x, lowest = random.uniform(0.05, 0.95) * width, random.uniform(0.5, 1.0) * height
    pale = mix(canvas.scene.near, np.ones(3), 0.3)[None]
    rim, inside = make_inks(pale, 0.6)[0], make_inks(pale * 0.8, 0.4)[0]
    for _ in range(random.integers(4, 15)):
        rise = random.random()
        radius = width * random.uniform(0.004, 0.011) * (0.6 + 0.9 * rise)
        center = np.array([x + random.uniform(-0.035, 0.035) * width, lowest * (1 - rise)])
        canvas.ellipse(center, radius, radius, rim)
        canvas.ellipse(center, radius * 0.78, radius * 0.78, inside)
        canvas.ellipse(center - radius * 0.36, radius * 0.28, radius * 0.28, (255, 255, 255, 225))
