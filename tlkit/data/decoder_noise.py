"""Keep decoder messages about damaged files off standard error; skipped.csv gives the reason instead."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import re
import warnings
import zlib
from pathlib import Path

import PIL

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_TEXT_BYTES = 2**16
_PICTURE = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_ORIENTATION = frozenset({b"eXIf", b"tEXt", b"iTXt"})  # text chunks can contain XMP or a raw EXIF profile


def keep_essential_chunks(content: bytes) -> bytes:
    """Return a PNG without unneeded chunks and without data after its end.

    It keeps pixels, palette, transparency, and small chunks with a correct checksum that may contain the EXIF
    orientation. Content that is not a PNG is returned unchanged.
    """
    if not content.startswith(SIGNATURE):
        return content
    parts, position = [SIGNATURE], len(SIGNATURE)
    while position < len(content):
        kind = content[position + 4 : position + 8]
        end = position + 12 + int.from_bytes(content[position : position + 4])
        if kind in _PICTURE or (kind in _ORIENTATION and _is_small_and_sound(content[position:end])):
            parts.append(content[position:end])
        if kind == b"IEND":
            break
        position = end
    return b"".join(parts)


def _is_small_and_sound(chunk: bytes) -> bool:
    is_compressed = chunk[4:8] == b"iTXt" and chunk[8:].partition(b"\0")[2][:1] != b"\0"
    is_sound = zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:])
    return len(chunk) <= MAX_TEXT_BYTES and is_sound and not is_compressed


_PILLOW_MODULES = re.compile(r"PIL\.")


def silence_decoders() -> None:
    """Silence Pillow and its libtiff; cheap, and safe to call in any thread before each decode.

    `warnings.catch_warnings` is not thread-safe, so the filter stays once it is set. It covers warnings raised in
    Pillow's own code; deprecation warnings, which point at the caller, are still shown.
    """
    _silence_log_and_libtiff()
    if ("ignore", None, Warning, _PILLOW_MODULES, 0) not in warnings.filters:
        warnings.filterwarnings("ignore", module=_PILLOW_MODULES.pattern)


@functools.cache
def _silence_log_and_libtiff() -> None:
    # Python prints a library's log messages to standard error unless its logger has a handler.
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    package = Path(PIL.__file__).parent
    bundled = [*package.parent.glob("pillow.libs/libtiff-*.so*"), *package.glob(".dylibs/libtiff*.dylib")]
    for library in bundled:
        # libtiff prints errors unless its process-wide handler is removed. Some builds of Pillow do not expose it; then
        # the messages are shown, which does no other harm.
        with contextlib.suppress(OSError, AttributeError):
            set_error_handler = ctypes.CDLL(str(library)).TIFFSetErrorHandler
            set_error_handler.argtypes, set_error_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            set_error_handler(None)
