"""Strip a PNG to the chunks that decoding needs, because Pillow refuses valid files with large text chunks."""

from __future__ import annotations

import zlib

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
