"""Invent cached rows for a folder of pictures, or copy real ones: what the head and its rivals are trained on.

A cache is described by its own `cache.json`, which `tlkit precompute` wrote for the first few pictures, so rows that are
added here are found by `tlkit finetune` whatever the description consists of.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.side_by_side.job import run_job
from tlkit.features.cache import FeatureCache, RowKey
from tlkit.features.folder import read_spec

VIEW_0 = "0"
SPLITS = {"train": "", "validation": "validation_", "test": "test_"}
ROWS_AT_ONCE = 4_096
# Small enough beside the noise that not everybody gets everything right.
DISTANCE_OF_CLASSES = 0.12


def write_arrays(data: str, cache: str, target: str, invents: bool) -> dict[str, Any]:
    """Write the features and labels of a folder's splits to `target`, an `.npz`; first invent them if they are to be.

    Args:
        data: Folder with train, validation and perhaps test, each with a folder for each class.
        cache: The cache's folder.
        target: Gets `x`, float32 (n, width), and `y`, int64 (n,), of train; `validation_x` and so on of the others.
        invents: Whether rows are invented, clusters in a cloud of noise; those of the cache are taken otherwise.
    """
    folder = Path(cache)
    spec = read_spec(folder)
    if invents:
        # What users have; the features of random weights, of which the few first rows are, are too small for it.
        spec = dataclasses.replace(spec, dtype="float16")
    opened = FeatureCache.open(folder.parents[1], spec)
    class_names = sorted(path.name for path in (Path(data) / "train").iterdir() if path.is_dir())
    arrays: dict[str, NDArray[Any]] = {}
    for number, (split, prefix) in enumerate(SPLITS.items()):
        paths = sorted(path for path in (Path(data) / split).rglob("*") if path.is_file())
        labels = np.array([class_names.index(path.parent.name) for path in paths], np.int64)
        rows = [RowKey(hashlib.sha256(path.read_bytes()).hexdigest(), VIEW_0) for path in paths]
        if invents:
            add_rows(opened, rows, invent_features(labels, opened.spec.feature_shape[0], seed=number))
        arrays[f"{prefix}x"] = opened.read(opened.find(rows)).astype(np.float32)
        arrays[f"{prefix}y"] = labels
    np.savez(target, **arrays)  # type: ignore[arg-type]
    return {"rows": len(arrays["x"])}


def invent_features(labels: NDArray[np.int64], width: int, *, seed: int) -> NDArray[np.float32]:
    """Return features, float32 (n, width): those of a class lie around its own centre."""
    centres = np.random.default_rng(0).normal(size=(int(labels.max(initial=0)) + 1, width), scale=DISTANCE_OF_CLASSES)
    noise = np.random.default_rng([1, seed]).standard_normal((len(labels), width), dtype=np.float32)
    return (centres[labels] + noise).astype(np.float32)


def add_rows(cache: FeatureCache, rows: list[RowKey], features: NDArray[np.float32]) -> None:
    """Add the rows that the cache lacks."""
    missing = np.flatnonzero(cache.find(rows) < 0)
    with cache.writer() as writer:
        for start in range(0, len(missing), ROWS_AT_ONCE):
            chosen = missing[start : start + ROWS_AT_ONCE]
            writer.append([rows[index] for index in chosen], features[chosen])


if __name__ == "__main__":
    run_job(write_arrays)
