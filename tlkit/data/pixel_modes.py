"""Convert any of Pillow's pixel modes to RGB: transparency over white, deep pixels scaled, never clipped.

Pillow's own `convert("RGB")` turns 16-bit images nearly white and transparency black. Colour profiles are not applied:
the values are read as sRGB, as in the backbones' training.
"""

from __future__ import annotations

from PIL import Image

from tlkit.data.deep_grey import scale_grey
from tlkit.outputs import GreyRange


def convert_to_rgb(picture: Image.Image, grey: GreyRange | None) -> Image.Image:
    """Convert a decoded picture to RGB, 0..255.

    Transparent parts, including those of palettes and colour keys, are composited over white.

    Args:
        picture: The picture, or a part of it.
        grey: Its black and white levels, if its grey has more than 8 bits; see `choose_scale`.
    """
    if grey is not None:
        picture = scale_grey(picture, grey)
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        paper = Image.new("RGBA", layer.size, "white")
        paper.alpha_composite(layer)
        return paper.convert("RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")
