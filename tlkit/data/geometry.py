"""Geometry from image to output: the fit, then a view's crop, flip and rotation, as one placement.

Coordinates are continuous: an image of width w spans 0..w, and the centre of its first pixel is at 0.5. The same
placement renders the pixels and gives the matrix that maps points, such as box corners.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.errors import SettingError, name_fix
from tlkit.outputs import Box
from tlkit.recipes.settings import FITS

NEUTRAL_GREY = (128, 128, 128)
# Most backbones were trained on bilinear resizing; bicubic costs a third more and overshoots at edges. Pillow scales
# the filter with the reduction, so this is antialiased.
_RESAMPLING = Image.Resampling.BILINEAR
_CRUMB = 1e-6


def compute_frame(picture_size: tuple[int, int], image_size: tuple[int, int], fit: str) -> Box:
    """Return the part of an image that the output shows, in the image's pixels.

    Args:
        picture_size: (height, width) of the upright image, in pixels.
        image_size: (height, width) of the output, in pixels.
        fit: `squash` stretches the whole image, `crop` takes the largest centred part with the output's aspect ratio,
            and `pad` adds grey around the whole image.

    Raises:
        SettingError: `fit` is unknown.
    """
    height, width = picture_size
    out_height, out_width = image_size
    if fit == "squash":
        return 0.0, 0.0, float(width), float(height)
    if fit == "crop":
        scale = max(out_width / width, out_height / height)
    elif fit == "pad":
        scale = min(out_width / width, out_height / height)
    else:
        raise SettingError(f"fit is {fit!r}.", expected=f"one of {', '.join(FITS)}", fix=name_fix(fit, FITS))
    shown_width, shown_height = out_width / scale, out_height / scale
    left, top = (width - shown_width) / 2, (height - shown_height) / 2
    return left, top, left + shown_width, top + shown_height


@dataclass(frozen=True)
class Placement:
    """Mapping of an image to the output: a box of it is scaled, flipped, then rotated about the centre.

    Args:
        box: The part of the image that fills the output before rotation, in the image's pixels.
        image_size: (height, width) of the output, in pixels.
        flip: Whether to flip left and right.
        angle_degrees: Rotation, anticlockwise as seen.
        mirror_edges: Whether to fill beyond the edges with the mirrored image instead of neutral grey.
    """

    box: Box
    image_size: tuple[int, int]
    flip: bool = False
    angle_degrees: float = 0.0
    mirror_edges: bool = True

    def matrix(self) -> NDArray[np.float64]:
        """Return the (3, 3) matrix that maps (x, y, 1) from the image to the output, both in pixels."""
        left, top, right, bottom = self.box
        height, width = self.image_size
        scale_x, scale_y = width / (right - left), height / (bottom - top)
        scaling = np.array([[scale_x, 0, -left * scale_x], [0, scale_y, -top * scale_y], [0, 0, 1]])
        mirroring = np.array([[-1.0, 0, width], [0, 1, 0], [0, 0, 1]]) if self.flip else np.eye(3)
        cosine, sine = math.cos(math.radians(self.angle_degrees)), math.sin(math.radians(self.angle_degrees))
        centre_x, centre_y = width / 2, height / 2
        turning = np.array(
            [
                [cosine, sine, centre_x - cosine * centre_x - sine * centre_y],
                [-sine, cosine, centre_y + sine * centre_x - cosine * centre_y],
                [0, 0, 1],
            ]
        )
        product: NDArray[np.float64] = turning @ mirroring @ scaling
        return product

    def render(self, picture: Image.Image, retouch: Callable[[Image.Image], Image.Image]) -> Image.Image:
        """Return the output picture.

        Scaling is a single antialiased resample. Only a rotation resamples again, at the output's scale, from a window
        large enough that no corner stays empty.

        Args:
            picture: Upright, RGB.
            retouch: Applied to the colours of the scaled picture before any grey is added around it.
        """
        margin_x, margin_y = self._turning_margins()
        left, top, right, bottom = self.box
        height, width = self.image_size
        wider_x, wider_y = margin_x * (right - left) / width, margin_y * (bottom - top) / height
        window = (left - wider_x, top - wider_y, right + wider_x, bottom + wider_y)
        sheet_width_height = width + 2 * margin_x, height + 2 * margin_y
        shown, corner = _resample(picture, window, sheet_width_height)
        output = _extend(retouch(shown), corner, sheet_width_height, mirror=self.mirror_edges)
        if self.flip:
            output = output.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if self.angle_degrees:
            output = output.rotate(self.angle_degrees, _RESAMPLING)
            output = output.crop((margin_x, margin_y, margin_x + width, margin_y + height))
        return output

    def _turning_margins(self) -> tuple[int, int]:
        """Return how many output pixels to add to the window on either side, horizontally and vertically."""
        if not self.angle_degrees:
            return 0, 0
        height, width = self.image_size
        cosine = abs(math.cos(math.radians(self.angle_degrees)))
        sine = abs(math.sin(math.radians(self.angle_degrees)))
        excess_x, excess_y = width * cosine + height * sine - width, width * sine + height * cosine - height
        return 1 + max(0, math.ceil(excess_x / 2)), 1 + max(0, math.ceil(excess_y / 2))


def _resample(picture: Image.Image, window: Box, width_height: tuple[int, int]) -> tuple[Image.Image, tuple[int, int]]:
    """Return the visible part of the picture on a canvas of `width_height`, and its position (left, top).

    The canvas shows `window`, in the picture's pixels, which may extend beyond its edges.
    """
    (left, right, columns), (top, bottom, rows) = (
        _inside(window[axis], window[axis + 2], picture.size[axis], width_height[axis]) for axis in (0, 1)
    )
    shown_width_height = columns.stop - columns.start, rows.stop - rows.start
    shown = _resize(picture, shown_width_height, (left, top, right, bottom))
    return shown, (columns.start, rows.start)


def _resize(picture: Image.Image, width_height: tuple[int, int], box: Box) -> Image.Image:
    """Resize one axis after the other, in the order that Pillow 13 chooses.

    Each pass rounds to 8 bits, so the order matters, and earlier releases of Pillow choose another one.
    """
    (width, height), (left, top, right, bottom) = width_height, box

    def across(part: Image.Image) -> Image.Image:
        return part.resize((width, part.height), _RESAMPLING, box=(left, 0, right, part.height))

    def down(part: Image.Image) -> Image.Image:
        return part.resize((part.width, height), _RESAMPLING, box=(0, top, part.width, bottom))

    rows_lost, columns_lost = picture.height - height, picture.width - width
    return across(down(picture)) if rows_lost > max(0, 2 * columns_lost) else down(across(picture))


def _extend(shown: Image.Image, corner: tuple[int, int], width_height: tuple[int, int], *, mirror: bool) -> Image.Image:
    """Return a canvas of `width_height`: the picture at `corner`, with mirrored or grey surroundings."""
    if shown.size == width_height:
        return shown
    (left, top), (width, height) = corner, width_height
    if mirror:
        edges = ((top, height - top - shown.height), (left, width - left - shown.width), (0, 0))
        return Image.fromarray(np.pad(np.asarray(shown), edges, mode="symmetric"))
    sheet = Image.new("RGB", width_height, NEUTRAL_GREY)
    sheet.paste(shown, corner)
    return sheet


def _inside(start: float, stop: float, picture_edge: int, out_edge: int) -> tuple[float, float, slice]:
    """Return, along one axis, the output pixels entirely within the picture and the range that they show.

    A picture thinner than an output pixel still gets one.
    """
    assert start < picture_edge, "a placement must show some of the picture"
    assert stop > 0, "a placement must show some of the picture"
    scale = out_edge / (stop - start)
    first = max(0, math.ceil(-start * scale - _CRUMB))
    last = min(out_edge, math.floor((picture_edge - start) * scale + _CRUMB))
    if last <= first:
        first = min(max(0, math.floor((picture_edge / 2 - start) * scale)), out_edge - 1)
        return max(0.0, start), min(float(picture_edge), stop), slice(first, first + 1)
    begin = max(0.0, start + first / scale)
    return begin, min(float(picture_edge), start + last / scale), slice(first, last)
