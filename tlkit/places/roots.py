"""Paths that a run has stored, which name a place or packed files where its images came from there."""

from __future__ import annotations

from pathlib import Path

from tlkit.places.copies import find_path, remember_copy
from tlkit.places.packed.patterns import is_packed
from tlkit.places.place import is_place


def find_root(text: str) -> Path:
    """Return the folder that a run names: a path, or the copy of what it names, whether it is there or not."""
    if not is_place(text) and not is_packed(text):
        return Path(text)
    if found := find_path(text):
        return found
    from tlkit.places.cache_root import default_cache_root

    if is_packed(text):
        from tlkit.places.packed.unpacking import locate_unpacked

        folder = locate_unpacked(text, default_cache_root())
    else:
        from tlkit.places.folders import locate_copy

        folder = locate_copy(text, default_cache_root())
    remember_copy(folder, text.rstrip("/"))
    return folder
