"""List, verify and repair the feature caches.

Other processes may fill or remove caches at the same time; files that disappear are skipped.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlkit.errors import CacheError, name_fix
from tlkit.features.folder import (
    AGREEMENT_FILE,
    LOCK_FILE,
    SPEC_FILE,
    USE_FILE,
    CacheUse,
    claimed,
    read_last_use,
    read_spec,
    read_use,
    restore_description,
    unwritable_cache,
)
from tlkit.features.row_keys import KeyArrays
from tlkit.features.shards import (
    PARTIAL_PATTERN,
    SHARD_PATTERN,
    DamagedShard,
    Shard,
    ShardRows,
    describe_altered,
    read_blocks,
    read_shard,
    write_shard,
)
from tlkit.features.spec import FOLDER_NAME_LENGTH, CacheSpec
from tlkit.files import PARTIAL_PATTERN as HALF_WRITTEN
from tlkit.files import list_files

FOLDER_NAME = re.compile(rf"[0-9a-f]{{{FOLDER_NAME_LENGTH}}}")


@dataclass(frozen=True)
class CacheSummary:
    """One cache on the disk.

    Attributes:
        key: Name of its folder: the first digits of its key.
        folder: Its folder.
        spec: Its specification; None if it is lost.
        use: Its recorded use.
        num_shards: Number of finished shards.
        num_rows: Number of rows in readable shards.
        num_bytes: Size of its files.
        last_used: When it was last opened, in seconds since 1970.
    """

    key: str
    folder: Path
    spec: CacheSpec | None
    use: CacheUse
    num_shards: int
    num_rows: int
    num_bytes: int
    last_used: float


@dataclass(frozen=True)
class VerifyReport:
    """The result of verifying a cache.

    Attributes:
        num_shards: Number of shards.
        num_rows: Number of rows in undamaged shards.
        damaged: The damaged shards, each with its reason.
    """

    num_shards: int
    num_rows: int
    damaged: dict[Path, str]


def list_caches(root: Path) -> list[CacheSummary]:
    """Return the caches under the cache root, most recently used first. Opens each shard's header."""
    summaries = []
    for folder in sorted((root / "features").glob("*")):
        if FOLDER_NAME.fullmatch(folder.name) and folder.is_dir() and not folder.is_symlink():
            with suppress(FileNotFoundError):
                summaries.append(_summarise(folder))
    return sorted(summaries, key=lambda summary: (-summary.last_used, summary.key))


def _summarise(folder: Path) -> CacheSummary:
    """Return the summary of a cache.

    Raises:
        FileNotFoundError: It is gone.
    """
    try:
        spec = read_spec(folder)
    except CacheError:
        spec = None
    num_rows = _count_rows(folder, spec) if spec else 0
    num_bytes = sum(map(size_bytes, own_files(folder)))
    num_shards = len(list_files(folder, SHARD_PATTERN))
    return CacheSummary(
        folder.name, folder, spec, read_use(folder), num_shards, num_rows, num_bytes, read_last_use(folder)
    )


def _count_rows(folder: Path, spec: CacheSpec) -> int:
    num_rows = 0
    for path in list_files(folder, SHARD_PATTERN):
        with suppress(DamagedShard, FileNotFoundError):
            num_rows += read_shard(path, spec).num_rows
    return num_rows


def own_files(folder: Path) -> list[Path]:
    """Return tlkit's files in the folder of a cache, the lock last."""
    named = [path for pattern in (SHARD_PATTERN, PARTIAL_PATTERN, HALF_WRITTEN) for path in list_files(folder, pattern)]
    single = [folder / name for name in (SPEC_FILE, USE_FILE, AGREEMENT_FILE, LOCK_FILE)]
    # A pattern without a wildcard would skip a dangling link.
    return [*named, *filter(os.path.lexists, single)]


def size_bytes(path: Path) -> int:
    """Return a file's size in bytes; 0 if it is gone."""
    try:
        return path.lstat().st_size  # may be a dangling or circular link
    except FileNotFoundError:  # a partial file that has just become a shard
        return 0


def find_caches(root: Path, keys: Sequence[str]) -> list[CacheSummary]:
    """Return the caches with these keys or prefixes of keys; all caches if `keys` is empty.

    Raises:
        CacheError: A key matches no cache.
    """
    summaries = list_caches(root)
    for key in keys:
        if not any(key and summary.key.startswith(key) for summary in summaries):
            known = [summary.key for summary in summaries]
            raise CacheError(
                f"No feature cache under {root} has the key {key!r}.",
                expected=f"one of {', '.join(known)}" if known else "a cache; there is none yet",
                fix=name_fix(key, known) if known else "make one with `tlkit precompute`.",
            )
    if not keys:
        return summaries
    return [summary for summary in summaries if any(summary.key.startswith(key) for key in keys)]


def verify_cache(folder: Path, *, advance: Callable[[int], None]) -> VerifyReport:
    """Read every row of a cache and compare it with its checksum, in a few megabytes of memory.

    A lost or damaged description is written again. A folder without shards is not damaged.

    Args:
        folder: The cache's folder.
        advance: Called with the number of shards done since the last call.

    Raises:
        CacheError: There is no specification.
    """
    paths = list_files(folder, SHARD_PATTERN)
    if not paths:
        return VerifyReport(0, 0, {})
    spec = restore_description(folder)
    num_rows = 0
    damaged = {}
    for path in paths:
        try:
            num_rows += _verify_shard(read_shard(path, spec))
        except FileNotFoundError:  # pruned by another process
            pass
        except DamagedShard as damage:
            damaged[path] = str(damage)
        advance(1)
    return VerifyReport(len(paths), num_rows, damaged)


def _verify_shard(shard: Shard) -> int:
    """Return the number of rows of a shard.

    Raises:
        DamagedShard: Some row is damaged.
    """
    num_altered = 0
    for _, block in read_blocks(shard, np.arange(shard.num_rows)):
        num_altered += int((~block.are_sound()).sum())
        if not np.isfinite(block.features).all():
            raise DamagedShard("it holds numbers that are not finite")
    if num_altered:
        raise DamagedShard(describe_altered(num_altered))
    return shard.num_rows


def remove_damaged(folder: Path, report: VerifyReport) -> int:
    """Replace damaged shards by new ones with their sound rows; return their number.

    Nothing is done while another process uses the cache.

    Raises:
        CacheError: The disk refuses.
    """
    if not report.damaged:
        return 0
    with claimed(folder) as is_free:
        if not is_free:
            return 0
        remaining = [path for path in report.damaged if path.exists()]  # another process may have pruned the cache
        if remaining:
            _replace_shards(remaining, read_spec(folder))
    return len(report.damaged)


def _replace_shards(paths: Sequence[Path], spec: CacheSpec) -> None:
    """Replace damaged shards of a cache by new ones with their sound rows.

    Raises:
        CacheError: The disk refuses.
    """
    for path in paths:
        try:
            with suppress(DamagedShard, FileNotFoundError):
                _save_sound_rows(read_shard(path, spec), spec)
            path.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable_cache(path.parent, error) from error


def _save_sound_rows(shard: Shard, spec: CacheSpec) -> None:
    """Write the rows of a damaged shard that match their checksums as a new shard."""
    blocks: list[ShardRows] = []
    with suppress(DamagedShard):  # the rest cannot be read
        for _, block in read_blocks(shard, np.arange(shard.num_rows)):
            is_finite = np.isfinite(block.features).reshape(len(block.crc32), -1).all(axis=1)
            blocks.append(block.choose(block.are_sound() & is_finite))
    if any(len(block.crc32) for block in blocks):
        keys = KeyArrays(*(np.concatenate(field) for field in zip(*(block.keys for block in blocks), strict=True)))
        write_shard(shard.path.parent, keys, [block.features for block in blocks], spec=spec)
