"""From any of Pillow's pixel modes to RGB: transparency over white, deep pixels scaled, never clipped.

Pillow's own `convert("RGB")` turns 16-bit pictures nearly white and what is transparent black. Colour profiles are not
applied: the numbers in the file are taken as sRGB, as the backbones' training did.
"""

from __future__ import annotations

from PIL import Image

from tlkit.data.deep_grey import scale_grey
from tlkit.outputs import GreyRange


def convert_to_rgb(picture: Image.Image, grey: GreyRange | None) -> Image.Image:
    """Return a decoded picture as RGB, 0..255.

    Transparent parts, also of palettes and colour keys, are laid over white.

    Args:
        picture: The picture, or a part of it.
        grey: What is black and white in it, if its grey has more than 8 bits: see `choose_scale`.
    """
    if grey is not None:
        picture = scale_grey(picture, grey)
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        paper = Image.new("RGBA", layer.size, "white")
        paper.alpha_composite(layer)
        return paper.convert("RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")
