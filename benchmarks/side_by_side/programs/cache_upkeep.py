"""What a cache of many rows costs: open it, look all rows up, verify it. The rows are invented and narrow."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.side_by_side.job import run_job
from tlkit.features.cache import FeatureCache, RowKey
from tlkit.features.folder import read_spec
from tlkit.features.upkeep import verify_cache

WIDTH = 64
ROWS_AT_ONCE = 4_096


def measure_cache(like: str, root: str, rows: int) -> dict[str, Any]:
    """Write a cache of `rows` rows and return the seconds of `write`, `open`, `find` (all rows) and `verify`.

    Args:
        like: Folder of any cache, whose description is taken over, all but the width of its rows.
        root: The cache root, an empty folder.
        rows: How many.
    """
    # The first use of the libraries below is slow; this one does not count.
    verify_cache(FeatureCache.open(Path(like).parents[1], read_spec(Path(like))).folder, advance=lambda count: None)
    spec = dataclasses.replace(read_spec(Path(like)), feature_shape=(WIDTH,), dtype="float16")
    keys = [RowKey(hashlib.sha256(str(number).encode()).hexdigest(), "0") for number in range(rows)]
    features = np.random.default_rng(0).standard_normal((ROWS_AT_ONCE, WIDTH), dtype=np.float32)
    times = [time.perf_counter()]

    with FeatureCache.open(Path(root), spec).writer() as writer:
        for start in range(0, rows, ROWS_AT_ONCE):
            chosen = keys[start : start + ROWS_AT_ONCE]
            writer.append(chosen, features[: len(chosen)])
    times.append(time.perf_counter())
    cache = FeatureCache.open(Path(root), spec)
    times.append(time.perf_counter())
    positions = cache.find(keys)
    times.append(time.perf_counter())
    report = verify_cache(cache.folder, advance=lambda count: None)
    times.append(time.perf_counter())

    assert (positions >= 0).all()
    assert report.num_rows == rows
    shutil.rmtree(root)
    return dict(zip(("write", "open", "find", "verify"), np.diff(times).tolist(), strict=True))


if __name__ == "__main__":
    run_job(measure_cache)
