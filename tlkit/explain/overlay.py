"""Draw a map of evidence onto a picture.

What speaks for the output is orange, what speaks against it blue; the picture shows through in grey where there is
neither. Both colours darken and fade evenly in OKLab's lightness (https://bottosson.github.io/posts/oklab/), so that
equal steps of evidence look equally large, and they differ for the colour-blind, too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tlkit.reports.lettering import load_font

STRONGEST_ALPHA = 0.7
GREY_LIGHTNESS = (0.25, 0.80)
"""OKLab lightness of black and of white in the picture below the colours."""
LIGHTNESS = (0.45, 0.80)
"""OKLab lightness of weak and of strong evidence."""
CHROMA = 0.16
FOR_HUE, AGAINST_HUE = 1.05, 4.40
"""Hues in OKLab, in radians: orange and blue."""
NUM_COLOURS = 256
LEGEND_HEIGHT_PX = 18


def overlay_map(
    pixels: NDArray[np.uint8], evidence: NDArray[np.floating], *, strongest: float | None = None
) -> NDArray[np.uint8]:
    """Return a picture in grey with the evidence on it in colour.

    Args:
        pixels: uint8 (height, width, 3), RGB, 0..255.
        evidence: A map of the same area at any resolution, float (h, w): positive for the output, negative against it.
            Places that are not finite, which the network did not see, stay dark.
        strongest: The amount of evidence that is shown in full colour; None: the map's own largest amount.

    Returns:
        uint8, like `pixels`.
    """
    height, width = pixels.shape[:2]
    values = resize_map(np.nan_to_num(evidence, nan=0.0, posinf=0.0, neginf=0.0), (height, width))
    largest = float(np.abs(values).max()) if strongest is None else strongest
    amounts = np.clip(values / np.float32(max(largest, 1e-12)), -1, 1)
    alpha = np.abs(amounts) * np.float32(255 * STRONGEST_ALPHA)
    grey = Image.fromarray(pixels).convert("L").point(_GREYS)
    is_known = np.isfinite(evidence)
    if not is_known.all():
        seen = resize_map(is_known.astype(np.float32), (height, width)) > 0.5
        alpha *= seen
        grey = Image.composite(grey, grey.point(_UNSEEN), Image.fromarray(seen))
    colours = Image.fromarray(np.rint((amounts + 1) * np.float32((NUM_COLOURS - 1) / 2)).astype(np.uint8))
    colours.putpalette(_PALETTE)
    mask = Image.fromarray(np.rint(alpha).astype(np.uint8))
    return np.asarray(Image.composite(colours.convert("RGB"), grey.convert("RGB"), mask))


def resize_map(evidence: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return a map (h, w) at another size, (height, width), interpolated smoothly: float32."""
    image = Image.fromarray(np.ascontiguousarray(evidence, np.float32))
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BICUBIC), np.float32)


def draw_legend(width: int) -> NDArray[np.uint8]:
    """Return a bar with the colours from "against" to "for": uint8 (18, width, 3), RGB."""
    amounts = np.linspace(-1, 1, width)
    colours = _COLOURS[np.rint((amounts + 1) / 2 * (NUM_COLOURS - 1)).astype(np.intp)]
    alpha = np.abs(amounts)[:, np.newaxis]
    row = np.rint(colours * alpha + _GREYS[40] * (1 - alpha)).astype(np.uint8)
    bar = Image.fromarray(np.repeat(row[np.newaxis], LEGEND_HEIGHT_PX, axis=0))
    pen, font = ImageDraw.Draw(bar), load_font("against for", 12, bold=True)
    pen.text((6, LEGEND_HEIGHT_PX - 5), "against", font=font, fill=(255, 255, 255), anchor="ls")
    pen.text((width - 6, LEGEND_HEIGHT_PX - 5), "for", font=font, fill=(20, 20, 20), anchor="rs")
    return np.asarray(bar)


def _to_rgb(lightness: NDArray[np.floating], chroma: NDArray[np.floating], hue: float) -> NDArray[np.float64]:
    """Return OKLab colours in polar form as RGB, float64 (n, 3), 0..255, clipped to what a screen shows."""
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    lms = np.stack(
        [
            lightness + 0.3963377774 * a + 0.2158037573 * b,
            lightness - 0.1055613458 * a - 0.0638541728 * b,
            lightness - 0.0894841775 * a - 1.2914855480 * b,
        ],
        axis=-1,
    )
    linear = (lms**3) @ np.array(
        [
            [4.0767416621, -1.2684380046, -0.0041960863],
            [-3.3077115913, 2.6097574011, -0.7034186147],
            [0.2309699292, -0.3413193965, 1.7076147010],
        ]
    )
    linear = np.clip(linear, 0, 1)
    found: NDArray[np.float64] = 255 * np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055
    )
    return found


def _make_colours() -> NDArray[np.float64]:
    """Return the colours from strong evidence against to strong evidence for: float64 (256, 3), 0..255."""
    amounts = np.linspace(0, 1, NUM_COLOURS // 2)
    lightness = LIGHTNESS[0] + (LIGHTNESS[1] - LIGHTNESS[0]) * amounts
    chroma = CHROMA * (0.5 + 0.5 * amounts)
    return np.concatenate([_to_rgb(lightness, chroma, AGAINST_HUE)[::-1], _to_rgb(lightness, chroma, FOR_HUE)])


_COLOURS = _make_colours()
_PALETTE = np.rint(_COLOURS).astype(np.uint8).tobytes()
_GREYS = np.rint(_to_rgb(np.linspace(*GREY_LIGHTNESS, 256), np.zeros(256), 0.0)[:, 0]).astype(int).tolist()
_UNSEEN = [round(0.35 * value) for value in range(256)]
