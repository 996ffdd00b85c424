"""Images are known by their suffix or by their first bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tlkit.data.images import UnusableImage, check_image
from tlkit.data.signatures import SIGNATURE_BYTES, find_signature, find_unread_format, looks_like_image


@pytest.mark.parametrize(
    ("file_format", "name"),
    [
        ("JPEG", "JPEG"),
        ("PNG", "PNG"),
        ("GIF", "GIF"),
        ("BMP", "BMP"),
        ("TIFF", "TIFF"),
        ("WEBP", "WebP"),
        ("AVIF", "AVIF"),
        ("JPEG2000", "JPEG 2000"),
        ("QOI", "QOI"),
    ],
)
def test_formats_are_known_by_their_first_bytes(
    file_format: str, name: str, quarters: Image.Image, encode: Callable[..., bytes]
) -> None:
    assert find_signature(encode(quarters, file_format)[:SIGNATURE_BYTES]) == name


def test_other_bytes_are_no_signature() -> None:
    assert [find_signature(content) for content in (b"", b"BM", b"BMW is a car", b"RIFF....WAVE", b"%PDF-1.7")] == [
        None
    ] * 5


def test_a_file_looks_like_an_image_by_suffix_or_contents(
    tmp_path: Path, quarters: Image.Image, encode: Callable[..., bytes]
) -> None:
    (tmp_path / "photo").write_bytes(encode(quarters, "PNG"))
    (tmp_path / "notes.txt").write_text("no photo")
    assert looks_like_image(tmp_path / "photo")
    assert looks_like_image(tmp_path / "missing.JPG")
    assert not looks_like_image(tmp_path / "notes.txt")
    assert not looks_like_image(tmp_path / "missing.txt")


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
        (b"\xff\x0a", "a JPEG XL picture"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "a camera raw file (CR3)"),
        (b"FUJIFILMCCD-RAW 0201", "a camera raw file (RAF)"),
        (b"IIRO\x08\0\0\0", "a camera raw file (ORF)"),
        (b"IIU\0\x18\0\0\0", "a camera raw file (RW2)"),
        (b"II*\0\x10\0\0\0CR\x02\0", "a camera raw file (CR2)"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC picture"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (b"\n<svg/>", "an SVG drawing"),
        (bytes(128) + b"DICM", "a DICOM file"),
        (b"%PDF-1.7", None),
        (b"\0\0\0\x18ftypisom", None),
        (b"<html><svg/></html>", None),
    ],
)
def test_pictures_that_are_not_read_are_known_by_their_first_bytes(start: bytes, name: str | None) -> None:
    assert find_unread_format(start) == name
    if name:
        with pytest.raises(UnusableImage) as caught:
            check_image(start + bytes(200))
        assert caught.value.reason == f"{name}, which tlkit does not read; convert it to JPEG or PNG"


@pytest.mark.parametrize(
    "suffix", ["jxl", "CR3", "RAF", "arw", "NEF", "dng", "heic", "svg", "fits", "dcm", "eps", "exr"]
)
def test_every_file_that_claims_to_be_a_picture_looks_like_one(suffix: str) -> None:
    assert looks_like_image(Path(f"missing.{suffix}"))
