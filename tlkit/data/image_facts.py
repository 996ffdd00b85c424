"""Facts about an image file that can be used as metadata; see `tlkit.metadata.IMAGE_FACTS` for their names."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from tlkit.data.images import UnusableImage, open_picture, read_content
from tlkit.metadata.columns import IMAGE_FACTS

_MAKE, _MODEL = 271, 272
_PNG_EXIF = frozenset({"exif", "Raw profile type exif"})


def read_image_facts(content: bytes, *, width: int, height: int) -> dict[str, str]:
    """Return all IMAGE_FACTS of a file as text; unknown facts are empty.

    Args:
        content: The file's bytes; only the header is decoded.
        width: Upright width in pixels, 1 or more.
        height: Upright height in pixels, 1 or more.
    """
    format_name, mode, camera = _read_head(content)
    facts = {
        "image-width": str(width),
        "image-height": str(height),
        "image-aspect": f"{width / height:.4f}",
        "image-bytes": str(len(content)),
        "image-shape": f"{width}x{height}",
        "image-format": format_name,
        "image-mode": mode,
        "image-camera": camera,
    }
    return {name: facts[name] for name in IMAGE_FACTS}


def read_facts_of_files(files: Sequence[tuple[Path, int, int]]) -> list[dict[str, str]]:
    """Return facts for files given as (path, upright width, upright height), in order, read in threads.

    An unreadable file has empty facts.
    """

    def read(file: tuple[Path, int, int]) -> dict[str, str]:
        path, width, height = file
        try:
            return read_image_facts(read_content(path), width=width, height=height)
        except UnusableImage:
            return dict.fromkeys(IMAGE_FACTS, "")

    with ThreadPoolExecutor() as pool:
        return list(pool.map(read, files))


def _read_head(content: bytes) -> tuple[str, str, str]:
    """Return format, mode and camera."""
    try:
        with open_picture(content) as picture:
            return picture.format or "", picture.mode, _read_camera(picture)
    except Exception:  # noqa: BLE001 - damaged bytes raise anything; what the head does not tell stays unknown
        return "", "", ""


def _read_camera(picture: Image.Image) -> str:
    if picture.format == "PNG" and not _PNG_EXIF & picture.info.keys():
        # Pillow would decode the whole image, because EXIF may follow it.
        return ""
    try:
        exif = picture.getexif()
        words = [str(exif.get(tag) or "").strip("\0 ") for tag in (_MAKE, _MODEL)]
    except Exception:  # noqa: BLE001 - damaged EXIF raises anything, and is no reason to refuse the picture
        return ""
    return " ".join(" ".join(words).split())[:80]
