from __future__ import annotations

import dataclasses
import errno
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tlkit.errors import CacheError, NumericsError
from tlkit.features.cache import FeatureCache
from tlkit.features.shards import PARTIAL_PATTERN, SHARD_PATTERN
from tlkit.features.spec import CacheSpec
from tlkit.features.writer import SHARD_COPIES

if TYPE_CHECKING:
    from tests.features.conftest import Rows

SHAPE = (2, 3)


def count_shards(cache: FeatureCache) -> int:
    return len(list(cache.folder.glob(SHARD_PATTERN)))


def test_a_shard_is_finished_when_it_has_its_size(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    cache = FeatureCache.open(tmp_path, spec)
    with cache.writer(shard_bytes=3 * 24) as writer:
        for key in rows.keys(7):
            writer.append([key], rows.features([key]))
        assert count_shards(cache) == 2
    assert count_shards(cache) == 3


def test_a_shard_is_finished_when_it_is_old_enough_or_as_old_as_the_work_before_it(
    tmp_path: Path, spec: CacheSpec, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    cache = FeatureCache.open(tmp_path, spec)
    finished_at = []
    with cache.writer(shard_seconds=15) as writer:
        for key in rows.keys(60):
            before = count_shards(cache)
            writer.append([key], rows.features([key]))
            if count_shards(cache) > before:
                finished_at.append(now - 100)
            now += 1
    assert finished_at == [1, 4, 10, 22, 38, 54]


def test_rows_collected_before_an_error_are_kept(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    cache = FeatureCache.open(tmp_path, spec)

    def write_until_interrupted() -> None:
        with cache.writer() as writer:
            writer.append(rows.keys(3), rows.features(rows.keys(3)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_until_interrupted()
    assert (cache.find(rows.keys(3)) >= 0).all()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            -70_000,
            "Features of at most 7e+04 do not fit into float16.\n"
            "  Expected: features of at most 65504 in size\n"
            "  Fix: use --feature-dtype float32.",
        ),
        (
            3e-5,
            "Features of at most 3e-05 do not fit into float16.\n"
            "  Expected: some feature of at least 6.1e-05 in size\n"
            "  Fix: use --feature-dtype float32.",
        ),
    ],
)
def test_features_that_float16_would_spoil_are_refused(
    tmp_path: Path, spec: CacheSpec, rows: Rows, value: float, message: str
) -> None:
    cache = FeatureCache.open(tmp_path, dataclasses.replace(spec, dtype="float16"))
    with cache.writer() as writer:
        for number, fine in enumerate((65_500, 0.0, 1e-4)):
            writer.append(rows.keys(1, start=number), np.full((1, *SHAPE), fine, dtype=np.float32))
        with pytest.raises(NumericsError) as refusal:
            writer.append(rows.keys(1, start=9), np.full((1, *SHAPE), value, dtype=np.float32))
    assert str(refusal.value) == message
    assert len(cache) == 3


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(tmp_path: Path, spec: CacheSpec, rows: Rows, value: float) -> None:
    cache = FeatureCache.open(tmp_path, spec)
    with cache.writer() as writer, pytest.raises(NumericsError) as refusal:
        writer.append(rows.keys(1), np.full((1, *SHAPE), value, dtype=np.float32))
    assert str(refusal.value) == (
        "The backbone gave features that are not finite numbers.\n"
        "  Expected: a finite number for every feature of every image\n"
        "  Fix: check the weights file: it may be damaged, or made for another network."
    )
    assert len(cache) == 0


def test_keys_and_features_must_come_in_equal_numbers(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    with (
        FeatureCache.open(tmp_path, spec).writer() as writer,
        pytest.raises(ValueError, match=r"Expected features of shape \(2, 2, 3\). Received: \(3, 2, 3\)"),
    ):
        writer.append(rows.keys(2), rows.features(rows.keys(3)))


def test_a_full_disk_is_an_error_with_a_remedy_and_leaves_no_partial_file(
    tmp_path: Path, spec: CacheSpec, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = FeatureCache.open(tmp_path, spec)

    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(CacheError) as refusal, cache.writer() as writer:
        writer.append(rows.keys(1), rows.features(rows.keys(1)))
    assert str(refusal.value) == (
        f"The feature cache {cache.folder} cannot be written: No space left on device.\n"
        "  Expected: a folder with enough free space that may be written to\n"
        "  Fix: make room with `tlkit cache prune`, or set TLKIT_CACHE to another folder."
    )
    assert not list(cache.folder.glob(PARTIAL_PATTERN))


def test_a_flush_takes_no_more_memory_than_a_plan_counts(spec: CacheSpec, tmp_path: Path, rows: Rows) -> None:
    spec = dataclasses.replace(spec, feature_shape=(64, 1024))  # 256 kB a row
    shard_bytes = 32 * 256 * 1024
    features = np.ones((32, *spec.feature_shape), np.float32)
    with FeatureCache.open(tmp_path, spec).writer(shard_bytes=shard_bytes) as writer:
        tracemalloc.start()
        writer.append(rows.keys(32), features)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert 0.9 * SHARD_COPIES < peak / shard_bytes < 1.1 * SHARD_COPIES
