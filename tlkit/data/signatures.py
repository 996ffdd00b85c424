"""Recognize image files by suffix and by the first bytes of common formats."""

from __future__ import annotations

from pathlib import Path

# fmt: off
_READ_SUFFIXES = frozenset({
    ".apng", ".avif", ".avifs", ".bmp", ".cur", ".dds", ".dib", ".gif", ".icns", ".ico", ".j2c", ".j2k", ".jfif", ".jp2",
    ".jpc", ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".mpo", ".pbm", ".pcx", ".pfm", ".pgm", ".png", ".pnm", ".ppm",
    ".psd", ".qoi", ".sgi", ".tga", ".tif", ".tiff", ".webp", ".xbm", ".xpm",
})
_UNREAD_SUFFIXES = frozenset({
    ".3fr", ".arw", ".bpg", ".cr2", ".cr3", ".crw", ".dcm", ".dcr", ".djv", ".djvu", ".dng", ".emf", ".eps",
    ".erf", ".exr", ".fff", ".fit", ".fits", ".flif", ".gpr", ".heic", ".heics", ".heif", ".heifs", ".hif",
    ".iiq", ".jls", ".jpm", ".jxl", ".jxr", ".k25", ".kdc", ".kra", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".ora",
    ".orf", ".pct", ".pef", ".pict", ".psb", ".ptx", ".raf", ".ras", ".rgb", ".rgba", ".rw2", ".rwl", ".sr2", ".srf",
    ".srw", ".svg", ".svgz", ".wbmp", ".wdp", ".wmf", ".x3f", ".xcf",
})
# fmt: on
IMAGE_SUFFIXES = _READ_SUFFIXES | _UNREAD_SUFFIXES
"""Suffixes of image files, including unsupported formats, which are reported with a reason."""

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
_MEDIA_BRANDS = {b"avif": "AVIF", b"avis": "AVIF"}
_RAW = "a camera raw file"
_UNREAD_BRANDS = {b"crx ": f"{_RAW} (CR3)"} | dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "a HEIC picture"
)
_UNREAD_PREFIXES: tuple[tuple[bytes, str], ...] = (
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"FUJIFILMCCD-RAW", f"{_RAW} (RAF)"),
    (b"IIRO", f"{_RAW} (ORF)"),
    (b"IIRS", f"{_RAW} (ORF)"),
    (b"MMOR", f"{_RAW} (ORF)"),
    (b"IIU\x00", f"{_RAW} (RW2)"),
    (b"FOVb", f"{_RAW} (X3F)"),
    (b"\x00MRM", f"{_RAW} (MRW)"),
    (b"II\x1a\x00\x00\x00HEAPCCDR", f"{_RAW} (CRW)"),
    (b"II\xbc", "a JPEG XR picture"),
    (b"8BPS\x00\x02", "a PSB picture"),
    (b"%!PS", "a PostScript file"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript file"),
    (b"SIMPLE  =", "a FITS file"),
    (b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (b"#?RADIANCE", "a Radiance HDR picture"),
    (b"gimp xcf", "a GIMP picture"),
    (b"AT&TFORM", "a DjVu file"),
    (b"BPG\xfb", "a BPG picture"),
    (b"FLIF", "a FLIF picture"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
)
SIGNATURE_BYTES = 16
HEAD_BYTES = 1000


def find_signature(content: bytes) -> str | None:
    """Return the image format of the first `SIGNATURE_BYTES` bytes, or None."""
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


def find_unread_format(content: bytes) -> str | None:
    """Return the kind of file, with an article, if it starts like an image format that tlkit does not read."""
    for prefix, name in _UNREAD_PREFIXES:
        if content.startswith(prefix):
            return name
    if content[4:8] == b"ftyp":
        return _UNREAD_BRANDS.get(content[8:12])
    if content[8:11] == b"CR\x02":
        return f"{_RAW} (CR2)"
    if content[128:132] == b"DICM":
        return "a DICOM file"
    start = content[:1000].lstrip(b"\xef\xbb\xbf \t\r\n")
    return "an SVG drawing" if start.startswith(b"<svg") or (start.startswith(b"<?xml") and b"<svg" in start) else None


def looks_like_image(path: Path) -> bool:
    """Return whether a file has the suffix or first bytes of an image; an unreadable file is judged by its suffix."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            start = file.read(HEAD_BYTES)
            return find_signature(start) is not None or find_unread_format(start) is not None
    except OSError:
        return False
