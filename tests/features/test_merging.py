from __future__ import annotations

import dataclasses
import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from tests.features.test_upkeep import flip, ignore
from tlkit.errors import CacheError
from tlkit.features.cache import FeatureCache
from tlkit.features.folder import note_use, read_use
from tlkit.features.merging import MergeReport, merge_cache, read_foreign_spec
from tlkit.features.shards import SHARD_PATTERN, write_shard
from tlkit.features.spec import CacheSpec

if TYPE_CHECKING:
    from tests.features.conftest import Rows

Fill = Callable[..., Path]


@pytest.fixture
def fill(tmp_path: Path, spec: CacheSpec, rows: Rows) -> Fill:
    def fill(root: str, start: int, stop: int, *, wrong: bool = False) -> Path:
        """Add rows to a cache in shards of two; return its folder."""
        cache = FeatureCache.open(tmp_path / root, spec)
        with cache.writer(shard_bytes=1) as writer:
            for first in range(start, stop, 2):
                keys = rows.keys(min(2, stop - first), start=first)
                writer.append(keys, rows.features(keys) + wrong)
        return cache.folder

    return fill


@pytest.fixture
def merge(tmp_path: Path, spec: CacheSpec) -> Callable[..., MergeReport]:
    def merge(source: Path, *, dry_run: bool = False) -> MergeReport:
        return merge_cache(tmp_path / "here", source, read_foreign_spec(source), dry_run=dry_run, advance=ignore)

    return merge


def check(root: Path, spec: CacheSpec, rows: Rows, count: int) -> None:
    cache = FeatureCache.open(root, spec)
    np.testing.assert_array_equal(cache.read(cache.find(rows.keys(count))), rows.features(rows.keys(count)))
    assert len(cache) == count


def test_only_missing_rows_come_in_full_shards(
    tmp_path: Path, spec: CacheSpec, rows: Rows, fill: Fill, merge: Callable[..., MergeReport]
) -> None:
    here = fill("here", 0, 4)
    report = merge(fill("there", 2, 12))
    assert report == MergeReport(here.name, num_shards=5, num_copied=8, num_known=2)
    assert len(list(here.glob(SHARD_PATTERN))) == 3
    check(tmp_path / "here", spec, rows, 12)
    assert merge(tmp_path / "there" / "features" / here.name) == MergeReport(here.name, 5, 0, 10)
    check(tmp_path / "here", spec, rows, 12)


def test_a_row_in_two_shards_of_the_source_comes_once(
    tmp_path: Path, spec: CacheSpec, rows: Rows, fill: Fill, merge: Callable[..., MergeReport]
) -> None:
    fill("there", 0, 6)
    assert merge(fill("there", 0, 6)) == MergeReport(spec.folder(tmp_path).name, 6, 6, 6)
    check(tmp_path / "here", spec, rows, 6)


def test_a_rehearsal_says_the_same_and_writes_nothing(
    tmp_path: Path, fill: Fill, merge: Callable[..., MergeReport]
) -> None:
    fill("there", 0, 4)
    source = fill("there", 2, 6)
    rehearsed = merge(source, dry_run=True)
    assert not (tmp_path / "here").exists()
    assert rehearsed == merge(source)
    names = sorted((tmp_path / "here").rglob("*"))
    assert merge(fill("there", 6, 8), dry_run=True).num_copied == 2
    assert sorted((tmp_path / "here").rglob("*")) == names


def test_damaged_rows_stay_behind_and_a_sound_double_of_one_comes(
    tmp_path: Path, spec: CacheSpec, rows: Rows, fill: Fill, merge: Callable[..., MergeReport]
) -> None:
    source = fill("there", 0, 6)
    shards = sorted(source.glob(SHARD_PATTERN))
    flip(shards[0], "features", row=1)
    shards[1].write_bytes(b"")
    report = merge(source)
    assert (report.num_shards, report.num_copied, report.num_known) == (3, 3, 0)
    assert sorted(report.damaged) == shards[:2]
    assert report.damaged[shards[0]] == "1 row differs from its checksum"
    assert report.damaged[shards[1]].startswith("HDF5 cannot read it: ")
    fill("there", 0, 6)
    assert merge(source).num_copied == 3
    check(tmp_path / "here", spec, rows, 6)


def test_a_row_that_is_damaged_here_comes_again(
    tmp_path: Path, rows: Rows, spec: CacheSpec, fill: Fill, merge: Callable[..., MergeReport]
) -> None:
    (shard,) = fill("here", 0, 2).glob(SHARD_PATTERN)
    flip(shard, "features", row=0)
    assert merge(fill("there", 0, 2)).num_copied == 1
    cache = FeatureCache.open(tmp_path / "here", spec)
    np.testing.assert_array_equal(cache.read(cache.find(rows.keys(2))), rows.features(rows.keys(2)))


def test_a_shard_that_leads_to_another_file_is_not_followed(
    tmp_path: Path, spec: CacheSpec, fill: Fill, merge: Callable[..., MergeReport]
) -> None:
    source = fill("there", 0, 2)
    (shard,) = source.glob(SHARD_PATTERN)
    with h5py.File(shard, "a") as file:
        file.move("features", "hidden")
        file["features"] = h5py.ExternalLink("secret.h5", "hidden")
    report = merge(source)
    assert (report.num_copied, report.damaged) == (0, {shard: "features is missing, or a link"})
    other = source / "shard-pipe.h5"
    if hasattr(os, "mkfifo"):
        os.mkfifo(other)
        assert merge(source).damaged[other] == "it is not a file"


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "object"},
        {"feature_shape": (2**20, 2**20)},
        {"feature_shape": (-1, 3)},
        {"backbone": "tiny\x1b[2J"},
        {"calibration": "../../x"},
        {"image_size": (8.5, 8)},
    ],
)
def test_a_description_that_tlkit_never_writes_is_refused(
    tmp_path: Path, spec: CacheSpec, change: dict[str, Any]
) -> None:
    crafted = dataclasses.replace(spec, **change)
    folder = crafted.folder(tmp_path)
    folder.mkdir(parents=True)
    (folder / "cache.json").write_text(crafted.to_json())
    with pytest.raises(CacheError) as refusal:
        read_foreign_spec(folder)
    assert str(refusal.value) == (
        f"{folder}: this cache's description holds values that tlkit never writes.\n"
        "  Expected: a cache that tlkit wrote\n"
        "  Fix: leave this folder out, or name the good caches with --key."
    )


def test_an_interrupted_merge_keeps_what_came_and_the_next_one_brings_the_rest(
    tmp_path: Path, spec: CacheSpec, rows: Rows, fill: Fill, monkeypatch: pytest.MonkeyPatch,
    merge: Callable[..., MergeReport],
) -> None:  # fmt: skip
    monkeypatch.setattr("tlkit.features.joining.SHARD_BYTES", 3 * 24)
    source = fill("there", 0, 12)
    written: list[Path] = []

    def write_two(*arguments: object, **keywords: object) -> Path:
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(write_shard(*arguments, **keywords))  # type: ignore[arg-type]
        return written[-1]

    with monkeypatch.context() as patch:
        patch.setattr("tlkit.features.joining.write_shard", write_two)
        with pytest.raises(CacheError) as refusal:
            merge(source)
    assert refusal.value.found == (
        f"The feature cache {spec.folder(tmp_path / 'here')} cannot be written: No space left on device."
    )
    came = len(FeatureCache.open(tmp_path / "here", spec))
    assert 0 < came < 12
    assert merge(source).num_copied == 12 - came
    check(tmp_path / "here", spec, rows, 12)


def test_the_data_sets_that_used_the_source_are_noted(
    tmp_path: Path, fill: Fill, merge: Callable[..., MergeReport]
) -> None:
    source = fill("there", 0, 2)
    note_use(source, Path("/photos"), is_one_off=True)
    content = json.loads((source / "used.json").read_text())
    content["data"].append("evil\x1b[2J")
    (source / "used.json").write_text(json.dumps(content))
    key = merge(source).key
    use = read_use(tmp_path / "here" / "features" / key)
    assert use.data == ("/photos",)
    assert use.is_one_off
