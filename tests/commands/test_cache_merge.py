from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.commands.test_precompute_parts import IN_INT8, read_rows, run
from tlkit.commands.cache_merge import merge_caches
from tlkit.errors import CacheError, SettingError
from tlkit.features.cache import CacheSpec, FeatureCache, RowKey
from tlkit.features.shards import SHARD_PATTERN
from tlkit.reports.console import Console

SPEC = CacheSpec("tiny", "ab" * 32, "block4", "none", (96, 96), "squash", 1, "keras", "float32", "float16", (3, 3, 8))
QUIET = Console(verbosity=-1)


def fill(root: Path, *numbers: int) -> Path:
    cache = FeatureCache.open(root, SPEC)
    with cache.writer(shard_bytes=1) as writer:
        for number in numbers:
            writer.append([RowKey(f"{number:064x}", "0")], np.full((1, 3, 3, 8), number, np.float32))
    return cache.folder


def test_parts_on_machines_without_a_common_folder_are_brought_together(
    tmp_path: Path, make_image_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = make_image_folder(
        tmp_path / "photos", {"train/red": 8, "validation/red": 2, "train/blue": 8, "validation/blue": 2}
    )
    machines = [tmp_path / name for name in ("one", "two", "three")]
    for number, root in enumerate(machines, start=1):
        monkeypatch.setenv("TLKIT_CACHE", str(root))
        run(photos, f"{number}/3")
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "all"))
    payload = merge_caches(machines, (), dry_run=False, console=QUIET)
    assert sum(each["copied"] for each in payload["merged"]) == 20
    assert [(each["before"], each["after"]) for each in payload["joined"]] == [(3, 1)]
    assert run(photos, None)["misses"] == 0
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "whole"))
    run(photos, None)
    assert read_rows(tmp_path / "all")[0] == read_rows(tmp_path / "whole")[0]


@pytest.mark.usefixtures("openvino")
def test_the_network_calibrated_for_int8_comes_along_unless_it_was_altered(
    tmp_path: Path, make_image_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = make_image_folder(tmp_path / "photos", {"red": 8, "blue": 8})
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "there"))
    run(photos, None, backbone=IN_INT8)
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "here"))
    merge_caches([tmp_path / "there"], (), dry_run=False, console=QUIET)
    (trunk,) = (tmp_path / "here" / "engines").iterdir()
    assert sorted(path.name for path in trunk.iterdir()) == ["trunk.bin", "trunk.json", "trunk.xml"]
    make_image_folder(photos, {"red": 2}, start=50)
    monkeypatch.setattr("tlkit.features.engine_choice.Work.calibrate", None)
    assert run(photos, None, backbone=IN_INT8)["misses"] == 2

    shutil.rmtree(tmp_path / "here")
    weights = tmp_path / "there" / "engines" / trunk.name / "trunk.bin"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    merge_caches([tmp_path / "there"], (), dry_run=False, console=QUIET)
    assert list((tmp_path / "here").glob("engines/*")) == []


def test_without_a_source_small_shards_are_joined(cache_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = fill(cache_root, 1, 2, 3)
    fill(cache_root, 3)
    payload = merge_caches([], [folder.name], dry_run=False, console=Console())
    assert payload["joined"] == [{"key": folder.name, "before": 4, "after": 1, "doubled": 1}]
    assert capsys.readouterr().out == f"{folder.name}: 4 small shards became 1; doubled rows dropped: 1.\n"
    assert len(list(folder.glob(SHARD_PATTERN))) == 1


def test_a_cache_in_use_is_merged_into_and_its_shards_stay(
    cache_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(cache_root, 1, 2)
    reader = FeatureCache.open(cache_root, SPEC)
    source = fill(tmp_path / "other", 2, 3).parents[1]
    merge_caches([source], (), dry_run=False, console=Console())
    assert capsys.readouterr().out == (
        f"{reader.folder.name} of {source}: rows copied: 1, here already: 1, damaged shards: 0 of 2.\n"
        f"{reader.folder.name}: small shards are not joined: another process is using it.\n"
    )
    assert reader.read(np.arange(2)).shape == (2, 3, 3, 8)
    reader.refresh()
    assert len(reader) == 3


def test_a_source_without_a_description_is_named_and_left(cache_root: Path, tmp_path: Path) -> None:
    folder = fill(tmp_path / "other", 1)
    (folder / "cache.json").unlink()
    for shard in folder.glob(SHARD_PATTERN):
        shard.write_bytes(b"")
    payload = merge_caches([tmp_path / "other"], (), dry_run=False, console=QUIET)
    assert [each["path"] for each in payload["damaged"]] == [str(folder)]
    assert json.dumps(payload["merged"]) == "[]"


def test_a_folder_that_is_no_cache_is_refused(cache_root: Path, tmp_path: Path) -> None:
    with pytest.raises(CacheError) as refusal:
        merge_caches([tmp_path / "nowhere"], (), dry_run=False, console=QUIET)
    assert str(refusal.value) == (
        f"{tmp_path / 'nowhere'}: no cache of tlkit: it has no folder named features.\n"
        "  Expected: a folder that TLKIT_CACHE named on another machine, or a copy of it\n"
        "  Fix: check the path."
    )
    fill(cache_root, 1)
    with pytest.raises(SettingError) as refused:
        merge_caches([cache_root], (), dry_run=False, console=QUIET)
    assert str(refused.value) == (
        f"{cache_root} is this cache itself.\n"
        "  Expected: the cache folder of another machine or process\n"
        "  Fix: leave it out: without a source, `tlkit cache merge` joins small files of this cache."
    )
