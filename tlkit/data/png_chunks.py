"""Pare a PNG down to what its picture needs: Pillow refuses a sound one for the size of the text that goes with it."""

from __future__ import annotations

import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_TEXT_BYTES = 2**16
_PICTURE = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_ORIENTATION = frozenset({b"eXIf", b"tEXt", b"iTXt"})  # the last two as XMP or a raw EXIF profile


def keep_essential_chunks(content: bytes) -> bytes:
    """Return a PNG without the chunks that its picture does not need, and without what comes behind its end.

    Kept are the pixels with palette and transparency, and what may hold an EXIF orientation, where it is small and
    its checksum right. What is no PNG is returned as it is.
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
