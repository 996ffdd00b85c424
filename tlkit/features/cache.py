"""The feature cache: what a frozen trunk gave for each view of each image, kept on disk across runs.

Content decides everything. A cache belongs to one way of computing features (`CacheSpec`); a row in it to the bytes of
an image file and a view. So a renamed image costs nothing, a changed one is computed anew, and no entry ever has to be
invalidated. Finished shards are never changed: any number of processes may read and add at once. Two that compute the
same row at the same time store it twice, which is harmless.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tlkit.errors import CacheError
from tlkit.features.row_keys import KeyArrays, RowIndex, RowKey, compute_fingerprints, encode_rows
from tlkit.features.shards import SHARD_PATTERN, DamagedShard, MappedShard, Shard, map_shard, read_shard
from tlkit.features.spec import SPEC_FILE, CacheSpec, create_folder, default_cache_root
from tlkit.features.writer import SHARD_BYTES, SHARD_SECONDS, CacheWriter

__all__ = ["CacheSpec", "FeatureCache", "RowKey", "default_cache_root"]

# Each mapped shard holds a file descriptor, of which macOS gives a process 256.
_MOST_MAPPED_SHARDS = 128
_ROWS_AT_ONCE = 2**16


class FeatureCache:
    """The rows of one specification. Open it with `FeatureCache.open`.

    A row is addressed by its position, an integer that stays valid for the life of this object: rows that are added
    later, by this process or by another, get higher positions.

    Attributes:
        spec: What the rows are.
        folder: Where the shards lie.
        damaged: Shards that were passed over, each with its reason; their rows count as missing.
    """

    def __init__(self, folder: Path, spec: CacheSpec) -> None:
        self.spec = spec
        self.folder = folder
        self.damaged: dict[Path, str] = {}
        self._shards: list[Shard] = []
        self._starts = np.zeros(1, dtype=np.int64)
        self._fingerprints: list[NDArray[np.uint64]] = []
        self._index = RowIndex(np.empty(0, dtype=np.uint64))
        self._map = lru_cache(maxsize=_MOST_MAPPED_SHARDS)(self._map_shard)

    @classmethod
    def open(cls, root: Path, spec: CacheSpec) -> Self:
        """Open the cache of `spec` under the cache root, making it if there is none yet.

        A million rows take about a second, and 24 bytes of memory each.

        Raises:
            CacheError: The folder cannot be made, or holds something else.
        """
        folder = create_folder(root, spec)
        with suppress(OSError):
            os.utime(folder / SPEC_FILE)
        cache = cls(folder, spec)
        cache.refresh()
        return cache

    def __len__(self) -> int:
        return int(self._starts[-1])

    def refresh(self) -> None:
        """Take in the shards that were finished since the last look."""
        known = {shard.path for shard in self._shards} | self.damaged.keys()
        found = [path for path in sorted(self.folder.glob(SHARD_PATTERN)) if path not in known]
        for path in found:
            try:
                shard = read_shard(
                    path, dtype=self.spec.dtype, feature_shape=self.spec.feature_shape, cache_key=self.spec.key()
                )
                mapped = map_shard(shard)
            except DamagedShard as damage:
                self.damaged[path] = str(damage)
                continue
            except FileNotFoundError:  # pruned by another process in this very moment
                continue
            self._shards.append(shard)
            self._fingerprints.append(compute_fingerprints(KeyArrays(mapped.sha256, mapped.view)))
        if found:
            self._starts = np.cumsum([0, *(shard.num_rows for shard in self._shards)], dtype=np.int64)
            self._index = RowIndex(np.concatenate([np.empty(0, np.uint64), *self._fingerprints]))

    def find(self, rows: Iterable[RowKey]) -> NDArray[np.int64]:
        """Return the position of each row, -1 where the cache has none: int64 (n,)."""
        remaining = iter(rows)
        positions = [np.empty(0, dtype=np.int64)]
        while block := list(islice(remaining, _ROWS_AT_ONCE)):
            positions.append(self._index.find(encode_rows(block), self._read_keys))
        return np.concatenate(positions)

    def read(self, positions: NDArray[np.int64]) -> NDArray[np.floating]:
        """Return the features at `positions` (n,), in that order: (n, *shape) in the stored dtype.

        Only the rows asked for are read from the disk.

        Raises:
            IndexError: A position is negative or beyond the last row.
            CacheError: A shard was removed since the cache was opened.
        """
        features = np.empty((len(positions), *self.spec.feature_shape), dtype=self.spec.dtype)
        self._gather(positions, {"features": features})
        return features

    def writer(self, *, shard_bytes: int = SHARD_BYTES, shard_seconds: float = SHARD_SECONDS) -> CacheWriter:
        """Return a context manager that adds rows; they can be found here once it is left."""
        return CacheWriter(self, shard_bytes=shard_bytes, shard_seconds=shard_seconds)

    def _read_keys(self, positions: NDArray[np.int64]) -> KeyArrays:
        keys = encode_rows([])
        keys = KeyArrays(*(np.empty(len(positions), dtype=field.dtype) for field in keys))
        self._gather(positions, keys._asdict())
        return keys

    def _gather(self, positions: NDArray[np.int64], destinations: dict[str, NDArray[Any]]) -> None:
        """Copy the rows at `positions` out of the shards' datasets into the arrays of the same names."""
        if len(positions) == 0:
            return
        order = np.argsort(positions, kind="stable")
        ordered = np.asarray(positions)[order]
        if ordered[0] < 0 or ordered[-1] >= len(self):
            raise IndexError(f"Positions must lie in 0..{len(self) - 1}. Received: {ordered[0]}..{ordered[-1]}")
        edges = np.searchsorted(ordered, self._starts)
        for number in np.flatnonzero(np.diff(edges)):
            part = slice(edges[number], edges[number + 1])
            shard = self._map(int(number))
            for name, destination in destinations.items():
                _copy_rows(getattr(shard, name), ordered[part] - self._starts[number], destination, order[part])

    def _map_shard(self, number: int) -> MappedShard:
        path = self._shards[number].path
        try:
            return map_shard(self._shards[number])
        except FileNotFoundError as error:
            raise CacheError(
                f"{path} disappeared while it was in use.",
                expected="the feature cache to stay in place during a run",
                fix="run the command again; missing features are computed anew.",
            ) from error


def _copy_rows(
    source: NDArray[Any], rows: NDArray[np.int64], destination: NDArray[Any], places: NDArray[np.int64]
) -> None:
    """Copy rows of one array to places in another; neighbours that stay neighbours without a copy in between."""
    run = range(len(rows))
    if np.array_equal(rows, rows[0] + run) and np.array_equal(places, places[0] + run):
        destination[places[0] : places[-1] + 1] = source[rows[0] : rows[-1] + 1]
    else:
        destination[places] = source[rows]
