"""Images are known by their suffix or by their first bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tlkit.data.signatures import SIGNATURE_BYTES, find_signature, looks_like_image


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
