"""Rows are added to a cache: what was there stays, what is there is right, and a second start completes it."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tlkit.errors import CacheError
from tlkit.features.cache import CacheSpec, FeatureCache, RowKey
from tlkit.features.folder import note_use

SPEC = CacheSpec("tiny", "0" * 64, "top", "avg", (8, 8), "squash", 1, "keras", "float32", "float16", (8,))
OLD, NEW = range(4), range(4, 10)


def make_keys(numbers: range) -> list[RowKey]:
    return [RowKey(hashlib.sha256(b"%d" % number).hexdigest(), "0") for number in numbers]


def make_features(numbers: range) -> NDArray[np.float32]:
    return np.array([np.full(8, number + 1, np.float32) for number in numbers])


def fill(folder: Path, numbers: range) -> None:
    cache = FeatureCache.open(folder, SPEC)
    note_use(cache.folder, Path("/data"), is_one_off=False)
    missing = [number for number, place in zip(numbers, cache.find(make_keys(numbers)), strict=True) if place < 0]
    with cache.writer(shard_bytes=1) as writer:
        for number in missing[::3]:
            part = range(number, min(number + 3, numbers.stop))
            writer.append(make_keys(part), make_features(part))


def prepare(folder: Path) -> None:
    fill(folder, OLD)


def act(folder: Path) -> None:
    with suppress(CacheError, OSError):
        fill(folder, NEW)


def check(folder: Path) -> None:
    cache = FeatureCache.open(folder, SPEC)
    everything = range(NEW.stop)
    places = cache.find(make_keys(everything))
    assert (places[: OLD.stop] >= 0).all()
    assert cache.damaged == {}
    known = np.flatnonzero(places >= 0)
    assert np.array_equal(cache.read(places[known]), make_features(everything)[known])
    fill(folder, NEW)
    cache = FeatureCache.open(folder, SPEC)
    assert np.array_equal(cache.read(cache.find(make_keys(everything))), make_features(everything))
