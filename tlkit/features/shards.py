"""Shard files: some thousand feature rows in one HDF5 file, written once, then only read.

A shard holds four datasets of n rows, contiguous and uncompressed, so that a reader can map them into memory:

    features  (n, *shape) float16 or float32      sha256  (n,) S64      view  (n,) S40
    crc32     (n,) uint32, over the row's sha256, view and features

It is written under a partial name, closed, flushed to the disk and only then renamed. So a file named `shard-*.h5` is
whole, whenever the process that wrote it was killed; there is no list of shards that could disagree with the folder.
"""

from __future__ import annotations

import mmap
import os
import socket
import uuid
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from tlkit.features.row_keys import SHA256_DTYPE, VIEW_DTYPE, KeyArrays
from tlkit.files import flush_folder

SHARD_PATTERN = "shard-*.h5"
PARTIAL_PATTERN = "partial-*.h5"
_ALIGNMENT_BYTES = 64


class DamagedShard(Exception):  # noqa: N818
    """A shard file that cannot be used; the message is the reason in words."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A finished shard: where it is, and where in it each dataset begins."""

    path: Path
    num_rows: int
    dtypes: Mapping[str, np.dtype[np.generic]]
    feature_shape: tuple[int, ...]
    offsets: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class MappedShard:
    """The rows of a shard as read-only arrays that lie in the file, not in memory."""

    features: NDArray[np.floating]
    sha256: NDArray[np.bytes_]
    view: NDArray[np.bytes_]
    crc32: NDArray[np.uint32]


def write_shard(folder: Path, keys: KeyArrays, features: Sequence[NDArray[np.floating]], *, cache_key: str) -> Path:
    """Write rows as one new shard and return its path once it is safely on the disk.

    Args:
        folder: The cache's folder.
        keys: One key a row.
        features: Arrays (k, *shape) of the stored dtype, which hold the rows of `keys` in order.
        cache_key: The cache that the rows belong to; a shard in a foreign folder is refused by it.

    Raises:
        OSError: The disk is full, or the folder is gone or read-only. The partial file is removed.
    """
    identity = uuid.uuid4().hex
    partial = folder / f"partial-{socket.gethostname()}-{os.getpid()}-{identity}.h5"
    path = folder / f"shard-{identity}.h5"
    try:
        _write_datasets(partial, keys, features, cache_key)
        _flush_to_disk(partial)
        partial.replace(path)
        flush_folder(folder)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        # HDF5 reports a full disk at the closing of a file as a RuntimeError.
        if isinstance(error, RuntimeError):
            raise OSError(str(error)) from error
        raise
    return path


def _write_datasets(partial: Path, keys: KeyArrays, features: Sequence[NDArray[np.floating]], cache_key: str) -> None:
    num_rows = len(keys.sha256)
    with h5py.File(partial, "x", locking=False, alignment_threshold=1, alignment_interval=_ALIGNMENT_BYTES) as file:
        file.attrs["cache_key"] = cache_key
        file.create_dataset("sha256", data=keys.sha256)
        file.create_dataset("view", data=keys.view)
        stored = file.create_dataset("features", (num_rows, *features[0].shape[1:]), features[0].dtype)
        crc32 = np.empty(num_rows, dtype=np.uint32)
        start = 0
        for block in features:
            stop = start + len(block)
            stored[start:stop] = block
            crc32[start:stop] = compute_crc32(KeyArrays(keys.sha256[start:stop], keys.view[start:stop]), block)
            start = stop
        if start != num_rows:
            raise ValueError(f"{num_rows} keys came with {start} feature rows.")
        file.create_dataset("crc32", data=crc32)


def compute_crc32(keys: KeyArrays, features: NDArray[np.floating]) -> NDArray[np.uint32]:
    """Return the checksum of each row's key and features, uint32 (n,)."""
    sha256 = np.ascontiguousarray(keys.sha256).view(np.uint8).reshape(len(features), -1)
    view = np.ascontiguousarray(keys.view).view(np.uint8).reshape(len(features), -1)
    checksums = np.empty(len(features), dtype=np.uint32)
    for index, row in enumerate(np.ascontiguousarray(features)):
        checksums[index] = zlib.crc32(row, zlib.crc32(view[index], zlib.crc32(sha256[index])))
    return checksums


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_shard(path: Path, *, dtype: str, feature_shape: tuple[int, ...], cache_key: str) -> Shard:
    """Return where a shard's datasets lie, after checking that they are plain data inside this very file.

    A crafted HDF5 file can point at other files through external links, external storage and virtual datasets, which
    h5py follows without a word. Nothing but contiguous storage behind a hard link is accepted.

    Raises:
        DamagedShard: The file is unreadable, truncated, foreign or not laid out as `write_shard` does it.
        FileNotFoundError: The file is gone.
    """
    dtypes = {
        "features": np.dtype(dtype),
        "sha256": SHA256_DTYPE,
        "view": VIEW_DTYPE,
        "crc32": np.dtype(np.uint32),
    }
    try:
        with h5py.File(path, "r", locking=False) as file:
            if file.attrs.get("cache_key") != cache_key:
                raise DamagedShard("it belongs to another cache")
            datasets = {name: _get_contiguous_dataset(file, name) for name in dtypes}
            num_rows = len(datasets["sha256"])
            for name, dataset in datasets.items():
                shape = (num_rows, *feature_shape) if name == "features" else (num_rows,)
                if dataset.shape != shape or dataset.dtype != dtypes[name]:
                    raise DamagedShard(f"{name} is {dataset.dtype} {dataset.shape}, not {dtypes[name]} {shape}")
            offsets = {name: int(dataset.id.get_offset()) for name, dataset in datasets.items()}
    except FileNotFoundError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise DamagedShard(f"HDF5 cannot read it: {error}") from error
    return Shard(path, num_rows, dtypes, feature_shape, offsets)


def _get_contiguous_dataset(file: h5py.File, name: str) -> h5py.Dataset:
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise DamagedShard(f"{name} is missing, or a link")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.ndim == 0 or len(dataset) == 0:
        raise DamagedShard(f"{name} holds no rows")
    properties = dataset.id.get_create_plist()
    if properties.get_layout() != h5py.h5d.CONTIGUOUS or properties.get_external_count():
        raise DamagedShard(f"{name} is not stored contiguously in this file")
    return dataset


def map_shard(shard: Shard) -> MappedShard:
    """Return the shard's rows as arrays over the mapped file; nothing is read until it is used.

    Raises:
        FileNotFoundError: The shard was removed since it was listed.
    """
    # np.memmap resolves the path anew at every call and takes twenty times as long.
    with shard.path.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    arrays = {
        name: np.ndarray(
            (shard.num_rows, *(shard.feature_shape if name == "features" else ())),
            dtype=dtype,
            buffer=content,
            offset=shard.offsets[name],
        )
        for name, dtype in shard.dtypes.items()
    }
    return MappedShard(**arrays)


def find_stale_partials(folder: Path) -> list[Path]:
    """Return the partial files in `folder` that nobody writes any more.

    These are the ones of processes of this machine that have ended. Another machine's processes cannot be looked up;
    theirs are never stale here.
    """
    host = socket.gethostname()
    stale = []
    for path in sorted(folder.glob(PARTIAL_PATTERN)):
        owner, _, process = path.stem.removeprefix("partial-").rpartition("-")[0].rpartition("-")
        if owner == host and process.isdigit() and not _is_running(int(process)):
            stale.append(path)
    return stale


def remove_stale_partials(folder: Path) -> None:
    """Remove what killed processes of this machine left half written."""
    for path in find_stale_partials(folder):
        with suppress(OSError):
            path.unlink()


def _is_running(process: int) -> bool:
    # Signal 0 only asks on POSIX; on Windows it would end the process.
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
