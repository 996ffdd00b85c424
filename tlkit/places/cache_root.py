"""Where caches lie on this machine, and the place that they are shared by, if TLKIT_CACHE is a URL."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from tlkit.errors import SettingError
from tlkit.places.place import Place, is_place, parse_place

_WORKING_COPIES = "shared"


def default_cache_root() -> Path:
    """Return $TLKIT_CACHE, or the platform's cache folder for tlkit; for a URL, the folder with its working copy.

    Raises:
        SettingError: The URL is of a kind that caches cannot be shared by.
    """
    named = os.environ.get("TLKIT_CACHE", "")
    if is_place(named):
        place = find_shared_cache()
        assert place is not None
        return Path(platformdirs.user_cache_dir("tlkit")) / _WORKING_COPIES / f"{place.name}-{place.identity}"
    return Path(named).expanduser().absolute() if named else Path(platformdirs.user_cache_dir("tlkit"))


def find_shared_cache() -> Place | None:
    """Return the place that $TLKIT_CACHE names; None if it is a folder or unset.

    Raises:
        SettingError: The URL is of a kind that caches cannot be shared by.
    """
    named = os.environ.get("TLKIT_CACHE", "")
    if not is_place(named):
        return None
    place = parse_place(named).folder
    if place.is_web:
        raise SettingError(
            f"TLKIT_CACHE is {place}: nothing can be written to a web server.",
            expected="a folder, or s3://, gs:// or az:// with a bucket",
            fix="set TLKIT_CACHE to one of them.",
        )
    return place
