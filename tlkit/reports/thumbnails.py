"""Small JPEG pictures for pages, within a budget of bytes."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PAGE_BYTES = 5_000_000
"""How large a page with pictures may become."""
MIN_PICTURE_BYTES = 2_000
"""What a thumbnail that one can still recognize takes."""
LARGEST_EDGE_PX = 448
PIXELS_A_BYTE = 8
_SHARE_OF_PICTURES = 0.8
_BASE64 = 4 / 3
_QUALITIES = (82, 70, 55, 40, 25)
_SMALLEST_EDGE_PX = 48
_SHRINK = 0.8


@dataclass(frozen=True)
class PictureBudget:
    """The bytes that the pictures of a page may take, and so their number, size and quality.

    Attributes:
        page_bytes: How large the whole page may become.
    """

    page_bytes: int = PAGE_BYTES

    @property
    def picture_bytes(self) -> int:
        """Bytes for all JPEG files of the page, before they are written as text."""
        return int(self.page_bytes * _SHARE_OF_PICTURES / _BASE64)

    @property
    def max_pictures(self) -> int:
        """The most pictures that can still be recognized."""
        return self.picture_bytes // MIN_PICTURE_BYTES

    def share(self, num_pictures: int) -> int:
        """Return how many bytes each of so many pictures may take."""
        return self.picture_bytes // max(1, num_pictures)


def choose_edge_px(max_bytes: int) -> int:
    """Return the longer edge for which a photo of good quality takes about so many bytes, at most 448."""
    return min(LARGEST_EDGE_PX, int((max_bytes * PIXELS_A_BYTE) ** 0.5))


def make_thumbnail(picture: Image.Image | NDArray[Any], *, edge_px: int = 224, max_bytes: int = 12_000) -> bytes:
    """Return a picture as a small JPEG file: quality first and then size give way until it fits.

    Args:
        picture: RGB, upright; or uint8 (height, width, 3), RGB, 0..255.
        edge_px: The longer edge. Smaller pictures are not enlarged.
        max_bytes: The size of the file. A picture of 48 px at the lowest quality is the least, about 1 kB.
    """
    image = Image.fromarray(np.asarray(picture)) if not isinstance(picture, Image.Image) else picture
    edge = min(edge_px, max(image.size))
    while True:
        small = _resize(image, edge)
        for quality in _QUALITIES:
            content = _encode(small, quality)
            if len(content) <= max_bytes:
                return content
        if edge <= _SMALLEST_EDGE_PX:
            return content
        edge = max(_SMALLEST_EDGE_PX, int(edge * _SHRINK))


def _resize(image: Image.Image, edge: int) -> Image.Image:
    scale = edge / max(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _encode(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()
