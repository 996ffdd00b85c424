from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from tlkit.features.row_keys import encode_rows
from tlkit.features.shards import DamagedShard, find_stale_partials, map_shard, read_blocks, read_shard, write_shard
from tlkit.features.spec import CacheSpec

if TYPE_CHECKING:
    from tests.features.conftest import Rows

SHAPE = (2, 3)


@pytest.fixture
def shard_path(tmp_path: Path, spec: CacheSpec, rows: Rows) -> Path:
    keys = rows.keys(5)
    return write_shard(tmp_path, encode_rows(keys), [rows.features(keys)], spec=spec)


def test_a_mapped_shard_holds_what_was_written(shard_path: Path, spec: CacheSpec, rows: Rows) -> None:
    mapped = map_shard(read_shard(shard_path, spec))
    assert np.array_equal(mapped.features, rows.features(rows.keys(5)))
    assert mapped.sha256.tolist() == [key.sha256.encode() for key in rows.keys(5)]
    assert mapped.view.tolist() == [b"0"] * 5
    assert mapped.features.flags.aligned
    assert not mapped.features.flags.writeable


def outside_link(file: h5py.File, outside: Path) -> None:
    del file["features"]
    file["features"] = h5py.ExternalLink(outside.name, "features")


def soft_link(file: h5py.File, outside: Path) -> None:
    file["elsewhere"] = file["features"]
    del file["features"]
    file["features"] = h5py.SoftLink("/elsewhere")


def outside_storage(file: h5py.File, outside: Path) -> None:
    del file["features"]
    file.create_dataset("features", (5, *SHAPE), "f4", external=[(str(outside), 0, h5py.h5f.UNLIMITED)])


def virtual_dataset(file: h5py.File, outside: Path) -> None:
    del file["features"]
    layout = h5py.VirtualLayout((5, *SHAPE), "f4")
    layout[:] = h5py.VirtualSource(str(outside), "features", (5, *SHAPE))
    file.create_virtual_dataset("features", layout)


def chunked_dataset(file: h5py.File, outside: Path) -> None:
    del file["features"]
    file.create_dataset("features", data=np.zeros((5, *SHAPE), np.float32), chunks=(1, *SHAPE))


def other_number_of_rows(file: h5py.File, outside: Path) -> None:
    del file["features"]
    file.create_dataset("features", data=np.zeros((4, *SHAPE), np.float32))


def missing_dataset(file: h5py.File, outside: Path) -> None:
    del file["crc32"]


def other_cache(file: h5py.File, outside: Path) -> None:
    file.attrs["cache_key"] = "that"


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (outside_link, "features is missing, or a link"),
        (soft_link, "features is missing, or a link"),
        (outside_storage, "features is not stored contiguously in this file"),
        (virtual_dataset, "features is not stored contiguously in this file"),
        (chunked_dataset, "features is not stored contiguously in this file"),
        (other_number_of_rows, "features is float32 (4, 2, 3), not float32 (5, 2, 3)"),
        (missing_dataset, "crc32 is missing, or a link"),
        (other_cache, "it belongs to another cache"),
    ],
)
def test_a_shard_that_was_tampered_with_is_refused(
    tmp_path: Path, shard_path: Path, spec: CacheSpec, harm: Callable[[h5py.File, Path], None], reason: str
) -> None:
    outside = tmp_path / "outside.h5"
    with h5py.File(outside, "w") as file:
        file["features"] = np.ones((5, *SHAPE), np.float32)
    with h5py.File(shard_path, "a") as file:
        harm(file, outside)
    with pytest.raises(DamagedShard) as refusal:
        read_shard(shard_path, spec)
    assert str(refusal.value) == reason


@pytest.mark.parametrize("kept_bytes", [0, 100, -8])
def test_a_truncated_shard_is_refused(shard_path: Path, spec: CacheSpec, kept_bytes: int) -> None:
    os.truncate(shard_path, kept_bytes % shard_path.stat().st_size)
    with pytest.raises(DamagedShard):
        read_shard(shard_path, spec)


def test_only_partial_files_of_ended_processes_of_this_machine_are_stale(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    owners = {
        "ended": f"{socket.gethostname()}-{ended.pid}",
        "running": f"{socket.gethostname()}-{os.getpid()}",
        "foreign": f"another-{socket.gethostname()}-{ended.pid}",
    }
    paths = {name: tmp_path / f"partial-{owner}-0123abcd.h5" for name, owner in owners.items()}
    for path in [*paths.values(), tmp_path / "partial-.h5"]:
        path.write_bytes(b"")
    assert find_stale_partials(tmp_path) == [paths["ended"]]


def test_rows_are_read_in_blocks_whichever_are_wanted(
    tmp_path: Path, spec: CacheSpec, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlkit.features.shards._BLOCK_BYTES", 3 * 24)
    keys = rows.keys(20)
    shard = read_shard(write_shard(tmp_path, encode_rows(keys), [rows.features(keys)], spec=spec), spec)
    positions = np.array([0, 2, 3, 4, 9, 10, 19])
    blocks = list(read_blocks(shard, positions))
    assert [part.tolist() for part, _ in blocks] == [[0, 2], [3, 4], [9, 10], [19]]
    for part, block in blocks:
        assert block.are_sound().all()
        assert np.array_equal(block.features, rows.features(keys)[part])


def test_a_shard_that_is_cut_short_after_it_was_opened_is_damaged(
    shard_path: Path, spec: CacheSpec, rows: Rows
) -> None:
    shard = read_shard(shard_path, spec)
    os.truncate(shard_path, shard.offsets["features"] + 24)
    with pytest.raises(DamagedShard, match="features ends too early"):
        list(read_blocks(shard, np.arange(5)))
    with pytest.raises(DamagedShard, match="it was cut short"):
        map_shard(shard)


def test_a_dataset_that_reaches_beyond_the_file_is_refused(shard_path: Path, spec: CacheSpec) -> None:
    shard = read_shard(shard_path, spec)
    content = bytearray(shard_path.read_bytes())
    offset = shard.offsets["crc32"].to_bytes(8, "little")
    place = content.index(offset)
    content[place : place + 8] = (len(content) - 4).to_bytes(8, "little")
    shard_path.write_bytes(content)
    with pytest.raises(DamagedShard):
        read_shard(shard_path, spec)
