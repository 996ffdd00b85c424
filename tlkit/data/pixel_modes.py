"""From any of Pillow's pixel modes to RGB: transparency over white, deep pixels scaled, never clipped.

Pillow's own `convert("RGB")` turns 16-bit pictures nearly white and what is transparent black. Colour profiles are not
applied: the numbers in the file are taken as sRGB, as the backbones' training did.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_BITS_PER_SAMPLE = 258  # TIFF tag


def convert_to_rgb(picture: Image.Image) -> Image.Image:
    """Return a decoded picture as RGB, 0..255.

    - Transparent parts, also of palettes and colour keys, are laid over white.
    - 16-bit grey is divided by 257, so that 0..65535 becomes 0..255 (12-bit TIFF: 0..4095).
    - Floats and 32-bit integers have no agreed range: each picture is stretched from its own least to its own greatest
      finite value.
    """
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        picture = Image.fromarray(_scale_deep_grey(picture))
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        paper = Image.new("RGBA", layer.size, "white")
        paper.alpha_composite(layer)
        return paper.convert("RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _scale_deep_grey(picture: Image.Image) -> NDArray[np.uint8]:
    """Return 0..255 (height, width) of a grey picture with more than 8 bits a pixel."""
    values = np.asarray(picture)
    if picture.mode.startswith("I;16") or (picture.format == "PPM" and picture.mode == "I"):
        white = _white_level(picture)
        return ((values.astype(np.int64) * 510 + white) // (2 * white)).clip(0, 255).astype(np.uint8)
    with np.errstate(invalid="ignore"):  # damaged bytes make signalling NaNs
        values = values.astype(np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(values.shape, np.uint8)
    low, high = values[finite].min(), values[finite].max()
    # Halved: the distance of the two largest floats of opposite sign is infinite.
    span = high / 2 - low / 2
    if span == 0:
        return np.zeros(values.shape, np.uint8)
    fractions: NDArray[np.float64] = np.clip((np.where(finite, values, low) / 2 - low / 2) / span, 0, 1)
    return np.rint(fractions * 255).astype(np.uint8)


def _white_level(picture: Image.Image) -> int:
    tags: Any = getattr(picture, "tag_v2", {})
    return 4095 if tags.get(_BITS_PER_SAMPLE) == (12,) else 65535
