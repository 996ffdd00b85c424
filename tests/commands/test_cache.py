from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tlkit.commands.cache import prune_caches, show_caches, verify_caches
from tlkit.errors import CacheError
from tlkit.features.cache import CacheSpec, FeatureCache, RowKey
from tlkit.features.folder import note_use
from tlkit.features.pruning import PruneRules
from tlkit.features.shards import SHARD_PATTERN
from tlkit.reports.console import Console

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
    assert show_caches(Console()) == {"root": str(cache_root), "caches": [], "bytes": 0, "copies": []}
    assert capsys.readouterr().out == f"Caches: 0, 0.0 MB in total, in {cache_root}\n"


def test_verifying_finds_damage_and_removes_it_only_when_asked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify_caches([], remove=False, console=QUIET) == {"rows": 2, "shards": 2, "damaged": [], "removed": 0}
    shard = next(path for path in folder.glob(SHARD_PATTERN) if f"{1:064x}".encode() in path.read_bytes())
    flip_a_bit(shard)
    damaged = [{"path": str(shard), "reason": "1 row differs from its checksum"}]
    assert verify_caches([folder.name[:5]], remove=False, console=QUIET) == {
        "rows": 1,
        "shards": 2,
        "damaged": damaged,
        "removed": 0,
    }
    assert shard.exists()
    assert capsys.readouterr().err == f"Warning: {shard}: 1 row differs from its checksum\n"
    assert verify_caches([], remove=True, console=QUIET)["removed"] == 1
    assert verify_caches([], remove=False, console=QUIET)["shards"] == 1


def test_a_cache_that_nothing_describes_counts_as_damage(folder: Path) -> None:
    (folder / "cache.json").unlink()
    for shard in folder.glob(SHARD_PATTERN):
        shard.write_bytes(b"")
    payload = verify_caches([], remove=True, console=QUIET)
    assert [item["path"] for item in payload["damaged"]] == [str(folder)]
    assert payload["removed"] == 0


def test_what_a_killed_process_left_of_a_cache_is_empty_and_no_damage(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in folder.iterdir():
        if path.name != "lock":
            path.unlink()
    assert verify_caches([], remove=False, console=Console())["damaged"] == []
    assert capsys.readouterr().out.endswith("0 rows in 0 shards: no damage.\n")
    show_caches(Console())
    assert "empty" in capsys.readouterr().out


def test_the_data_sets_of_a_cache_are_shown_and_weights_that_were_trained_in_a_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("cats", "birds"):
        note_use(folder, Path("/data") / name, is_one_off=True)
    (cache,) = show_caches(Console())["caches"]
    assert (cache["data"], cache["one_off"]) == (["/data/birds", "/data/cats"], True)
    output = capsys.readouterr().out
    assert "/data/birds and 1 more" in output
    assert "abababab of a run" in output


def test_what_is_in_use_is_neither_removed_nor_cleaned_up(
    cache_root: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for shard in folder.glob(SHARD_PATTERN):
        flip_a_bit(shard)
    user = FeatureCache.open(cache_root, SPEC)
    assert verify_caches([], remove=True, console=QUIET)["removed"] == 0
    payload = prune_caches(PruneRules(max_bytes=1), dry_run=False, console=QUIET)
    assert (payload["removed"], payload["in_use"]) == ([], [user.folder.name])
    warnings = [line for line in capsys.readouterr().err.splitlines() if "shard-" not in line]
    assert warnings == [
        f"Warning: {folder.name} is in use: nothing was removed from it.",
        f"Warning: {folder.name} is kept: another process is using it.",
        "Warning: 0.0 MB exceed --max-size, but are in use.",
    ]


def test_verifying_an_unknown_key_is_an_error(folder: Path) -> None:
    with pytest.raises(CacheError, match="has the key 'zzz'"):
        verify_caches(["zzz"], remove=False, console=QUIET)


def test_a_dry_run_of_pruning_removes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    num_bytes = show_caches(QUIET)["bytes"]
    rehearsed = prune_caches(PruneRules(everything=True), dry_run=True, console=Console())
    assert rehearsed == {
        "removed": [folder.name],
        "in_use": [],
        "trunks": 0,
        "notes": 0,
        "partial_files": 0,
        "bytes": num_bytes,
        "bytes_left": 0,
        "dry_run": True,
        "copies": [],
    }
    assert capsys.readouterr().out == (
        "Would remove caches: 1, converted trunks: 0, notes: 0, incomplete files: 0, 0.0 MB in total; 0.0 MB remain.\n"
    )
    assert folder.exists()
    prune_caches(PruneRules(everything=True), dry_run=False, console=QUIET)
    assert not folder.exists()
