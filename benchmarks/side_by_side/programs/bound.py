"""What bounds precompute on this machine: how fast its loader decodes alone, and how fast its engine runs alone.

This is the one program that looks into tlkit: `make_load` and `make_engine` are the two places to change when the
loader or the engine does.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.side_by_side.job import run_job
from tlkit.backbones.catalogue import INT8
from tlkit.backbones.engines.base import Engine
from tlkit.data.image_file import ImageFile
from tlkit.data.images import read_content
from tlkit.features.allowed_engines import iterate_choices
from tlkit.features.calibration import CalibrationSample
from tlkit.features.engine_choice import Work
from tlkit.features.request import FeatureRequest
from tlkit.features.trunk_notes import TrunkRequest
from tlkit.features.trunks import describe_cache, open_trunk
from tlkit.recipes import BackboneSettings, ResolvedBackbone, resolve_backbone
from tlkit.reports.console import Console
from tlkit.runtime import start_keras

NUM_THREADS = 2
NUM_WARM_UP_BATCHES = 3
NUM_CALIBRATION_IMAGES = 64
MIN_SECONDS = 4.0

Pixels = NDArray[np.uint8]


def make_load(image_size: tuple[int, int]) -> Callable[[Path], Pixels]:
    """Return tlkit's loader, from a file to pixels."""
    return lambda path: ImageFile(read_content(path)).render(image_size=image_size, fit="squash")


def make_engine(settings: ResolvedBackbone, images: Pixels, scratch: Path) -> Engine:
    """Return the engine that precompute tries first for this network, or the one in int8, calibrated on images."""
    console = Console(verbosity=-1)
    trunk = open_trunk(TrunkRequest(settings, "avg", "top", 0), scratch, console)
    sample = CalibrationSample(images, None, True, ())
    work = Work(
        describe_cache(FeatureRequest(settings, "top"), trunk),
        trunk,
        scratch,
        0,
        load_calibration_sample=lambda: sample,
    )
    choice = work.calibrate(console) if settings.precision == INT8 else next(iterate_choices(settings))
    return work.make_engine(choice, warn=print)


def measure_bound(data: str, backbone: str, int8: bool) -> dict[str, Any]:
    """Return images a second of `decode`, of `forward`, and of the `bound` of both on the same cores, one by one."""
    start_keras()
    paths = sorted(path for path in Path(data).rglob("*") if path.is_file())
    settings = resolve_backbone(BackboneSettings(backbone, weights="random", precision=INT8 if int8 else "auto"))
    load = make_load(settings.image_size)
    images = np.stack([load(path) for path in paths[:NUM_CALIBRATION_IMAGES]])
    with tempfile.TemporaryDirectory() as scratch:
        engine = make_engine(settings, images, Path(scratch))
    batch = images[np.arange(engine.batch_size) % len(images)]
    decode_rate = _measure_decode(load, paths)
    forward_rate = _measure_forward(engine, batch)
    return {"decode": decode_rate, "forward": forward_rate, "bound": 1 / (1 / decode_rate + 1 / forward_rate)}


def _measure_decode(load: Callable[[Path], Pixels], paths: list[Path]) -> float:
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        start = time.perf_counter()
        for _ in pool.map(load, paths):
            pass
        return len(paths) / (time.perf_counter() - start)


def _measure_forward(engine: Engine, batch: Pixels) -> float:
    with ThreadPoolExecutor(engine.num_parallel) as pool:
        list(pool.map(engine.compute, [batch] * NUM_WARM_UP_BATCHES * engine.num_parallel))
        num_batches = 0
        start = time.perf_counter()
        while (seconds := time.perf_counter() - start) < MIN_SECONDS:
            list(pool.map(engine.compute, [batch] * engine.num_parallel))
            num_batches += engine.num_parallel
        return num_batches * len(batch) / seconds


if __name__ == "__main__":
    run_job(measure_bound)
