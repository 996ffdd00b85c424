"""Shard files: thousands of feature rows in one HDF5 file, which is written once and then only read.

A shard holds four datasets of n rows, contiguous and uncompressed, so that a reader can map them into memory:

    features  (n, *shape) float16 or float32      sha256  (n,) S64      view  (n,) S40
    crc32     (n,) uint32, over the row's sha256, view and features

and as attributes the key of its cache and the specification. It is written under a partial name, flushed to disk, and
then renamed, so a file named `shard-*.h5` is always complete. There is no list of shards that could disagree with the
folder.
"""

from __future__ import annotations

import io
import itertools
import math
import mmap
import os
import socket
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from tlkit.features.row_keys import SHA256_DTYPE, VIEW_DTYPE, KeyArrays
from tlkit.features.spec import CacheSpec
from tlkit.files import flush_folder, list_files

SHARD_PATTERN = "shard-*.h5"
PARTIAL_PATTERN = "partial-*.h5"
_ALIGNMENT_BYTES = 64
_BLOCK_BYTES = 2**20


class DamagedShard(Exception):  # noqa: N818
    """A shard file that cannot be used; the message is the reason in words."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A finished shard, with the offset of each dataset."""

    path: Path
    num_rows: int
    dtypes: Mapping[str, np.dtype[np.generic]]
    feature_shape: tuple[int, ...]
    offsets: Mapping[str, int]

    def shape(self, name: str, num_rows: int) -> tuple[int, ...]:
        """Return the shape of some rows of a dataset."""
        return (num_rows, *self.feature_shape) if name == "features" else (num_rows,)

    def row_bytes(self, name: str) -> int:
        """Return the size of a row of a dataset."""
        return math.prod(self.shape(name, 1)) * self.dtypes[name].itemsize


@dataclass(frozen=True, slots=True)
class ShardRows:
    """Rows of a shard: read-only arrays mapped from the file, or copies in memory."""

    features: NDArray[np.floating]
    sha256: NDArray[np.bytes_]
    view: NDArray[np.bytes_]
    crc32: NDArray[np.uint32]

    @property
    def keys(self) -> KeyArrays:
        """The keys."""
        return KeyArrays(self.sha256, self.view)

    def choose(self, rows: NDArray[Any]) -> ShardRows:
        """Return copies of some rows, by number or by mask."""
        return ShardRows(self.features[rows], self.sha256[rows], self.view[rows], self.crc32[rows])

    def are_sound(self) -> NDArray[np.bool_]:
        """Return which rows match their checksums, (n,)."""
        sound: NDArray[np.bool_] = compute_crc32(self.keys, self.features) == self.crc32
        return sound


def write_shard(folder: Path, keys: KeyArrays, features: Sequence[NDArray[np.floating]], *, spec: CacheSpec) -> Path:
    """Write rows as a new shard, flush it to disk, and return its path.

    Args:
        folder: The cache's folder.
        keys: One key per row.
        features: Arrays (k, *shape) of the stored dtype, with the rows of `keys` in order.
        spec: Specification of the cache, by which shards of other caches are refused.

    Raises:
        OSError: The disk is full, or the folder is gone or read-only. The partial file is removed.
    """
    identity = uuid.uuid4().hex
    partial = folder / f"partial-{socket.gethostname()}-{os.getpid()}-{identity}.h5"
    path = folder / f"shard-{identity}.h5"
    content = _build_file(keys, features, spec)
    try:
        with partial.open("xb", buffering=0) as file:
            _write_all(file, content.getbuffer())
            os.fsync(file.fileno())
        partial.replace(path)
        flush_folder(folder)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    return path


def _write_all(file: FileIO, content: memoryview) -> None:
    while content:
        content = content[file.write(content) or 0 :]


def _build_file(keys: KeyArrays, features: Sequence[NDArray[np.floating]], spec: CacheSpec) -> io.BytesIO:
    """Return the content of a shard. HDF5 writes to memory, because on a full disk it crashes or fails silently."""
    content = io.BytesIO()
    num_rows = len(keys.sha256)
    with h5py.File(content, "w", alignment_threshold=1, alignment_interval=_ALIGNMENT_BYTES) as file:
        file.attrs["cache_key"] = spec.key()
        file.attrs["spec"] = spec.to_json()
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
    return content


def compute_crc32(keys: KeyArrays, features: NDArray[np.floating]) -> NDArray[np.uint32]:
    """Return the checksum of each row's key and features, uint32 (n,), at about 2 GB/s and a microsecond per row."""
    columns = [np.ascontiguousarray(field).view(np.uint8).reshape(len(field), -1) for field in keys]
    rows = np.ascontiguousarray(features).reshape(len(features), -1).view(np.uint8)
    pairs = zip(np.concatenate(columns, axis=1), rows, strict=True)
    return np.fromiter((zlib.crc32(row.data, zlib.crc32(key.data)) for key, row in pairs), np.uint32, len(rows))


def read_shard(path: Path, spec: CacheSpec) -> Shard:
    """Return the offsets of a shard's datasets, after checking that they are plain data in this file.

    A crafted HDF5 file can refer to other files through external links, external storage and virtual datasets, which
    h5py follows silently. Only contiguous storage behind a hard link is accepted.

    Raises:
        DamagedShard: The file is unreadable, truncated, of another cache, or not in the layout of `write_shard`.
        FileNotFoundError: The file is gone.
    """
    dtypes = {
        "features": np.dtype(spec.dtype),
        "sha256": SHA256_DTYPE,
        "view": VIEW_DTYPE,
        "crc32": np.dtype(np.uint32),
    }
    with _opened(path) as file:
        if file.attrs.get("cache_key") != spec.key():
            raise DamagedShard("it belongs to another cache")
        datasets = {name: _get_contiguous_dataset(file, name) for name in dtypes}
        offsets = {name: int(dataset.id.get_offset()) for name, dataset in datasets.items()}
        shard = Shard(path, len(datasets["sha256"]), dtypes, spec.feature_shape, offsets)
        for name, dataset in datasets.items():
            shape = shard.shape(name, shard.num_rows)
            if dataset.shape != shape or dataset.dtype != dtypes[name]:
                raise DamagedShard(f"{name} is {dataset.dtype} {dataset.shape}, not {dtypes[name]} {shape}")
            if offsets[name] + shard.num_rows * shard.row_bytes(name) > path.stat().st_size:
                raise DamagedShard(f"{name} reaches beyond the end of the file")
    return shard


def read_shard_spec(path: Path) -> CacheSpec:
    """Return the specification in a shard.

    Raises:
        DamagedShard: The file is unreadable, or has none.
        FileNotFoundError: The file is gone.
    """
    with _opened(path) as file:
        return CacheSpec.from_json(file.attrs["spec"])


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """Open a shard; any error of HDF5, then or later, counts as damage."""
    if path.exists() and not path.is_file():  # a pipe would keep HDF5 waiting
        raise DamagedShard("it is not a file")
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except FileNotFoundError:
        raise
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, MemoryError) as error:
        raise DamagedShard(f"HDF5 cannot read it: {error}") from error


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


def map_shard(shard: Shard) -> ShardRows:
    """Return the shard's rows as arrays over the mapped file, without reading them.

    Raises:
        DamagedShard: It is shorter than when it was listed.
        OSError: The shard was removed since it was listed, or cannot be mapped.
    """
    # np.memmap resolves the path on every call and takes twenty times as long.
    with shard.path.open("rb") as file:
        try:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            arrays = {
                name: np.ndarray(shard.shape(name, shard.num_rows), dtype, content, shard.offsets[name])
                for name, dtype in shard.dtypes.items()
            }
        except (TypeError, ValueError) as error:
            raise DamagedShard(f"it was cut short: {error}") from error
    return ShardRows(**arrays)


def describe_altered(num_rows: int) -> str:
    """Describe the number of altered rows of a shard."""
    return "1 row differs from its checksum" if num_rows == 1 else f"{num_rows:,} rows differ from their checksums"


def read_blocks(shard: Shard, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], ShardRows]]:
    """Read rows in blocks of about a megabyte; yield the row numbers and rows of each.

    The file is not mapped, so that a failing disk raises an error instead of killing the process.

    Args:
        shard: The shard.
        rows: Row numbers, ascending: int64 (n,).

    Raises:
        DamagedShard: The file cannot be read there.
        FileNotFoundError: It is gone.
    """
    blocks = rows // max(1, _BLOCK_BYTES // shard.row_bytes("features"))
    edges = [0, *(np.flatnonzero(np.diff(blocks)) + 1), len(rows)]
    try:
        with shard.path.open("rb", buffering=0) as file:
            for start, stop in itertools.pairwise(edges):
                chosen = rows[start:stop]
                first, last = int(chosen[0]), int(chosen[-1])
                fields = {name: _read_rows(file, shard, name, first, last + 1) for name in shard.dtypes}
                yield chosen, ShardRows(**fields).choose(chosen - first)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedShard(f"it cannot be read: {error.strerror or error}") from error


def _read_rows(file: FileIO, shard: Shard, name: str, start: int, stop: int) -> NDArray[Any]:
    content = bytearray((stop - start) * shard.row_bytes(name))
    file.seek(shard.offsets[name] + start * shard.row_bytes(name))
    if file.readinto(content) != len(content):
        raise DamagedShard(f"{name} ends too early")
    return np.frombuffer(content, shard.dtypes[name]).reshape(shard.shape(name, stop - start))


def find_stale_partials(folder: Path) -> list[Path]:
    """Return the partial files in `folder` whose processes have ended.

    Processes of other machines cannot be checked, so their files are never stale.
    """
    host = socket.gethostname()
    stale = []
    for path in list_files(folder, PARTIAL_PATTERN):
        owner, _, process = path.stem.removeprefix("partial-").rpartition("-")[0].rpartition("-")
        if owner == host and process.isdigit() and not _is_running(int(process)):
            stale.append(path)
    return stale


def remove_stale_partials(folder: Path) -> None:
    """Remove the partial files of killed processes of this machine."""
    for path in find_stale_partials(folder):
        with suppress(OSError):
            path.unlink()


def _is_running(process: int) -> bool:
    # On POSIX signal 0 only checks; on Windows it would end the process.
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
