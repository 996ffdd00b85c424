from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tlkit.features.cache import CacheSpec, FeatureCache, RowKey

SPEC = CacheSpec("tiny", "ab" * 32, "top", "avg", (96, 96), "squash", 1, "keras", "float32", "float16", (8,))


@pytest.fixture
def folder(cache_root: Path) -> Path:
    cache = FeatureCache.open(cache_root, SPEC)
    with cache.writer() as writer:
        writer.append([RowKey("cd" * 32, "0")], np.ones((1, 8), np.float32))
    return cache.folder


def test_cache_list_prints_one_object_for_scripts(run_cli: Callable[..., Any], folder: Path) -> None:
    result = run_cli("cache", "list", "--json")
    assert result.exit_code == 0
    assert [cache["key"] for cache in result.json()["caches"]] == [folder.name]
    assert folder.name in run_cli("cache", "list").stdout


def test_cache_verify_tells_by_its_exit_code_whether_damage_remains(run_cli: Callable[..., Any], folder: Path) -> None:
    assert run_cli("cache", "verify").exit_code == 0
    (shard,) = folder.glob("shard-*")
    shard.write_bytes(shard.read_bytes().replace(b"cdcd", b"dcdc"))
    result = run_cli("cache", "verify", "--json")
    assert result.exit_code == 1
    assert len(result.json()["damaged"]) == 1
    assert run_cli("cache", "verify", "--key", folder.name, "--remove").exit_code == 0
    assert not shard.exists()


def test_cache_prune_wants_to_be_told_what(run_cli: Callable[..., Any], folder: Path) -> None:
    result = run_cli("cache", "prune")
    assert result.exit_code == 2
    assert "Specify what to remove: --key KEY, --older-than DAYS, --max-size SIZE or --all." in result.stderr
    result = run_cli("cache", "prune", "--all", "--older-than", 3)
    assert result.exit_code == 2
    assert "--all removes every cache; leave the other options out." in result.stderr
    assert folder.exists()


def test_cache_prune_removes_the_named_cache(run_cli: Callable[..., Any], folder: Path) -> None:
    assert run_cli("cache", "prune", "--older-than", 1, "--json").json()["removed"] == []
    assert run_cli("cache", "prune", "--key", folder.name[:8], "--json").json()["removed"] == [folder.name]
    assert not folder.exists()


def test_cache_prune_keeps_to_a_size(run_cli: Callable[..., Any], folder: Path) -> None:
    assert run_cli("cache", "prune", "--max-size", "1.5 GB", "--json").json()["removed"] == []
    assert run_cli("cache", "prune", "--max-size", "1kb", "--json").json()["removed"] == [folder.name]
    result = run_cli("cache", "prune", "--max-size", "lots")
    assert result.exit_code == 2
    assert "'lots' is not a size; use a number with B, KB, MB, GB or TB, such as 20GB." in result.stderr
    result = run_cli("cache", "prune", "--max-size", "1GB", "--older-than", 3)
    assert "--max-size chooses by itself; leave --key and --older-than out." in result.stderr


def test_an_unknown_key_is_an_error_for_scripts_too(run_cli: Callable[..., Any], cache_root: Path) -> None:
    result = run_cli("cache", "prune", "--key", "zzz", "--json")
    assert result.exit_code == 1
    assert result.json() == {
        "error": {
            "found": f"No feature cache under {cache_root} has the key 'zzz'.",
            "expected": "a cache; there is none yet",
            "fix": "make one with `tlkit precompute`.",
        }
    }


def test_cache_merge_brings_what_other_machines_computed(
    run_cli: Callable[..., Any], folder: Path, tmp_path: Path
) -> None:
    cache = FeatureCache.open(tmp_path / "other", SPEC)
    with cache.writer() as writer:
        writer.append([RowKey("ef" * 32, "0"), RowKey("cd" * 32, "0")], np.ones((2, 8), np.float32))
    result = run_cli("cache", "merge", tmp_path / "other", "--dry-run")
    assert (
        result.stdout
        == f"{folder.name} of {tmp_path / 'other'}: rows to copy: 1, here already: 1, damaged shards: 0 of 1.\n"
    )
    payload = run_cli("cache", "merge", tmp_path / "other", "--json").json()
    assert payload == {
        "merged": [{"source": str(tmp_path / "other"), "key": folder.name, "shards": 1, "copied": 1, "known": 1}],
        "damaged": [],
        "joined": [{"key": folder.name, "before": 2, "after": 1, "doubled": 0}],
        "dry_run": False,
    }
    assert len(FeatureCache.open(folder.parents[1], SPEC)) == 2


def test_cache_merge_tells_damage_by_its_exit_code(run_cli: Callable[..., Any], folder: Path, tmp_path: Path) -> None:
    cache = FeatureCache.open(tmp_path / "other", SPEC)
    (cache.folder / "shard-broken.h5").write_bytes(b"")
    result = run_cli("cache", "merge", tmp_path / "other", "-q")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Warning: {cache.folder / 'shard-broken.h5'}: HDF5 cannot read it: ")
