"""Image files that other machines read, too."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tlkit.data.images import UnusableImage, read_content
from tlkit.errors import DataError


def can_read(path: Path, sha256: str | None = None) -> bool:
    """Return whether a file can be read, and has the hash that it had when it was checked, if it was."""
    try:
        content = read_content(path)
    except UnusableImage:
        return False
    return sha256 is None or hashlib.sha256(content).hexdigest() == sha256


def check_shared(path: Path, sha256: str | None, *, reason: str, host: str) -> None:
    """Check that a file which another host could not read cannot be read here either.

    Args:
        path: The file.
        sha256: Its hash when it was checked; None if it was not.
        reason: Why the other host could not read it.
        host: The other host.

    Raises:
        DataError: It can be read here.
    """
    if can_read(path, sha256):
        raise DataError(
            f"{host} does not see {path} as this machine does: {reason}.",
            expected="images in a folder that all nodes share, at the same path",
            fix="put the images on a file system that every node has mounted. What is computed is kept.",
        )
