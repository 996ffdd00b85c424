"""What an image file looks like from outside: its usual suffixes, and the first bytes of the common formats."""

from __future__ import annotations

from pathlib import Path

# fmt: off
IMAGE_SUFFIXES = frozenset({
    ".apng", ".avif", ".avifs", ".bmp", ".cur", ".dds", ".dib", ".gif", ".heic", ".heif", ".icns", ".ico", ".j2k",
    ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".jpx", ".mpo", ".pbm", ".pcx", ".pfm", ".pgm", ".png", ".pnm",
    ".ppm", ".psd", ".qoi", ".sgi", ".tga", ".tif", ".tiff", ".webp", ".xbm", ".xpm",
})
# fmt: on

_PREFIXES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"qoif", "QOI"),
    (b"8BPS", "PSD"),
)
_MEDIA_BRANDS = {b"avif": "AVIF", b"avis": "AVIF"} | dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIC"
)
SIGNATURE_BYTES = 16


def find_signature(content: bytes) -> str | None:
    """Return the name of the image format that the first `SIGNATURE_BYTES` bytes announce, or None."""
    for prefix, name in _PREFIXES:
        if content.startswith(prefix):
            return name
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WebP"
    if content[4:8] == b"ftyp":
        return _MEDIA_BRANDS.get(content[8:12])
    if content[:2] == b"BM" and content[6:10] == b"\x00\x00\x00\x00":
        return "BMP"
    return None


def looks_like_image(path: Path) -> bool:
    """Tell whether a file has the suffix or the first bytes of an image; an unreadable file goes by its suffix."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return find_signature(file.read(SIGNATURE_BYTES)) is not None
    except OSError:
        return False
