"""Every pixel mode becomes RGB 0..255, rightly scaled, over white."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tlkit.data.images import read_picture

Encode = Callable[..., bytes]


def write_png(rows: NDArray[np.uint16], color_type: int) -> bytes:
    """Return a 16-bit PNG file, of which Pillow itself writes grey only."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], 16, color_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\x00" + row.astype(">u2").tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def read_pixels(content: bytes) -> NDArray[np.uint8]:
    picture = read_picture(content)
    assert picture.mode == "RGB"
    return np.asarray(picture)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_16_bit_grey_is_scaled_not_clipped(file_format: str, encode: Encode) -> None:
    values = np.array([[0, 128, 129, 257], [25700, 32896, 65406, 65535]], np.uint16).repeat(8, 0).repeat(8, 1)
    pixels = read_pixels(encode(Image.fromarray(values), file_format))
    assert pixels[::8, ::8, 0].tolist() == [[0, 0, 1, 1], [100, 128, 254, 255]]
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])


def test_8_bit_grey_and_the_same_in_16_bits_are_equal(encode: Encode) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    deep = Image.fromarray(levels.astype(np.uint16) * 257)
    shallow = read_pixels(encode(Image.fromarray(levels), "PNG"))
    np.testing.assert_array_equal(read_pixels(encode(deep, "PNG")), shallow)


def test_12_bit_grey_is_scaled_by_its_own_range() -> None:
    # Two pixels of 12 bits: 0xFFF and 0x800.
    entries = [
        (256, 3, 2),
        (257, 3, 1),
        (258, 3, 12),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 134),
        (277, 3, 1),
        (278, 3, 1),
    ]
    entries.append((279, 4, 3))
    body = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    content = b"II*\x00" + struct.pack("<IH", 8, len(entries)) + body + struct.pack("<I", 0)
    content = content.ljust(134, b"\x00") + bytes([0xFF, 0xF8, 0x00])
    assert read_pixels(content)[0, :, 0].tolist() == [255, 128]


def test_16_bit_rgb_and_alpha_are_scaled() -> None:
    colors = np.array([[[0, 32896, 65535], [25700, 51400, 257]]], np.uint16)
    assert read_pixels(write_png(colors, color_type=2)).tolist() == [[[0, 128, 255], [100, 200, 1]]]
    clear = np.dstack([colors, np.array([[0, 65535]], np.uint16)])
    assert read_pixels(write_png(clear, color_type=6)).tolist() == [[[255, 255, 255], [100, 200, 1]]]
    grey_alpha = np.array([[[25700, 65535], [25700, 0]]], np.uint16)
    assert read_pixels(write_png(grey_alpha, color_type=4)).tolist() == [[[100] * 3, [255] * 3]]


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_pixels_without_an_agreed_range_are_stretched(dtype: type, encode: Encode) -> None:
    values: NDArray[np.generic] = (np.array([[-100, 0], [100, 300]]) * 1000).astype(dtype)
    pixels = read_pixels(encode(Image.fromarray(values), "TIFF"))
    assert pixels[..., 0].tolist() == [[0, 64], [128, 255]]


def test_float_pixels_that_are_no_numbers_count_as_the_least(encode: Encode) -> None:
    values = np.array([[np.nan, np.inf, -np.inf], [1.0, 2.0, 3.0]], np.float32)
    assert read_pixels(encode(Image.fromarray(values), "TIFF"))[..., 0].tolist() == [[0, 0, 0], [0, 128, 255]]
    extremes = np.array([[-3e38, 3e38]], np.float32)
    assert read_pixels(encode(Image.fromarray(extremes), "TIFF"))[..., 0].tolist() == [[0, 255]]
    for flat in (np.float32(7), np.float32(np.nan)):
        assert not read_pixels(encode(Image.fromarray(np.full((2, 2), flat)), "TIFF")).any()


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF", "ICO"])
def test_transparency_is_laid_over_white(file_format: str, encode: Encode) -> None:
    pixels = np.full((16, 16, 4), (200, 0, 0, 255), np.uint8)
    pixels[:, :8, 3] = 0
    pixels[:8, 8:, 3] = 128
    options: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True}, "ICO": {"sizes": [(16, 16)]}}
    result = read_pixels(encode(Image.fromarray(pixels), file_format, **options.get(file_format, {})))
    assert result[12, 4].tolist() == [255, 255, 255]
    assert result[4, 12].tolist() == [227, 127, 127]
    assert result[12, 12].tolist() == [200, 0, 0]


def test_grey_with_alpha_is_laid_over_white(encode: Encode) -> None:
    picture = Image.merge("LA", (Image.new("L", (4, 4), 100), Image.new("L", (4, 4), 0)))
    assert read_pixels(encode(picture, "PNG"))[0, 0].tolist() == [255, 255, 255]


def test_transparent_palettes_and_colour_keys_are_laid_over_white(quarters: Image.Image, encode: Encode) -> None:
    palette = quarters.quantize(4)
    red = int(np.asarray(palette)[4, 4])
    alphas = bytes(0 if entry == red else 255 for entry in range(4))
    for content in (
        encode(palette, "GIF", transparency=red),
        encode(palette, "PNG", transparency=red),
        encode(palette, "PNG", transparency=alphas),
        encode(quarters, "PNG", transparency=(220, 30, 30)),
    ):
        pixels = read_pixels(content)
        assert pixels[4, 4].tolist() == [255, 255, 255]
        assert pixels[4, 40].tolist() == [30, 180, 40]


@pytest.mark.parametrize(
    ("mode", "file_format", "tolerance"),
    [("CMYK", "JPEG", 6), ("CMYK", "TIFF", 0), ("P", "PNG", 0), ("YCbCr", "TIFF", 3), ("RGBX", "TIFF", 0)],
)
def test_other_modes_keep_their_colours(
    mode: str, file_format: str, tolerance: int, quarters: Image.Image, encode: Encode
) -> None:
    options = {"quality": 95} if file_format == "JPEG" else {}
    picture = quarters.quantize(8) if mode == "P" else quarters.convert(mode)
    pixels = read_pixels(encode(picture, file_format, **options)).astype(int)
    assert np.abs(pixels - np.asarray(quarters, int))[4:20, 4:28].max() <= tolerance


def test_lab_keeps_its_colours(quarters: Image.Image, encode: Encode) -> None:
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    lab = ImageCms.applyTransform(quarters, to_lab)
    assert lab is not None
    pixels = read_pixels(encode(lab, "TIFF")).astype(int)
    assert np.abs(pixels - np.asarray(quarters, int)).max() <= 8


def test_black_and_white_and_grey_are_read(encode: Encode) -> None:
    board = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8))
    for picture in (board, board.convert("1")):
        assert read_pixels(encode(picture, "PNG"))[..., 1].tolist() == [[0, 255], [255, 0]]
