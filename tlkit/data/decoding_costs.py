"""Estimate from an image's header what decoding costs, and share one memory budget among all decoding threads.

A file of a few kilobytes can declare 170 megapixels, or be a JPEG of sixty scans. Images that would take gigabytes or
minutes are refused before decoding; images that are merely large wait until there is memory for them.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image

from tlkit.interruption import is_interrupted

DECODING_BYTES = 2**30
"""Memory for all images that are being decoded at the same time."""
MAX_PIXELS = 180_000_000
"""Maximum pixels of an image; the largest cameras have 150 million, which is also about Pillow's limit."""
MAX_PIXEL_PASSES = 2**30
"""Maximum pixels of a JPEG times its scans: about ten seconds on one core."""
MAX_PIXELS_IN_PYTHON = 2**23
"""Maximum pixels for decoders written in Python, which take one to two microseconds a pixel."""

# Includes the decoder's own buffers; elsewhere Pillow stores a pixel of several bands in four bytes.
_BYTES_PER_PIXEL = {"WEBP": 16, "AVIF": 16, "JPEG2000": 20}
_ICON_FORMATS = frozenset({"ICO", "ICNS", "CUR"})
_JPEG_IN_TIFF = frozenset({6, 7})
_JPEG_PASS_BYTES = 6  # a JPEG of several scans is kept as coefficients, three of two bytes each
_MARKER = re.compile(rb"\xff+([^\x00\x01\xff\xd0-\xd7])")
_COMPRESSION, _SAMPLES, _BITS, _TILE_WIDTH, _TILE_LENGTH, _ROWS_PER_STRIP = 259, 277, 258, 322, 323, 278


class TooCostlyError(Exception):
    """Decoding would take too much memory or time; the message says which."""


class MemoryBudget:
    """A number of bytes that threads acquire and release; a request for more than is left waits.

    Args:
        num_bytes: The total.
    """

    def __init__(self, num_bytes: int) -> None:
        self._num_bytes = self._left = num_bytes
        self._changed = threading.Condition()

    @contextmanager
    def take(self, num_bytes: int) -> Iterator[None]:
        """Hold this many bytes, capped at the total, within the context.

        Raises:
            KeyboardInterrupt: The process was interrupted, so the image is no longer needed.
        """
        num_bytes = min(num_bytes, self._num_bytes)
        with self._changed:
            self._changed.wait_for(lambda: self._left >= num_bytes or is_interrupted())
            if is_interrupted():
                raise KeyboardInterrupt
            self._left -= num_bytes
        try:
            yield
        finally:
            with self._changed:
                self._left += num_bytes
                self._changed.notify_all()


budget = MemoryBudget(DECODING_BYTES)


def check_costs(picture: Image.Image, content: bytes, *, stored_pixels: int) -> int:
    """Return the bytes of memory that decoding an image takes.

    Args:
        picture: Opened, not decoded yet; a JPEG may be set to decode at a reduced size.
        content: The file's bytes.
        stored_pixels: The number of pixels in the file.

    Raises:
        TooCostlyError: Decoding takes more than `DECODING_BYTES`, or too long.
    """
    pixels = picture.width * picture.height
    if max(pixels, stored_pixels) > MAX_PIXELS:
        raise TooCostlyError(f"decompression bomb: {max(pixels, stored_pixels):,} pixels")
    num_bytes = pixels * _BYTES_PER_PIXEL.get(picture.format or "", 4 if len(picture.getbands()) > 1 else 1)
    if picture.mode in ("I", "F"):
        num_bytes = 4 * pixels
    if picture.format in _ICON_FORMATS:
        num_bytes = DECODING_BYTES  # an icon may contain a PNG that is larger than its header says
    elif picture.format == "TIFF":
        num_bytes += _check_tiff(picture, content, pixels)
    elif picture.format in ("JPEG", "MPO"):
        num_scans = count_scans(content, start=getattr(picture, "offset", 0))
        if num_scans * stored_pixels > MAX_PIXEL_PASSES:
            raise TooCostlyError(
                f"a JPEG of {_megapixels(stored_pixels)} in {num_scans} scans takes too long to decode"
            )
        num_bytes += _JPEG_PASS_BYTES * stored_pixels if num_scans > 1 else 0
    if pixels > MAX_PIXELS_IN_PYTHON and any(tile[0] in Image.DECODERS for tile in getattr(picture, "tile", ())):
        raise TooCostlyError(f"{_megapixels(pixels)} of {picture.format} take too long to decode")
    if num_bytes > DECODING_BYTES:
        raise TooCostlyError(f"{_megapixels(pixels)} of {picture.format} take more than 1 GiB to decode")
    return num_bytes


def count_scans(content: bytes, *, start: int = 0) -> int:
    """Return a JPEG's number of scans: 1 for a baseline JPEG, about 10 for a progressive one.

    Args:
        content: The file's bytes.
        start: Offset of the JPEG in `content`.
    """
    position, num_scans = start + 2, 0
    whole_scan = b""  # the header of a scan with all components of a JPEG that is not progressive
    while found := _MARKER.search(content, position):
        marker, position = found[1][0], found.end()
        if marker == 0xD9:
            break
        if 0xC0 <= marker <= 0xC2:
            whole_scan = content[position + 7 : position + 8] if marker != 0xC2 else b""
        if marker == 0xDA:
            num_scans += 1
            if num_scans == 1 and whole_scan and content[position + 2 : position + 3] == whole_scan:
                break  # the decoder stops at its end
        position += int.from_bytes(content[position : position + 2])
    return num_scans


def _check_tiff(picture: Any, content: bytes, pixels: int) -> int:
    """Return the size of a strip or tile in bytes; each is decoded as a whole.

    Raises:
        TooCostlyError: The strips are too large, or are JPEGs of many scans.
    """
    tags = picture.tag_v2
    tile_width, tile_length = tags.get(_TILE_WIDTH), tags.get(_TILE_LENGTH)
    if not (tile_width and tile_length):
        tile_width, tile_length = picture.width, min(tags.get(_ROWS_PER_STRIP) or picture.height, picture.height)
    tile_pixels = tile_width * tile_length
    if tags.get(_COMPRESSION) in _JPEG_IN_TIFF and max(pixels, tile_pixels) > MAX_PIXEL_PASSES // 64:
        num_tiles = -(-pixels // max(1, tile_pixels))
        if b"\xff\xc2" in content or content.count(b"\xff\xda") > 4 * num_tiles:
            raise TooCostlyError(f"a TIFF of {_megapixels(pixels)} in JPEG scans takes too long to decode")
    num_bytes = tile_pixels * (tags.get(_SAMPLES) or 1) * max(tags.get(_BITS) or (8,)) // 8
    if num_bytes > DECODING_BYTES:
        raise TooCostlyError(f"a TIFF in tiles of {_megapixels(tile_pixels)} takes more than 1 GiB to decode")
    return int(num_bytes)


def _megapixels(pixels: int) -> str:
    return f"{pixels / 1e6:.0f} megapixels"
