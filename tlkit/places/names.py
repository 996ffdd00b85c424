"""The names of objects as names of files: which can be taken as they are, and which are not copied."""

from __future__ import annotations

import os
import re

MAX_NAME_BYTES = 255
MAX_KEY_BYTES = 1024
_NOT_ON_WINDOWS = re.compile(r'[<>:"|?*\x00-\x1f]|[ .]$')


def is_hidden(key: str) -> bool:
    """Return whether one of a key's parts starts with a dot: tlkit ignores such files."""
    return any(part.startswith(".") and part.strip(".") for part in key.split("/"))


def is_placeholder(key: str, num_bytes: int) -> bool:
    """Return whether an object only stands for a folder, as consoles of object stores make them: `photos/`, empty."""
    return not key or key.endswith("/") or (num_bytes == 0 and "." not in key.rpartition("/")[2])


def find_name_problem(key: str) -> str | None:
    """Return why a key cannot be a path below a folder; None if it can.

    Args:
        key: Path with slashes, as the server gives it: it may be hostile.
    """
    parts = key.split("/")
    problem = None
    if any(part in {"", ".", ".."} for part in parts):
        problem = "an empty part, . or .. in its name"
    elif "\0" in key or "\\" in key:
        problem = "a backslash or a null character in its name"
    elif not _is_text(key):
        problem = "a name that is not UTF-8"
    elif len(key.encode()) > MAX_KEY_BYTES or any(len(part.encode()) > MAX_NAME_BYTES for part in parts):
        problem = "a name that is too long for a file"
    elif os.name == "nt" and any(_NOT_ON_WINDOWS.search(part) for part in parts):
        problem = "a name that Windows does not take"
    return problem


def _is_text(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True
