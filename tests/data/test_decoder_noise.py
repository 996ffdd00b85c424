"""What decoders say about damaged files is not printed."""

from __future__ import annotations

import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from tlkit.data.decoder_noise import keep_essential_chunks, silence_decoders
from tlkit.data.images import UnusableImage, check_image, read_picture


def test_libtiff_prints_nothing(encode: Callable[..., bytes], capfd: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    content = bytearray(encode(Image.fromarray(noise), "TIFF", compression="tiff_adobe_deflate"))
    content[40:400] = bytes(360)
    with pytest.raises(UnusableImage):
        check_image(bytes(content))
    assert capfd.readouterr().err == ""


def test_pillow_logs_nothing_to_standard_error() -> None:
    # pytest handles log messages, so that this shows only in a process without it.
    code = (
        "import logging; from tlkit.data.decoder_noise import silence_decoders; silence_decoders();"
        "logging.getLogger('PIL.TiffImagePlugin').error('More samples per pixel than can be decoded')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr == ""


def test_pillows_warnings_are_ignored_and_others_are_not() -> None:
    silence_decoders()
    silence_decoders()
    warnings.warn_explicit("Truncated File Read", UserWarning, "TiffImagePlugin.py", 1, module="PIL.TiffImagePlugin")
    with pytest.raises(UserWarning, match="look here"):
        warnings.warn_explicit("look here", UserWarning, "images.py", 1, module="tlkit.data.images")


Encode = Callable[..., bytes]


def chunk(kind: bytes, data: bytes, checksum: int | None = None) -> bytes:
    found = zlib.crc32(kind + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", found)


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"zTXt", b"XML:com.adobe.xmp\0\0" + zlib.compress(bytes(2_000_000))),
        chunk(b"iTXt", b"parameters\0\1\0\0\0" + zlib.compress(bytes(2_000_000))),
        chunk(b"tEXt", b"parameters\0" + b"y" * 2_000_000),
        chunk(b"tEXt", b"a\0b") * 500,
        chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000))) * 70,
        chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(20_000_000))),
        chunk(b"tEXt", b"a\0b", checksum=1),
        chunk(b"eXIf", b"II*\0", checksum=1),
        chunk(b"teST", b"unknown", checksum=1),
    ],
)
@pytest.mark.parametrize("place", ["before", "behind"])
def test_a_sound_picture_is_read_whatever_goes_with_it(
    extra: bytes, place: str, quarters: Image.Image, encode: Encode
) -> None:
    content = encode(quarters, "PNG")
    at = 33 if place == "before" else len(content) - 12
    picture = read_picture(content[:at] + extra + content[at:])
    np.testing.assert_array_equal(np.asarray(picture), np.asarray(quarters))


def test_the_orientation_survives_the_paring(encode: Encode) -> None:
    exif = Image.Exif()
    exif[274] = 6
    content = encode(Image.new("RGB", (30, 20)), "PNG", exif=exif)
    bomb = chunk(b"zTXt", b"XML:com.adobe.xmp\0\0" + zlib.compress(bytes(2_000_000)))
    facts = check_image(content[:33] + bomb + content[33:])
    assert (facts.width, facts.height, facts.orientation) == (20, 30, 6)


def test_a_damaged_picture_stays_refused(quarters: Image.Image, encode: Encode) -> None:
    content = encode(quarters.quantize(8), "PNG", transparency=0)
    for kind in (b"PLTE", b"tRNS"):
        damaged = bytearray(content)
        damaged[content.index(kind) + 4] ^= 1
        with pytest.raises(UnusableImage):
            check_image(bytes(damaged))


def test_what_is_no_png_stays_as_it_is(quarters: Image.Image, encode: Encode) -> None:
    for file_format in ("JPEG", "GIF"):
        content = encode(quarters, file_format)
        assert keep_essential_chunks(content) is content
