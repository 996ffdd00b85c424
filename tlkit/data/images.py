"""The image decoder: from a file's bytes to an upright RGB picture, which `image_file` renders for the network.

Any change to these pixels, here or there, must raise LOADER_VERSION, which is part of every cache key and every saved
model.
"""

from __future__ import annotations

import contextlib
import io
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from tlkit.data.decoder_noise import keep_essential_chunks, silence_decoders
from tlkit.data.decoding_costs import TooCostlyError, budget, check_costs
from tlkit.data.deep_grey import BrighterThanWhiteError, choose_scale, measure_grey
from tlkit.data.pages import NoFullPageError, find_page
from tlkit.data.pixel_modes import convert_to_rgb
from tlkit.data.signatures import find_signature, find_unread_format
from tlkit.outputs import GreyRange

LOADER_VERSION = 2
MAX_FILE_BYTES = 2**30

# fmt: off
READABLE_FORMATS = (
    "JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "CUR", "DDS", "DIB", "ICNS", "ICO", "JPEG2000", "PCX", "PPM",
    "PSD", "QOI", "SGI", "TGA", "XBM", "XPM",
)
# fmt: on
"""Pillow's names of the supported formats, frequent ones first; an MPO opens as JPEG.

Its other formats are not for photos: they run external programs (EPS), decode in Python (FITS) or are little tested.
"""
_PAGED_FORMATS = frozenset({"TIFF", "MPO"})
_LARGE_PIXELS = 2**24
_MAKE, _MODEL, _ORIENTATION, _DATE_TIME = 271, 272, 274, 306  # EXIF tags
_EXIF_IFD, _DATE_TIME_ORIGINAL, _DATE_TIME_DIGITIZED = 34665, 36867, 36868
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnusableImage(Exception):  # noqa: N818 - it names the file's condition, which is expected, not an error
    """A file that cannot be decoded as an image; `reason` says why in a few words, without a full stop."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class ImageFacts:
    """Facts found by decoding an image.

    Attributes:
        width: Upright width in pixels.
        height: Upright height in pixels.
        orientation: EXIF orientation, 1..8; 1 if there is none.
        format: Pillow's name of the format.
        mode: Pillow's name of the mode.
        grey: Minimum and maximum of grey of more than 8 bits; None for other images.
        camera: Make and model from EXIF; empty if there are none.
        taken: When the photo was taken, from EXIF, by the camera's clock; None if that is not known.
    """

    width: int
    height: int
    orientation: int
    format: str
    mode: str
    grey: GreyRange | None = None
    camera: str = ""
    taken: datetime | None = None


@dataclass(frozen=True)
class DecodedImage:
    """An upright RGB picture, perhaps reduced, and the facts of the whole image."""

    picture: Image.Image
    facts: ImageFacts


Scale = tuple[tuple[int, int], tuple[int, int] | None]
"""The size that the decoder was asked for, and, for a very large image, the minimum (height, width) after reduction."""


def decode_image(
    content: bytes,
    *,
    target: tuple[int, int] | None = None,
    grey: Sequence[GreyRange] = (),
    known: dict[Scale, DecodedImage] | None = None,
) -> DecodedImage:
    """Decode an image file: upright, RGB, transparency over white, the first frame of an animation.

    All decoding threads share one memory budget, and wait for their part of it.

    Args:
        content: The file's bytes.
        target: (height, width) in pixels to which the image will be resized. A JPEG, and any very large image, is then
            decoded at a half, a quarter or an eighth of its size, as long as both edges stay at least twice the
            target's.
        grey: The ranges for grey of more than 8 bits, one per kind. A kind without one is scaled by the image's own
            range.
        known: What has been decoded from this content with these ranges so far. A scale in it is not decoded again; a
            new one is added.

    Raises:
        UnusableImage: The bytes cannot be decoded.
    """
    smallest = None if target is None else (2 * target[0], 2 * target[1])
    return _decode(content, smallest, grey, {} if known is None else known)


def read_picture(
    content: bytes, *, target: tuple[int, int] | None = None, grey: Sequence[GreyRange] = ()
) -> Image.Image:
    """Decode an image file and return only the picture; see `decode_image`."""
    return decode_image(content, target=target, grey=grey).picture


def check_image(content: bytes) -> ImageFacts:
    """Decode an image file completely, as cheaply as possible, to check that it can be used.

    Raises:
        UnusableImage: The bytes cannot be decoded.
    """
    return _decode(content, (1, 1), (), {}).facts


def read_content(path: Path) -> bytes:
    """Return a file's bytes.

    Raises:
        UnusableImage: The file is missing, unreadable, or not an image (a folder, a pipe, over 1 GiB).
    """
    try:
        status = path.stat()
        # Opening a pipe would block forever.
        if not stat.S_ISREG(status.st_mode):
            raise UnusableImage("a folder, not a file" if stat.S_ISDIR(status.st_mode) else "not a regular file")
        if status.st_size > MAX_FILE_BYTES:
            raise UnusableImage("larger than 1 GiB")
        return path.read_bytes()
    except FileNotFoundError:
        raise UnusableImage("no such file") from None
    except MemoryError as error:
        raise UnusableImage("more bytes than memory can hold") from error
    except (OSError, ValueError) as error:
        raise UnusableImage(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error


@contextlib.contextmanager
def open_picture(content: bytes) -> Iterator[Image.Image]:
    """Open an image file at its main page, without decoding it. Damaged bytes may raise any exception."""
    silence_decoders()
    with Image.open(io.BytesIO(content), formats=READABLE_FORMATS) as picture:
        number = find_page(picture) if picture.format in _PAGED_FORMATS else None
        if number is None or not getattr(picture, "is_animated", False):
            yield picture
            return
    with Image.open(io.BytesIO(content), formats=READABLE_FORMATS) as picture:
        picture.seek(number)
        yield picture


def _decode(
    content: bytes, smallest: tuple[int, int] | None, grey: Sequence[GreyRange], known: dict[Scale, DecodedImage]
) -> DecodedImage:
    """Return the upright RGB picture and its facts; `smallest` is the minimum (height, width) after reduction."""
    if not content:
        raise UnusableImage("empty file")
    try:
        try:
            return _decode_content(content, smallest, grey, known)
        except Exception:
            essential = keep_essential_chunks(content)
            if len(essential) == len(content):
                raise
            return _decode_content(essential, smallest, grey, known)
    except Exception as error:  # on damaged bytes Pillow raises any exception, from struct.error to IndexError
        raise UnusableImage(explain(content, error)) from error


def _decode_content(
    content: bytes, smallest: tuple[int, int] | None, grey: Sequence[GreyRange], known: dict[Scale, DecodedImage]
) -> DecodedImage:
    with open_picture(content) as picture:
        mode, (width, height) = picture.mode, picture.size
        is_jpeg = picture.format in ("JPEG", "MPO")
        if smallest is not None and is_jpeg:
            picture.draft(mode, _turn_as_stored(smallest, picture)[::-1])
        opened_size, target_size = picture.size, smallest or (0, 0)
        before = known.get((opened_size, None)) or known.get((opened_size, target_size))
        if before is not None:
            return before
        with budget.take(check_costs(picture, content, stored_pixels=width * height)):
            picture.load()
            if not is_jpeg:  # some formats know their true size only now: an icon has several images
                width, height = picture.size
            measured = measure_grey(picture)
            scale = None if measured is None else choose_scale(measured, grey)
            is_large = picture.width * picture.height > _LARGE_PIXELS
            rgb = _reduce_to_rgb(picture, smallest, scale) if is_large and smallest else convert_to_rgb(picture, scale)
            orientation, camera, taken = read_orientation(picture), _read_camera(picture), _read_time(picture)
    rgb = turn_upright(rgb, orientation)
    if orientation >= 5:
        width, height = height, width
    facts = ImageFacts(width, height, orientation, picture.format or "unknown", mode, measured, camera, taken)
    decoded = DecodedImage(rgb, facts)
    known[opened_size, target_size if is_large else None] = decoded
    return decoded


def _reduce_to_rgb(picture: Image.Image, smallest: tuple[int, int], scale: GreyRange | None) -> Image.Image:
    """Convert a very large decoded picture to RGB, reduced strip by strip to a half, quarter or eighth."""
    height, width = _turn_as_stored(smallest, picture)
    room = min(picture.height // height, picture.width // width)
    factor = next((factor for factor in (8, 4, 2) if factor <= room), 1)
    reduced = Image.new("RGB", (-(-picture.width // factor), -(-picture.height // factor)))
    num_rows = 8 * max(1, _LARGE_PIXELS // 64 // picture.width)
    for top in range(0, picture.height, num_rows):
        strip = picture.crop((0, top, picture.width, min(picture.height, top + num_rows)))
        reduced.paste(convert_to_rgb(strip, scale).reduce(factor), (0, top // factor))
    return reduced


def turn_upright(picture: Image.Image, orientation: int) -> Image.Image:
    """Rotate and flip a picture by its EXIF orientation, 1..8."""
    return picture.transpose(_UPRIGHT[orientation]) if orientation > 1 else picture


def _turn_as_stored(size: tuple[int, int], picture: Image.Image) -> tuple[int, int]:
    """Convert an upright (height, width) to the size as stored in the file, which may be rotated."""
    return size[::-1] if read_orientation(picture) >= 5 else size


def read_orientation(picture: Image.Image) -> int:
    """Return the EXIF orientation, 1..8; 1 if it is missing or unreadable."""
    try:
        orientation = picture.getexif().get(_ORIENTATION)
    except Exception:  # noqa: BLE001 - damaged EXIF raises anything, too, and is no reason to refuse the picture
        return 1
    return orientation if orientation in _UPRIGHT else 1


def _read_camera(picture: Image.Image) -> str:
    """Return the camera's make and model, at most 80 characters; empty if they are missing or unreadable."""
    try:
        exif = picture.getexif()
        words = [str(exif.get(tag) or "").strip("\0 ") for tag in (_MAKE, _MODEL)]
    except Exception:  # noqa: BLE001 - as above
        return ""
    return " ".join(" ".join(words).split())[:80]


def _read_time(picture: Image.Image) -> datetime | None:
    """Return when the photo was taken; None if that is missing or unreadable."""
    try:
        exif = picture.getexif()
        detail = exif.get_ifd(_EXIF_IFD)
        text = detail.get(_DATE_TIME_ORIGINAL) or detail.get(_DATE_TIME_DIGITIZED) or exif.get(_DATE_TIME)
        return datetime.strptime(str(text).strip("\0 "), "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007 - cameras know no zone
    except Exception:  # noqa: BLE001 - as above
        return None


def explain(content: bytes, error: Exception) -> str:
    """Return the reason, in words, why decoding `content` failed with `error`."""
    message = " ".join(str(error).split())
    if isinstance(error, (TooCostlyError, NoFullPageError, BrighterThanWhiteError)):
        return message
    if isinstance(error, Image.DecompressionBombError):
        found = re.search(r"\((\d+) pixels\)", message)
        return f"decompression bomb: {int(found[1]):,} pixels" if found else "decompression bomb"
    if isinstance(error, MemoryError):
        return "more pixels than memory can hold"
    unread = find_unread_format(content)
    if unread:
        return f"{unread}, which tlkit does not read; convert it to JPEG or PNG"
    signature = find_signature(content)
    if isinstance(error, UnidentifiedImageError):
        return f"damaged or truncated {signature} file" if signature else "not an image"
    name = f"{signature} file" if signature else "image file"
    webp_is_short = signature == "WebP" and int.from_bytes(content[4:8], "little") + 8 > len(content)
    if isinstance(error, EOFError) or "truncated" in message.lower() or webp_is_short:
        return f"truncated {name}"
    return f"damaged {name}: {message[:100] or type(error).__name__}"
