from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tlkit.errors import CacheError
from tlkit.features.cache import CacheSpec, FeatureCache, RowKey
from tlkit.features.shards import SHARD_PATTERN
from tlkit.reports.console import Console
from tlkit.workflows.cache import prune_caches, show_caches, verify_caches

SPEC = CacheSpec("tiny", "ab" * 32, "block4", "none", (96, 96), "squash", 1, "keras", "float32", "float16", (3, 3, 8))
QUIET = Console(verbosity=-1)


@pytest.fixture
def folder(cache_root: Path) -> Path:
    """The folder of a cache with two shards of one row each."""
    cache = FeatureCache.open(cache_root, SPEC)
    with cache.writer(shard_bytes=1) as writer:
        for number in range(2):
            writer.append([RowKey(f"{number:064x}", "0")], np.ones((1, 3, 3, 8), np.float32))
    return cache.folder


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(f"{1:064x}".encode()) if f"{1:064x}".encode() in content else -1] ^= 1
    path.write_bytes(content)


def test_caches_are_shown_with_what_they_hold(
    cache_root: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payload = show_caches(Console())
    output = capsys.readouterr().out
    for word in (folder.name, "tiny", "abababab", "block4", "96x96 squash", "3x3x8 float16"):
        assert word in output
    assert payload["root"] == str(cache_root)
    assert payload["bytes"] == sum(path.stat().st_size for path in folder.iterdir())
    (cache,) = payload["caches"]
    assert (cache["key"], cache["rows"], cache["spec"]["feature_shape"]) == (folder.name, 2, (3, 3, 8))


def test_without_a_cache_there_is_nothing_to_show(cache_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show_caches(Console()) == {"root": str(cache_root), "caches": [], "bytes": 0}
    assert capsys.readouterr().out == f"Caches: 0, 0.0 MB in all, in {cache_root}\n"


def test_verifying_finds_damage_and_removes_it_only_when_asked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify_caches([], remove=False, console=QUIET) == {"rows": 2, "shards": 2, "damaged": [], "removed": 0}
    shard = next(path for path in folder.glob(SHARD_PATTERN) if f"{1:064x}".encode() in path.read_bytes())
    flip_a_bit(shard)
    damaged = [{"path": str(shard), "reason": "row 0 differs from its checksum"}]
    assert verify_caches([folder.name[:5]], remove=False, console=QUIET) == {
        "rows": 1,
        "shards": 2,
        "damaged": damaged,
        "removed": 0,
    }
    assert shard.exists()
    assert capsys.readouterr().err == f"Warning: {shard}: row 0 differs from its checksum\n"
    assert verify_caches([], remove=True, console=QUIET)["removed"] == 1
    assert verify_caches([], remove=False, console=QUIET)["shards"] == 1


def test_a_cache_without_its_description_counts_as_damage(folder: Path) -> None:
    (folder / "cache.json").unlink()
    payload = verify_caches([], remove=True, console=QUIET)
    assert [item["path"] for item in payload["damaged"]] == [str(folder)]
    assert payload["removed"] == 0


def test_verifying_an_unknown_key_is_an_error(folder: Path) -> None:
    with pytest.raises(CacheError, match="has the key 'zzz'"):
        verify_caches(["zzz"], remove=False, console=QUIET)


def test_a_dry_run_of_pruning_removes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    num_bytes = show_caches(QUIET)["bytes"]
    rehearsed = prune_caches(keys=[], older_than_days=None, everything=True, dry_run=True, console=Console())
    assert rehearsed == {"removed": [folder.name], "trunks": 0, "partial_files": 0, "bytes": num_bytes, "dry_run": True}
    assert capsys.readouterr().out.startswith("Would remove caches: 1, converted trunks: 0, half-written files: 0, ")
    assert folder.exists()
    prune_caches(keys=[], older_than_days=None, everything=True, dry_run=False, console=QUIET)
    assert not folder.exists()
