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
from tlkit.features.row_keys import encode_rows
from tlkit.features.shards import SHARD_PATTERN, write_shard
from tlkit.features.spec import CacheSpec
from tlkit.features.upkeep import list_caches, prune, remove_damaged, verify_cache

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
    with h5py.File(shard) as file:
        in_second_row = file[dataset].id.get_offset() + file[dataset].nbytes // 2
    content = bytearray(shard.read_bytes())
    content[in_second_row] ^= 1
    shard.write_bytes(content)

    report = verify_cache(folder, advance=ignore)
    assert report.damaged == {shard: "row 1 differs from its checksum"}
    assert report.num_rows == 4
    remove_damaged(report)
    assert verify_cache(folder, advance=ignore).num_shards == 2


def test_numbers_that_are_not_finite_are_found(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    folder = FeatureCache.open(tmp_path, spec).folder
    features = np.full((1, *SHAPE), np.nan, dtype=np.float32)
    shard = write_shard(folder, encode_rows(rows.keys(1)), [features], cache_key=spec.key())
    assert verify_cache(folder, advance=ignore).damaged == {shard: "it holds numbers that are not finite"}


def test_verifying_a_cache_without_its_description_is_an_error(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    folder = fill(tmp_path, spec, rows)
    (folder / "cache.json").write_text("{}")
    with pytest.raises(CacheError) as refusal:
        verify_cache(folder, advance=ignore)
    assert str(refusal.value) == (
        f"{folder / 'cache.json'} cannot be read: 'image_size'.\n"
        "  Expected: the description that tlkit wrote when it made the cache\n"
        f"  Fix: remove it with `tlkit cache prune --key {folder.name}`; it is computed again when needed."
    )
    assert list_caches(tmp_path)[0].spec is None
    prune(tmp_path, keys=[folder.name])
    assert not folder.exists()


def test_pruning_removes_only_what_was_named(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    doomed = fill(tmp_path, spec, rows)
    kept = fill(tmp_path, dataclasses.replace(spec, fit="crop"), rows)
    num_bytes = list_caches(tmp_path)[1].num_bytes

    rehearsal = prune(tmp_path, keys=[doomed.name[:6]], dry_run=True)
    assert (rehearsal.keys, rehearsal.num_bytes) == ((doomed.name,), num_bytes)
    assert doomed.exists()
    assert prune(tmp_path, keys=[doomed.name[:6]]) == rehearsal
    assert not doomed.exists()
    assert verify_cache(kept, advance=ignore).num_rows == 6


def test_pruning_by_age_goes_by_the_last_use(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    old = fill(tmp_path, spec, rows)
    fill(tmp_path, dataclasses.replace(spec, fit="crop"), rows)
    ten_days_ago = time.time() - 10 * 86_400
    os.utime(old / "cache.json", (ten_days_ago, ten_days_ago))
    assert prune(tmp_path, older_than_days=11).keys == ()
    assert prune(tmp_path, older_than_days=9).keys == (old.name,)


def test_pruning_everything_leaves_other_files_alone(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    folder = fill(tmp_path, spec, rows)
    own = [tmp_path / "notes.txt", folder / "notes.txt", tmp_path / "features" / "0123" / "shard-1.h5"]
    for path in own:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    prune(tmp_path, everything=True)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted([*own, tmp_path / "CACHEDIR.TAG"])


def test_pruning_removes_half_written_files_of_ended_processes(
    tmp_path: Path, spec: CacheSpec, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fill(tmp_path, spec, rows)
    monkeypatch.setattr("socket.gethostname", lambda: "this-host")
    monkeypatch.setattr("tlkit.features.shards._is_running", lambda process: process != 41)
    for process in (41, 42):
        (folder / f"partial-this-host-{process}-0123abcd.h5").write_bytes(b"1234")
    report = prune(tmp_path)
    assert (report.keys, report.num_bytes) == ((), 4)
    assert [path.name for path in folder.glob("partial-*")] == ["partial-this-host-42-0123abcd.h5"]


def test_an_unknown_key_is_named_with_the_nearest_one(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    with pytest.raises(CacheError) as refusal:
        prune(tmp_path, keys=["abc"])
    assert str(refusal.value) == (
        f"No feature cache under {tmp_path} has the key 'abc'.\n"
        "  Expected: a cache; there is none yet\n"
        "  Fix: make one with `tlkit precompute`."
    )
    key = fill(tmp_path, spec, rows).name
    with pytest.raises(CacheError) as refusal:
        prune(tmp_path, keys=["x" + key[1:]])
    assert str(refusal.value) == (
        f"No feature cache under {tmp_path} has the key 'x{key[1:]}'.\n"
        f"  Expected: one of {key}\n"
        f"  Fix: did you mean '{key}'?"
    )


def make_trunk(root: Path, name: str, *, days: float) -> Path:
    """Make the folder of a converted trunk that was last read some days ago."""
    folder = root / "engines" / name
    folder.mkdir(parents=True)
    for file in ("trunk.xml", "trunk.bin", "trunk.json"):
        (folder / file).write_bytes(b"12345")
    used = time.time() - days * 86_400
    os.utime(folder, (used, used))
    return folder


def test_converted_trunks_go_with_age_and_with_everything_but_nothing_else_does(tmp_path: Path) -> None:
    old, new = make_trunk(tmp_path, "0" * 16, days=40), make_trunk(tmp_path, "1" * 16, days=20)
    half = make_trunk(tmp_path, f"{'1' * 16}.{'a' * 32}", days=2)
    foreign = make_trunk(tmp_path, "holidays", days=400)
    used = old.stat().st_mtime
    (old / "mine.txt").write_text("a letter")
    os.utime(old, (used, used))
    report = prune(tmp_path, older_than_days=30, dry_run=True)
    assert (report.trunks, report.num_bytes) == ((old, half), 30)
    prune(tmp_path, older_than_days=30)
    assert [path.name for path in old.iterdir()] == ["mine.txt"]
    assert not half.exists()
    assert len(list(new.iterdir())) == 3
    prune(tmp_path, everything=True)
    assert not new.exists()
    assert len(list(foreign.iterdir())) == 3


def test_the_comparison_of_the_engine_goes_with_its_cache(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    folder = fill(tmp_path, spec, rows)
    (folder / "agreement.json").write_text("{}")
    prune(tmp_path, everything=True)
    assert not folder.exists()
