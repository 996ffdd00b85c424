"""The feature cache: the output of a frozen trunk for each view of each image, kept on disk across runs.

Everything is addressed by content: a cache by how its features are computed (`CacheSpec`), a row by the bytes of the
image file and the view. A renamed image is found, a changed one is computed again, and entries never need to be
invalidated. Finished shards never change, so any number of processes may read and add rows at once. If two compute the
same row, it is stored twice, which is harmless.

Each `FeatureCache` compares a row with its checksum when it first finds it. A damaged row counts as missing and is
computed again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tlkit.errors import CacheError
from tlkit.features.folder import open_folder
from tlkit.features.row_keys import KeyArrays, RowIndex, RowKey, compute_fingerprints, encode_rows
from tlkit.features.shards import (
    SHARD_PATTERN,
    DamagedShard,
    Shard,
    ShardRows,
    describe_altered,
    map_shard,
    read_blocks,
    read_shard,
)
from tlkit.features.shared import open_shared
from tlkit.features.spec import CacheSpec
from tlkit.features.writer import SHARD_BYTES, SHARD_SECONDS, CacheWriter

__all__ = ["CacheSpec", "FeatureCache", "RowKey"]

# Each mapped shard holds a file descriptor, of which macOS gives a process 256.
_MAX_MAPPED_SHARDS = 128
_ROWS_AT_ONCE = 2**16
_UNCHECKED, _SOUND, _DAMAGED = range(3)


class FeatureCache:
    """The rows of one specification; open it with `FeatureCache.open`.

    A row has a position, an integer that stays valid for the life of this object: rows added later, by any process, get
    higher positions.

    Attributes:
        spec: Specification of the rows.
        folder: Folder of the shards.
        shared: The same cache at a place, if TLKIT_CACHE is a URL; else None.
        damaged: Shards with damage, each with its reason; the damaged rows count as missing.
    """

    def __init__(self, root: Path, spec: CacheSpec) -> None:
        self.spec = spec
        self.folder = open_folder(root, spec, user=self)
        self.shared = open_shared(self.folder)
        self.damaged: dict[Path, str] = {}
        self._shards: list[Shard] = []
        self._verdicts: list[NDArray[np.uint8]] = []
        self._starts = np.zeros(1, dtype=np.int64)
        self._fingerprints: list[NDArray[np.uint64]] = []
        self._index = RowIndex(np.empty(0, dtype=np.uint64))
        self._map = lru_cache(maxsize=_MAX_MAPPED_SHARDS)(partial(_map_listed, self._shards))

    @classmethod
    def open(cls, root: Path, spec: CacheSpec) -> Self:
        """Open the cache of `spec` under the cache root, creating it if necessary.

        A million rows take about a second, and 25 bytes of memory per row.

        Raises:
            CacheError: The folder cannot be made.
            PlaceError: TLKIT_CACHE is a URL, and the place cannot be read.
        """
        cache = cls(root, spec)
        cache.refresh()
        return cache

    def __len__(self) -> int:
        return int(self._starts[-1])

    def refresh(self) -> None:
        """Add the shards that were finished since the last call."""
        known = {shard.path for shard in self._shards} | self.damaged.keys()
        found = [path for path in sorted(self.folder.glob(SHARD_PATTERN)) if path not in known]
        for path in found:
            try:
                shard = read_shard(path, self.spec)
                fingerprints = compute_fingerprints(map_shard(shard).keys)
            except FileNotFoundError:  # removed by another process in this very moment
                continue
            except (DamagedShard, OSError) as damage:
                self.damaged[path] = str(damage)
                continue
            self._shards.append(shard)
            self._verdicts.append(np.full(shard.num_rows, _UNCHECKED, np.uint8))
            self._fingerprints.append(fingerprints)
        if found:
            self._starts = np.cumsum([0, *(shard.num_rows for shard in self._shards)], dtype=np.int64)
            self._index = RowIndex(np.concatenate([np.empty(0, np.uint64), *self._fingerprints]))

    def find(self, rows: Iterable[RowKey]) -> NDArray[np.int64]:
        """Return the position of each row, int64 (n,); -1 if it is missing or damaged.

        Rows found for the first time are compared with their checksums, at about 2 GB/s.
        """
        remaining = iter(rows)
        positions = [np.empty(0, dtype=np.int64)]
        while block := list(islice(remaining, _ROWS_AT_ONCE)):
            positions.append(self._index.find(encode_rows(block), self._match))
        return np.concatenate(positions)

    def find_keys(self, keys: KeyArrays) -> NDArray[np.int64]:
        """Return the position of each row, as `find` does, from keys in their stored form."""
        blocks = [slice(start, start + _ROWS_AT_ONCE) for start in range(0, len(keys.sha256), _ROWS_AT_ONCE)]
        found = [self._index.find(KeyArrays(keys.sha256[block], keys.view[block]), self._match) for block in blocks]
        return np.concatenate([np.empty(0, dtype=np.int64), *found])

    def read(self, positions: NDArray[np.int64]) -> NDArray[np.floating]:
        """Return the features at `positions` (n,), in that order: (n, *shape) in the stored dtype.

        Only these rows are read from disk.

        Raises:
            IndexError: A position is negative or beyond the last row.
            CacheError: A shard was removed since the cache was opened.
        """
        features = np.empty((len(positions), *self.spec.feature_shape), dtype=self.spec.dtype)
        self._gather(positions, {"features": features})
        return features

    def writer(self, *, shard_bytes: int = SHARD_BYTES, shard_seconds: float = SHARD_SECONDS) -> CacheWriter:
        """Return a context manager that adds rows; they can be found after it exits."""
        return CacheWriter(self, shard_bytes=shard_bytes, shard_seconds=shard_seconds)

    def _match(self, positions: NDArray[np.int64], keys: KeyArrays) -> NDArray[np.bool_]:
        """Return which positions hold sound rows with these keys."""
        stored = KeyArrays(*(np.empty(len(positions), dtype=field.dtype) for field in encode_rows([])))
        self._gather(positions, stored._asdict())
        matches: NDArray[np.bool_] = (stored.sha256 == keys.sha256) & (stored.view == keys.view)
        matches[matches] = self._are_sound(positions[matches])
        return matches

    def _are_sound(self, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
        sound = np.empty(len(positions), dtype=np.bool_)
        for number, rows, places in self._by_shard(positions):
            verdicts = self._verdicts[number]
            unchecked = np.unique(rows[verdicts[rows] == _UNCHECKED])
            if unchecked.size:
                self._check(number, unchecked)
            sound[places] = verdicts[rows] == _SOUND
        return sound

    def _check(self, number: int, rows: NDArray[np.int64]) -> None:
        """Compare rows of a shard, ascending, with their checksums, and record the results."""
        shard, verdicts = self._shards[number], self._verdicts[number]
        verdicts[rows] = _DAMAGED
        try:
            for part, block in read_blocks(shard, rows):
                verdicts[part[block.are_sound()]] = _SOUND
        except FileNotFoundError:  # removed by another process in this very moment
            return
        except DamagedShard as damage:
            self.damaged[shard.path] = str(damage)
            return
        if not (verdicts[rows] == _SOUND).all():
            num_damaged = int((verdicts == _DAMAGED).sum())
            self.damaged[shard.path] = describe_altered(num_damaged)

    def _gather(self, positions: NDArray[np.int64], destinations: dict[str, NDArray[Any]]) -> None:
        """Copy the rows at `positions` from the shards' datasets into the arrays of the same names."""
        for number, rows, places in self._by_shard(positions):
            shard = self._map(number)
            for name, destination in destinations.items():
                _copy_rows(getattr(shard, name), rows, destination, places)

    def _by_shard(self, positions: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
        """Yield each shard's number with the rows in it, ascending, and their places in `positions`."""
        if len(positions) == 0:
            return
        order = np.argsort(positions, kind="stable")
        ordered = np.asarray(positions)[order]
        if ordered[0] < 0 or ordered[-1] >= len(self):
            raise IndexError(f"Positions must lie in 0..{len(self) - 1}. Received: {ordered[0]}..{ordered[-1]}")
        edges = np.searchsorted(ordered, self._starts)
        for number in np.flatnonzero(np.diff(edges)):
            part = slice(edges[number], edges[number + 1])
            yield int(number), ordered[part] - self._starts[number], order[part]


def _map_listed(shards: Sequence[Shard], number: int) -> ShardRows:
    path = shards[number].path
    try:
        return map_shard(shards[number])
    except (DamagedShard, OSError) as error:
        problem = "disappeared" if isinstance(error, FileNotFoundError) else f"can no longer be read ({error})"
        raise CacheError(
            f"{path} {problem} while it was in use.",
            expected="the feature cache to stay in place during a run",
            fix="run the command again; missing features are computed anew.",
        ) from error


def _copy_rows(
    source: NDArray[Any], rows: NDArray[np.int64], destination: NDArray[Any], places: NDArray[np.int64]
) -> None:
    """Copy rows of one array to places in another, contiguous rows as one slice."""
    run = range(len(rows))
    if np.array_equal(rows, rows[0] + run) and np.array_equal(places, places[0] + run):
        destination[places[0] : places[-1] + 1] = source[rows[0] : rows[-1] + 1]
    else:
        destination[places] = source[rows]
