"""What the studies have in common: data sets without test images of their own give a fifth, another one for each seed, and
differences between two arms are paired by seed.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from pathlib import Path

from tlkit.data.dataset import read_dataset
from tlkit.data.file_index import FileIndex
from tlkit.places.cache_root import default_cache_root
from tlkit.recipes import DataSettings

TEST_FRACTION = 0.2
T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262, 15: 2.145}
"""Student's t, two-sided, by the number of pairs, or the next lower one."""


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


def compute_t_interval(differences: Sequence[float]) -> tuple[float, float]:
    """Return the 95% interval of the mean of paired differences, at least two."""
    quantile = T_95[max(number for number in T_95 if number <= len(differences))]
    half = quantile * statistics.stdev(differences) / len(differences) ** 0.5
    mean = statistics.mean(differences)
    return mean - half, mean + half
