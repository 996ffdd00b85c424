"""One part of `tlkit precompute`, by an engine that needs no network and takes its time, in small shards.

python -m tests.commands.slow_part DATA PART SECONDS: a note on the trunk must be in the cache.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tlkit.commands.precompute import PrecomputeOptions, run_precompute
from tlkit.data.parts import Part
from tlkit.data.views import ViewPlan
from tlkit.features import writer
from tlkit.features.allowed_engines import Choice
from tlkit.features.cache import FeatureCache
from tlkit.features.ensure import FeatureRows
from tlkit.recipes import BackboneSettings, DataSettings
from tlkit.reports.console import Console

SETTINGS = BackboneSettings(name="mnist_cnn", weights="random", image_size=32, engine="keras", precision="float32")
VIEWS = ViewPlan("standard", 2)


class SlowEngine:
    """Gives the first pixels of an image for its features."""

    batch_size = 2
    num_parallel = 1

    def __init__(self, shape: tuple[int, ...], seconds: float) -> None:
        self._shape, self._seconds = shape, seconds

    def compute(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        time.sleep(self._seconds)
        return np.stack([np.resize(image.astype(np.float32), self._shape) for image in images])


def precompute_slowly(data: Path, part: Part | None, seconds: float) -> None:
    def open_engine(rows: FeatureRows, console: Console) -> tuple[SlowEngine, FeatureCache]:
        spec = Choice("keras", "float32").describe(rows.spec)
        return SlowEngine(spec.feature_shape, seconds), FeatureCache.open(rows._cache_root, spec)

    FeatureRows.open_engine = open_engine  # type: ignore[method-assign,assignment]
    writer._FIRST_SHARD_SECONDS = 0.0
    options = PrecomputeOptions(views=VIEWS, part=part)
    quiet = Console(verbosity=-1)
    run_precompute(data, options, data_settings=DataSettings(), backbone_settings=SETTINGS, console=quiet)


if __name__ == "__main__":
    precompute_slowly(Path(sys.argv[1]), Part.parse(sys.argv[2]), float(sys.argv[3]))
