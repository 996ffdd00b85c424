"""Paths that a run has stored, which name a place where its images were copied from one."""

from __future__ import annotations

from pathlib import Path

from tlkit.places.copies import find_path, remember_copy
from tlkit.places.place import is_place


def find_root(text: str) -> Path:
    """Return the folder that a run names: a path, or the copy of a place, whether it is there or not."""
    if not is_place(text):
        return Path(text)
    if found := find_path(text):
        return found
    from tlkit.places.cache_root import default_cache_root
    from tlkit.places.folders import locate_copy

    folder = locate_copy(text, default_cache_root())
    remember_copy(folder, text.rstrip("/"))
    return folder
