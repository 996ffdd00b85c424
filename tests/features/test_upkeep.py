from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from tlkit.errors import CacheError
from tlkit.features.cache import FeatureCache
from tlkit.features.folder import CacheUse, note_use, read_use
from tlkit.features.pruning import PruneRules, prune
from tlkit.features.row_keys import encode_rows
from tlkit.features.shards import SHARD_PATTERN, write_shard
from tlkit.features.spec import CacheSpec
from tlkit.features.upkeep import VerifyReport, list_caches, remove_damaged, verify_cache

if TYPE_CHECKING:
    from tests.features.conftest import Rows

SHAPE = (2, 3)


def fill(root: Path, spec: CacheSpec, rows: Rows, count: int = 6) -> Path:
    """Make a cache of `count` rows in shards of two; return its folder."""
    cache = FeatureCache.open(root, spec)
    keys = rows.keys(count)
    with cache.writer(shard_bytes=1) as writer:
        for start in range(0, count, 2):
            writer.append(keys[start : start + 2], rows.features(keys[start : start + 2]))
    return cache.folder


def flip(shard: Path, dataset: str, *, row: int) -> None:
    """Change a bit of a row."""
    with h5py.File(shard) as file:
        place = file[dataset].id.get_offset() + file[dataset].nbytes // len(file[dataset]) * row
    content = bytearray(shard.read_bytes())
    content[place] ^= 1
    shard.write_bytes(content)


def ignore(count: int) -> None:
    pass


def test_caches_are_listed_with_rows_size_and_last_use(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    older = fill(tmp_path, spec, rows)
    newer = fill(tmp_path, dataclasses.replace(spec, fit="crop"), rows, count=2)
    os.utime(older / "cache.json", (1_000, 1_000))
    (tmp_path / "features" / "holiday photos").mkdir()

    first, second = list_caches(tmp_path)
    assert (first.folder, first.num_rows) == (newer, 2)
    assert (second.key, second.spec, second.num_rows, second.last_used) == (older.name, spec, 6, 1_000)
    assert second.num_bytes == sum(path.stat().st_size for path in older.iterdir())


def test_opening_a_cache_counts_as_using_it(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    folder = fill(tmp_path, spec, rows)
    os.utime(folder / "cache.json", (1_000, 1_000))
    FeatureCache.open(tmp_path, spec)
    assert time.time() - list_caches(tmp_path)[0].last_used < 60


def test_a_sound_cache_is_verified_whole(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    advanced: list[int] = []
    report = verify_cache(fill(tmp_path, spec, rows), advance=advanced.append)
    assert (report.num_shards, report.num_rows, report.damaged) == (3, 6, {})
    assert advanced == [1, 1, 1]


@pytest.mark.parametrize("dataset", ["features", "sha256", "view", "crc32"])
def test_one_flipped_bit_anywhere_in_a_row_is_found(tmp_path: Path, spec: CacheSpec, rows: Rows, dataset: str) -> None:
    folder = fill(tmp_path, spec, rows)
    shard = sorted(folder.glob(SHARD_PATTERN))[1]
    flip(shard, dataset, row=1)
    report = verify_cache(folder, advance=ignore)
    assert report.damaged == {shard: "1 row differs from its checksum"}
    assert report.num_rows == 4


def test_numbers_that_are_not_finite_are_found(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    folder = FeatureCache.open(tmp_path, spec).folder
    features = np.full((1, *SHAPE), np.nan, dtype=np.float32)
    shard = write_shard(folder, encode_rows(rows.keys(1)), [features], spec=spec)
    assert verify_cache(folder, advance=ignore).damaged == {shard: "it holds numbers that are not finite"}


def test_a_lost_description_is_made_anew_from_a_shard(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    folder = fill(tmp_path, spec, rows)
    (folder / "cache.json").write_text("{}")
    assert (list_caches(tmp_path)[0].spec, list_caches(tmp_path)[0].num_rows) == (spec, 6)
    assert verify_cache(folder, advance=ignore).num_rows == 6
    assert CacheSpec.from_json((folder / "cache.json").read_bytes()) == spec


def test_verifying_a_cache_that_nothing_describes_is_an_error(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    folder = fill(tmp_path, spec, rows)
    (folder / "cache.json").write_text("{}")
    for shard in folder.glob(SHARD_PATTERN):
        shard.write_bytes(b"")
    with pytest.raises(CacheError) as refusal:
        verify_cache(folder, advance=ignore)
    assert str(refusal.value) == (
        f"{folder / 'cache.json'} is missing or damaged, and no shard says what it said.\n"
        "  Expected: the description that tlkit wrote when it made the cache\n"
        f"  Fix: remove it with `tlkit cache prune --key {folder.name}`; it is computed again when needed."
    )
    assert list_caches(tmp_path)[0].spec is None
    prune(tmp_path, PruneRules(keys=[folder.name]))
    assert not folder.exists()


def test_the_sound_rows_of_a_damaged_shard_are_kept_when_it_is_removed(
    tmp_path: Path, spec: CacheSpec, rows: Rows
) -> None:
    folder = fill(tmp_path, spec, rows)
    shard = sorted(folder.glob(SHARD_PATTERN))[1]
    flip(shard, "features", row=1)
    report = verify_cache(folder, advance=ignore)
    assert remove_damaged(folder, report) == 1
    assert not shard.exists()
    assert verify_cache(folder, advance=ignore) == VerifyReport(num_shards=3, num_rows=5, damaged={})
    cache = FeatureCache.open(tmp_path, spec)
    found = [key for key, position in zip(rows.keys(6), cache.find(rows.keys(6)), strict=True) if position >= 0]
    assert len(found) == 5
    assert np.array_equal(cache.read(cache.find(found)), rows.features(found))


def test_nothing_is_removed_from_a_cache_in_use(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    folder = fill(tmp_path, spec, rows)
    flip(min(folder.glob(SHARD_PATTERN)), "features", row=0)
    user = FeatureCache.open(tmp_path, spec)
    report = verify_cache(folder, advance=ignore)
    assert remove_damaged(folder, report) == 0
    assert len(user) == 6
    del user
    assert remove_damaged(folder, report) == 1


def test_what_a_cache_serves_is_noted_the_last_first(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    folder = fill(tmp_path, spec, rows)
    assert read_use(folder) == CacheUse()
    for name in ("birds", "cats", "birds"):
        note_use(folder, Path("/data") / name, is_one_off=True)
    assert list_caches(tmp_path)[0].use == CacheUse(("/data/birds", "/data/cats"), is_one_off=True)
    note_use(folder, Path("/data/cats"), is_one_off=False)
    note_use(folder, Path("/data/cats"), is_one_off=True)
    assert not read_use(folder).is_one_off, "weights that others have stay what they are"
    (folder / "used.json").write_bytes(b"[]")
    assert read_use(folder) == CacheUse()


def test_damaged_shards_that_another_process_has_pruned_are_gone(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    folder = fill(tmp_path, spec, rows)
    flip(min(folder.glob(SHARD_PATTERN)), "features", row=0)
    report = verify_cache(folder, advance=ignore)
    prune(tmp_path, PruneRules(everything=True))
    (folder).mkdir()  # and another process begins it again
    assert remove_damaged(folder, report) == 1


def test_a_sound_cache_needs_no_mending(tmp_path: Path) -> None:
    assert remove_damaged(tmp_path / "gone", VerifyReport(0, 0, {})) == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a system with named pipes")
def test_a_pipe_in_place_of_a_shard_is_a_damage(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    folder = fill(tmp_path, spec, rows)
    shard = min(folder.glob(SHARD_PATTERN))
    shard.unlink()
    os.mkfifo(shard)
    report = verify_cache(folder, advance=ignore)
    assert report.damaged == {shard: "it is not a file"}
    assert list(FeatureCache.open(tmp_path, spec).damaged) == [shard]
    assert remove_damaged(folder, report) == 1
    assert not shard.exists()
