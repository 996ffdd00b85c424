"""Put files at a place."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tlkit.places.failures import ObjectError
from tlkit.places.retries import PassingError, try_again
from tlkit.places.stores import Store


class UploadError(Exception):
    """A file could not be put at a place, however often it was tried; the text is the reason."""


def put_file(store: Store, key: str, file: Path, *, only_new: bool = False) -> bool:
    """Store a file, tried again within limits; return False if `only_new` and there is such an object already.

    The object appears whole or not at all.

    Raises:
        UploadError: The place refuses, or fails again and again.
        PlaceError: There is no such bucket.
        OSError: The file cannot be read.
    """
    try:
        return try_again(partial(store.write, key, file, only_new=only_new))
    except (ObjectError, PassingError) as failure:
        raise UploadError(str(failure)) from failure
