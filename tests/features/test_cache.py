from __future__ import annotations

import dataclasses
import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from tlkit.errors import CacheError
from tlkit.features.cache import FeatureCache
from tlkit.features.folder import read_spec
from tlkit.features.row_keys import RowKey
from tlkit.features.shards import PARTIAL_PATTERN, SHARD_PATTERN, Shard, ShardRows, read_blocks
from tlkit.features.spec import CacheSpec
from tlkit.places.cache_root import default_cache_root

if TYPE_CHECKING:
    from tests.features.conftest import Rows

WRITER_PROCESS = """
import json, sys, time
from pathlib import Path
import numpy as np
from tlkit.features.cache import FeatureCache
from tlkit.features.row_keys import RowKey
from tlkit.features.spec import CacheSpec

task = json.loads(sys.stdin.read())
task["spec"]["image_size"], task["spec"]["feature_shape"] = (8, 8), (2, 3)
cache = FeatureCache.open(Path(task["root"]), CacheSpec(**task["spec"]))
keys = [RowKey(*key) for key in task["keys"]]
features = np.array(task["features"], dtype=np.float32)
missing = np.flatnonzero(cache.find(keys) < 0)
print("ready", flush=True)
with cache.writer(shard_bytes=96) as writer:
    for start in range(0, len(missing), 2):
        part = missing[start:start + 2]
        writer.append([keys[number] for number in part], features[part])
        print("row", flush=True)
        time.sleep(task["pause"])
"""


def start_writer(
    root: Path, spec: CacheSpec, keys: list[RowKey], rows: Rows, *, pause_seconds: float = 0.0
) -> subprocess.Popen[str]:
    """Start a process that adds `keys` in shards of four rows and says so every two, with a pause after that."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER_PROCESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    task = {
        "root": str(root),
        "spec": dataclasses.asdict(spec),
        "keys": keys,
        "features": rows.features(keys).tolist(),
        "pause": pause_seconds,
    }
    assert process.stdin is not None
    process.stdin.write(json.dumps(task))
    process.stdin.close()
    return process


def wait_until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


def end(process: subprocess.Popen[str]) -> int:
    exit_code = process.wait()
    assert process.stdout is not None
    process.stdout.close()
    return exit_code


def test_rows_come_back_as_they_were_written_and_missing_ones_are_told(
    tmp_path: Path, spec: CacheSpec, rows: Rows
) -> None:
    keys = rows.keys(20)
    with FeatureCache.open(tmp_path, spec).writer(shard_bytes=100) as writer:
        writer.append(keys[:7], rows.features(keys[:7]))
        writer.append(keys[7:], rows.features(keys[7:]))

    cache = FeatureCache.open(tmp_path, spec)
    asked = [keys[19], RowKey(keys[0].sha256, "standard.1/0/1"), keys[3], RowKey("f" * 64, "0"), keys[7]]
    positions = cache.find(asked)
    assert len(cache) == 20
    assert (positions == -1).tolist() == [False, True, False, True, False]
    found = positions[positions >= 0]
    assert np.array_equal(cache.read(found), rows.features([asked[0], asked[2], asked[4]]))
    assert cache.read(positions[:0]).shape == (0, 2, 3)


def test_an_empty_cache_knows_no_row(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    cache = FeatureCache.open(tmp_path, spec)
    assert len(cache) == 0
    assert cache.find(rows.keys(2)).tolist() == [-1, -1]


def test_positions_stay_valid_when_rows_are_added(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    cache = FeatureCache.open(tmp_path, spec)
    batches = [rows.keys(3, start=start) for start in range(0, 30, 3)]
    positions = []
    for keys in batches:
        with FeatureCache.open(tmp_path, spec).writer() as writer:
            writer.append(keys, rows.features(keys))
        cache.refresh()
        positions.append(cache.find(keys))
    assert np.concatenate(positions).tolist() == list(range(30))
    assert np.array_equal(cache.read(np.arange(30)), rows.features(rows.keys(30)))


@pytest.mark.parametrize("position", [-1, 4])
def test_a_position_outside_the_cache_is_refused(tmp_path: Path, spec: CacheSpec, rows: Rows, position: int) -> None:
    cache = FeatureCache.open(tmp_path, spec)
    with cache.writer() as writer:
        writer.append(rows.keys(4), rows.features(rows.keys(4)))
    with pytest.raises(IndexError, match=r"Positions must lie in 0\.\.3"):
        cache.read(np.array([0, position]))


def test_more_shards_than_may_be_mapped_at_once_are_read_right(
    tmp_path: Path, spec: CacheSpec, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlkit.features.cache._MAX_MAPPED_SHARDS", 3)
    monkeypatch.setattr("tlkit.features.cache._ROWS_AT_ONCE", 4)
    keys = rows.keys(30)
    cache = FeatureCache.open(tmp_path, spec)
    with cache.writer(shard_bytes=1) as writer:
        for start in range(0, 30, 2):
            writer.append(keys[start : start + 2], rows.features(keys[start : start + 2]))
    assert len(list(cache.folder.glob(SHARD_PATTERN))) == 15
    order = np.random.default_rng(0).permutation(30)
    shuffled = [keys[number] for number in order]
    assert np.array_equal(cache.read(cache.find(shuffled)), rows.features(shuffled))


@pytest.mark.parametrize(
    "change",
    [
        {"backbone": "vgg16"},
        {"weights_sha256": "1" * 64},
        {"boundary": "top"},
        {"pooling": "avg"},
        {"image_size": (8, 9)},
        {"fit": "crop"},
        {"loader_version": 2},
        {"engine": "openvino"},
        {"precision": "bfloat16"},
        {"dtype": "float16"},
        {"feature_shape": (6,)},
    ],
)
def test_everything_that_a_feature_depends_on_gives_another_cache(spec: CacheSpec, change: dict[str, object]) -> None:
    assert dataclasses.replace(spec, **change).key() != spec.key()  # type: ignore[arg-type]
    assert {field.name for field in dataclasses.fields(spec)} >= change.keys()


def test_the_description_on_disk_is_the_specification(tmp_path: Path, spec: CacheSpec) -> None:
    cache = FeatureCache.open(tmp_path, spec)
    assert cache.folder == tmp_path / "features" / spec.key()[:16]
    assert read_spec(cache.folder) == spec
    assert (tmp_path / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55\n")


@pytest.mark.parametrize("damage", ["", "{}", "[" * 10_000, "another"])
def test_a_damaged_description_is_written_again(tmp_path: Path, spec: CacheSpec, rows: Rows, damage: str) -> None:
    cache = FeatureCache.open(tmp_path, spec)
    with cache.writer() as writer:
        writer.append(rows.keys(2), rows.features(rows.keys(2)))
    path = cache.folder / "cache.json"
    path.write_text(dataclasses.replace(spec, fit="crop").to_json() if damage == "another" else damage)
    assert read_spec(cache.folder) == spec, "the shard tells it"
    assert len(FeatureCache.open(tmp_path, spec)) == 2
    assert CacheSpec.from_json(path.read_bytes()) == spec


def test_a_description_that_cannot_be_written_is_not_missed(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    (spec.folder(tmp_path) / "cache.json").mkdir(parents=True)
    cache = FeatureCache.open(tmp_path, spec)
    with cache.writer() as writer:
        writer.append(rows.keys(2), rows.features(rows.keys(2)))
    assert read_spec(cache.folder) == spec


def test_a_cache_root_that_is_a_file_is_an_error_that_names_the_remedy(tmp_path: Path, spec: CacheSpec) -> None:
    root = tmp_path / "root"
    root.write_text("")
    with pytest.raises(CacheError) as refusal:
        FeatureCache.open(root, spec)
    assert str(refusal.value) == (
        f"The feature cache {spec.folder(root)} cannot be written: Not a directory.\n"
        "  Expected: a folder with enough free space that may be written to\n"
        "  Fix: make room with `tlkit cache prune`, or set TLKIT_CACHE to another folder."
    )


def test_a_shard_that_disappears_while_in_use_is_told(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    cache = FeatureCache.open(tmp_path, spec)
    with cache.writer() as writer:
        writer.append(rows.keys(1), rows.features(rows.keys(1)))
    (shard,) = cache.folder.glob(SHARD_PATTERN)
    shard.unlink()
    with pytest.raises(CacheError) as refusal:
        cache.read(np.array([0]))
    assert str(refusal.value) == (
        f"{shard} disappeared while it was in use.\n"
        "  Expected: the feature cache to stay in place during a run\n"
        "  Fix: run the command again; missing features are computed anew."
    )


def test_a_damaged_shard_is_passed_over_with_its_reason(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    cache = FeatureCache.open(tmp_path, spec)
    for start in (0, 10):
        keys = rows.keys(10, start=start)
        with cache.writer() as writer:
            writer.append(keys, rows.features(keys))
    shard = min(cache.folder.glob(SHARD_PATTERN))
    os.truncate(shard, shard.stat().st_size - 20)

    reopened = FeatureCache.open(tmp_path, spec)
    assert len(reopened) == 10
    assert list(reopened.damaged) == [shard]


@pytest.mark.parametrize("dataset", ["features", "sha256", "view", "crc32"])
def test_a_row_that_differs_from_its_checksum_is_missing_and_the_one_computed_again_is_found(
    tmp_path: Path, spec: CacheSpec, rows: Rows, dataset: str
) -> None:
    keys = rows.keys(6)
    cache = FeatureCache.open(tmp_path, spec)
    with cache.writer() as writer:
        writer.append(keys, rows.features(keys))
    (shard,) = cache.folder.glob(SHARD_PATTERN)
    with h5py.File(shard) as file:
        third_row = file[dataset].id.get_offset() + file[dataset].nbytes // 6 * 2
    content = bytearray(shard.read_bytes())
    content[third_row] ^= 1
    shard.write_bytes(content)

    damaged = FeatureCache.open(tmp_path, spec)
    assert damaged.find(keys).tolist() == [0, 1, -1, 3, 4, 5]
    if dataset in {"features", "crc32"}:  # under another key the row is never even asked for
        assert damaged.damaged == {shard: "1 row differs from its checksum"}
    with damaged.writer() as writer:
        writer.append(keys[2:3], rows.features(keys[2:3]))
    for fixed in (damaged, FeatureCache.open(tmp_path, spec)):
        positions = fixed.find(keys)
        assert (positions >= 0).all()
        assert np.array_equal(fixed.read(positions), rows.features(keys))


def test_a_row_is_compared_with_its_checksum_once(
    tmp_path: Path, spec: CacheSpec, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = rows.keys(6)
    cache = FeatureCache.open(tmp_path, spec)
    with cache.writer() as writer:
        writer.append(keys, rows.features(keys))
    checked: list[int] = []

    def read_and_note(shard: Shard, numbers: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], ShardRows]]:
        checked.extend(numbers.tolist())
        return read_blocks(shard, numbers)

    monkeypatch.setattr("tlkit.features.cache.read_blocks", read_and_note)
    cache.find(keys[:4])
    cache.find(keys)
    cache.find(keys)
    assert checked == [0, 1, 2, 3, 4, 5]


def test_a_shard_that_the_disk_cannot_read_counts_as_damaged(
    tmp_path: Path, spec: CacheSpec, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = rows.keys(3)
    cache = FeatureCache.open(tmp_path, spec)
    with cache.writer() as writer:
        writer.append(keys, rows.features(keys))

    def fail(*arguments: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("tlkit.features.shards._read_rows", fail)
    assert cache.find(keys).tolist() == [-1, -1, -1]
    assert list(cache.damaged.values()) == ["it cannot be read: Input/output error"]


def test_the_environment_names_the_cache_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path))
    assert default_cache_root() == tmp_path
    monkeypatch.setenv("TLKIT_CACHE", "")
    assert default_cache_root().name == "tlkit"


def test_a_cache_that_was_killed_again_and_again_equals_an_undisturbed_one(
    tmp_path: Path, spec: CacheSpec, rows: Rows
) -> None:
    keys = rows.keys(600)
    random = np.random.default_rng(7)
    for num_lines in random.integers(4, 30, size=6):
        process = start_writer(tmp_path, spec, keys, rows, pause_seconds=0.005)
        wait_until_ready(process)
        assert process.stdout is not None
        for _ in range(num_lines):
            process.stdout.readline()
        time.sleep(random.random() * 0.01)
        process.kill()
        assert end(process) == -9
    assert 0 < len(FeatureCache.open(tmp_path, spec)) < 600, "the kills came too early or too late to test anything"

    assert end(start_writer(tmp_path, spec, keys, rows)) == 0
    cache = FeatureCache.open(tmp_path, spec)
    assert len(cache) == 600
    assert not cache.damaged
    assert not list(cache.folder.glob(PARTIAL_PATTERN))
    assert np.array_equal(cache.read(cache.find(keys)), rows.features(keys))


def test_two_processes_may_fill_one_cache_at_the_same_time(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    keys = rows.keys(300)
    writers = [start_writer(tmp_path, spec, part, rows) for part in (keys[:200], keys[100:])]
    assert [end(writer) for writer in writers] == [0, 0]
    cache = FeatureCache.open(tmp_path, spec)
    assert 300 <= len(cache) <= 400
    assert not cache.damaged
    assert np.array_equal(cache.read(cache.find(keys)), rows.features(keys))
