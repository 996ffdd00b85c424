from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tlkit.features.cache import FeatureCache
from tlkit.features.joining import JoinReport, join_shards
from tlkit.features.row_keys import encode_rows
from tlkit.features.shards import SHARD_PATTERN, write_shard
from tlkit.features.spec import CacheSpec

if TYPE_CHECKING:
    from tests.features.conftest import Rows


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ten rows of 24 bytes be a full shard."""
    monkeypatch.setattr("tlkit.features.joining.SHARD_BYTES", 240)


@pytest.fixture
def fill(tmp_path: Path, spec: CacheSpec, rows: Rows) -> Callable[..., Path]:
    def fill(*bounds: tuple[int, int]) -> Path:
        folder = spec.folder(tmp_path)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cache.json").write_text(spec.to_json())
        for start, stop in bounds:
            keys = rows.keys(stop - start, start=start)
            write_shard(folder, encode_rows(keys), [rows.features(keys)], spec=spec)
        return folder

    return fill


def check_rows(root: Path, spec: CacheSpec, rows: Rows, count: int) -> None:
    cache = FeatureCache.open(root, spec)
    keys = rows.keys(count)
    np.testing.assert_array_equal(cache.read(cache.find(keys)), rows.features(keys))
    assert len(cache) == count


def test_small_shards_become_full_ones_with_each_row_once(
    tmp_path: Path, spec: CacheSpec, rows: Rows, fill: Callable[..., Path]
) -> None:
    folder = fill((0, 10), (10, 13), (12, 15), (15, 17), (0, 2))
    full = max(folder.glob(SHARD_PATTERN), key=lambda path: path.stat().st_size)
    assert join_shards(folder) == JoinReport(num_before=4, num_after=1, num_doubled=3)
    assert full.exists()
    assert len(list(folder.glob(SHARD_PATTERN))) == 2
    check_rows(tmp_path, spec, rows, 17)
    assert join_shards(folder) == JoinReport()


def test_one_small_shard_is_left_as_it_is(fill: Callable[..., Path]) -> None:
    folder = fill((0, 10), (10, 13))
    before = sorted(folder.glob(SHARD_PATTERN))
    assert join_shards(folder) == JoinReport()
    assert sorted(folder.glob(SHARD_PATTERN)) == before


def test_a_cache_in_use_is_left_as_it_is(
    tmp_path: Path, spec: CacheSpec, rows: Rows, fill: Callable[..., Path]
) -> None:
    folder = fill((0, 3), (3, 6))
    cache = FeatureCache.open(tmp_path, spec)
    positions = cache.find(rows.keys(6))
    assert join_shards(folder) == JoinReport(reason="another process is using it")
    np.testing.assert_array_equal(cache.read(positions), rows.features(rows.keys(6)))
    del cache
    assert join_shards(folder).num_after == 1


def test_who_opens_the_cache_while_it_is_joined_keeps_its_rows_and_the_next_merge_cleans_up(
    tmp_path: Path, spec: CacheSpec, rows: Rows, fill: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fill((0, 3), (3, 6))
    opened: list[FeatureCache] = []

    def write_and_open(*arguments: object, **keywords: object) -> Path:
        path = write_shard(*arguments, **keywords)  # type: ignore[arg-type]
        opened.append(FeatureCache.open(tmp_path, spec))
        return path

    with monkeypatch.context() as patch:
        patch.setattr("tlkit.features.joining.write_shard", write_and_open)
        assert join_shards(folder) == JoinReport(
            reason="another process is using it; rows are there twice until the next merge"
        )
    positions = opened[0].find(rows.keys(6))
    np.testing.assert_array_equal(opened[0].read(positions), rows.features(rows.keys(6)))
    opened.clear()
    assert join_shards(folder) == JoinReport(num_before=2, num_after=0, num_doubled=6)
    check_rows(tmp_path, spec, rows, 6)


def test_a_damaged_cache_is_not_joined_so_that_no_sound_double_is_lost(fill: Callable[..., Path]) -> None:
    folder = fill((0, 3), (0, 3), (3, 6))
    shard = min(folder.glob(SHARD_PATTERN))
    shard.write_bytes(shard.read_bytes()[:-40])
    assert join_shards(folder) == JoinReport(
        reason="it has damaged shards, which `tlkit cache verify --remove` repairs"
    )
    assert len(list(folder.glob(SHARD_PATTERN))) == 3


def test_joining_that_stops_anywhere_loses_no_row(
    tmp_path: Path, spec: CacheSpec, rows: Rows, fill: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fill(*itertools.pairwise(range(0, 31, 3)))
    unlink = Path.unlink
    left = [0, 0]

    def count(place: int) -> None:
        left[place] -= 1
        if left[place] < 0:
            raise KeyboardInterrupt

    def write_some(*arguments: object, **keywords: object) -> Path:
        count(0)
        return write_shard(*arguments, **keywords)  # type: ignore[arg-type]

    def unlink_some(path: Path, missing_ok: bool = False) -> None:
        if path.match(SHARD_PATTERN):
            count(1)
        unlink(path, missing_ok)

    for allowed in range(4):
        left[:] = [allowed, allowed]
        with monkeypatch.context() as patch:
            patch.setattr("tlkit.features.joining.write_shard", write_some)
            patch.setattr(Path, "unlink", unlink_some)
            with pytest.raises(KeyboardInterrupt):
                join_shards(folder)
        cache = FeatureCache.open(tmp_path, spec)
        np.testing.assert_array_equal(cache.read(cache.find(rows.keys(30))), rows.features(rows.keys(30)))
        del cache
    join_shards(folder)
    cache = FeatureCache.open(tmp_path, spec)
    np.testing.assert_array_equal(cache.read(cache.find(rows.keys(30))), rows.features(rows.keys(30)))
