"""Join the small shards of a cache into full ones, each row once.

The new shards are written while the old ones are there, which is harmless, and the old ones are only removed while nobody
else uses the cache, since readers keep positions in them. So this can be interrupted at any time, and repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tlkit.features.folder import claimed, read_spec, unwritable_cache
from tlkit.features.row_keys import KeyArrays, compute_fingerprints
from tlkit.features.shards import (
    SHARD_PATTERN,
    DamagedShard,
    Shard,
    ShardRows,
    map_shard,
    read_blocks,
    read_shard,
    write_shard,
)
from tlkit.features.spec import CacheSpec
from tlkit.features.upkeep import verify_cache
from tlkit.features.writer import SHARD_BYTES
from tlkit.files import list_files

IN_USE = "another process is using it"


@dataclass(frozen=True)
class JoinReport:
    """What joining did to one cache.

    Attributes:
        num_before: Number of shards that were joined.
        num_after: Number of shards that they became.
        num_doubled: Number of rows that were there twice and are dropped.
        reason: Why nothing was joined; empty if something was, or there was nothing to join.
    """

    num_before: int = 0
    num_after: int = 0
    num_doubled: int = 0
    reason: str = ""


class ShardJoiner:
    """Collects rows, and writes them as full shards; a row that is collected twice is written once."""

    def __init__(
        self, folder: Path, spec: CacheSpec, seen: NDArray[np.uint64], written: Callable[[Path], None]
    ) -> None:
        self._folder, self._spec, self._written = folder, spec, written
        self._blocks: list[ShardRows] = []
        self._seen = seen
        self._fresh: list[NDArray[np.uint64]] = []
        self._num_bytes = 0

    def choose_new(self, keys: KeyArrays) -> NDArray[np.int64]:
        """Return the numbers of the rows that have not been added, ascending, each once.

        Rows are told apart by 64 bits of a hash. If two collide, one is lost and computed again when it is needed.
        """
        self._seen = np.sort(np.concatenate([self._seen, *self._fresh]), kind="stable")
        self._fresh.clear()
        fingerprints, numbers = np.unique(compute_fingerprints(keys), return_index=True)
        places = np.searchsorted(self._seen, fingerprints)
        is_old = np.zeros(len(fingerprints), np.bool_)
        is_inside = places < len(self._seen)
        is_old[is_inside] = self._seen[places[is_inside]] == fingerprints[is_inside]
        return np.sort(numbers[~is_old])

    def note(self, keys: KeyArrays) -> None:
        """Count rows as added."""
        self._fresh.append(compute_fingerprints(keys))

    def add(self, rows: ShardRows) -> None:
        """Add rows that match their checksums.

        Raises:
            CacheError: The disk refuses.
        """
        if len(rows.crc32):
            self.note(rows.keys)
            self._blocks.append(rows)
            self._num_bytes += rows.features.nbytes
            if self._num_bytes >= SHARD_BYTES:
                self.flush()

    def flush(self) -> None:
        """Write what has been collected.

        Raises:
            CacheError: The disk refuses.
        """
        if not self._blocks:
            return
        keys = KeyArrays(*(np.concatenate(each) for each in zip(*(block.keys for block in self._blocks), strict=True)))
        try:
            path = write_shard(self._folder, keys, [block.features for block in self._blocks], spec=self._spec)
        except OSError as error:
            raise unwritable_cache(self._folder, error) from error
        self._blocks, self._num_bytes = [], 0
        self._written(path)


@dataclass(frozen=True)
class SoundRows:
    """Rows that match their checksums, and the number of those beside them that do not."""

    rows: ShardRows
    num_altered: int


def read_sound(shard: Shard, chosen: NDArray[np.int64]) -> Iterator[SoundRows]:
    """Yield rows of a shard in blocks, without those that differ from their checksums or are not finite.

    Args:
        shard: The shard.
        chosen: Row numbers, ascending: int64 (n,).

    Raises:
        DamagedShard: The file cannot be read.
        FileNotFoundError: It is gone.
    """
    if not len(chosen):
        return
    for numbers, block in read_blocks(shard, chosen):
        is_finite = np.isfinite(block.features).reshape(len(numbers), -1).all(axis=1)
        is_sound = block.are_sound() & is_finite
        yield SoundRows(block.choose(is_sound), int((~is_sound).sum()))


def join_shards(folder: Path) -> JoinReport:
    """Join the small shards of a cache into full ones, without doubled rows, unless another process uses it.

    Raises:
        CacheError: There is no description, or the disk refuses.
    """
    with claimed(folder) as is_free:
        if not is_free:
            return JoinReport(reason=IN_USE)
    spec = read_spec(folder)
    shards = _read_shards(folder, spec)
    small = [shard for shard in shards if shard.num_rows * spec.row_bytes < SHARD_BYTES // 2]
    if len(small) < 2:
        return JoinReport()
    if verify_cache(folder, advance=lambda count: None).damaged:
        return JoinReport(reason="it has damaged shards, which `tlkit cache verify --remove` repairs")
    full = [compute_fingerprints(map_shard(shard).keys) for shard in shards if shard not in small]
    written: list[Path] = []
    joiner = ShardJoiner(folder, spec, np.concatenate([np.empty(0, np.uint64), *full]), written.append)
    num_doubled = 0
    for shard in small:
        chosen = joiner.choose_new(read_keys(shard))
        num_doubled += shard.num_rows - len(chosen)
        for sound in read_sound(shard, chosen):
            if sound.num_altered:
                return JoinReport(reason=f"{shard.path.name} has just been damaged")
            joiner.add(sound.rows)
    joiner.flush()
    with claimed(folder) as is_free:
        if not is_free:
            return JoinReport(reason=f"{IN_USE}; rows are there twice until the next merge")
        for shard in small:
            shard.path.unlink(missing_ok=True)
    return JoinReport(len(small), len(written), num_doubled)


def read_keys(shard: Shard) -> KeyArrays:
    """Return a copy of a shard's keys.

    Raises:
        DamagedShard: It is shorter than when it was listed.
        OSError: It was removed, or cannot be read.
    """
    return KeyArrays(*(np.array(column) for column in map_shard(shard).keys))


def _read_shards(folder: Path, spec: CacheSpec) -> list[Shard]:
    shards = []
    for path in list_files(folder, SHARD_PATTERN):
        with suppress(DamagedShard, FileNotFoundError):
            shards.append(read_shard(path, spec))
    return shards
