"""Write text safely to a terminal or a pipe: unsupported and control characters are escaped."""

from __future__ import annotations

import os
from typing import TextIO

ESCAPES = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))}


def is_terminal(stream: TextIO) -> bool:
    """Return whether `stream` is a terminal that can redraw lines."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")


def write_line(stream: TextIO, text: str) -> None:
    """Write `text` and a newline, with unsupported and control characters escaped."""
    stream.write(printable(text, stream.encoding or "utf-8") + "\n")
    stream.flush()


def printable(text: str, encoding: str = "utf-8") -> str:
    """Escape control characters, and characters that `encoding` lacks, with backslashes."""
    return text.translate(ESCAPES).encode(encoding, "backslashreplace").decode(encoding)
