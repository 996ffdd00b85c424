"""How the studies divide data: those without test images of their own give a fifth, another one for each seed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tlkit.data.dataset import read_dataset
from tlkit.data.file_index import FileIndex
from tlkit.features.cache import default_cache_root
from tlkit.recipes import DataSettings

TEST_FRACTION = 0.2


def divide_for_test(path: Path, settings: DataSettings | None = None) -> DataSettings:
    """Return the settings by which a data set has test images, whichever seed divides it.

    Args:
        path: A folder of images or a table.
        settings: How it is read besides; None: by default.
    """
    settings = settings or DataSettings()
    manifest = read_dataset(path, settings, seed=0, index=FileIndex(default_cache_root()))
    if manifest.in_split("test"):
        return settings
    return dataclasses.replace(settings, test_fraction=TEST_FRACTION)
