"""Looking after the feature caches on a disk: what is there, whether it is sound, and what may go.

Only files that tlkit itself named are ever removed, and folders only when that leaves them empty: the cache root may
have been set to any folder.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlkit.errors import CacheError, name_fix
from tlkit.features.row_keys import KeyArrays
from tlkit.features.shards import (
    PARTIAL_PATTERN,
    SHARD_PATTERN,
    DamagedShard,
    compute_crc32,
    find_stale_partials,
    map_shard,
    read_shard,
)
from tlkit.features.spec import (
    AGREEMENT_FILE,
    ENGINES,
    FOLDER_NAME_LENGTH,
    SPEC_FILE,
    TRUNK_FILES,
    CacheSpec,
    read_spec,
)

_FOLDER_NAME = re.compile(rf"[0-9a-f]{{{FOLDER_NAME_LENGTH}}}")
_ASIDE_NAME = re.compile(_FOLDER_NAME.pattern + r"\.[0-9a-f]{32}")
_BLOCK_BYTES = 16 * 2**20
_SECONDS_PER_DAY = 86_400


@dataclass(frozen=True)
class CacheSummary:
    """One cache on the disk.

    Attributes:
        key: Name of its folder: the first digits of its key.
        folder: Where it lies.
        spec: What it holds; None where its description is damaged.
        num_shards: Its finished shards.
        num_rows: Rows in those of them that can be opened.
        num_bytes: Space that its files take, in bytes.
        last_used: When it was last opened, in seconds since 1970.
    """

    key: str
    folder: Path
    spec: CacheSpec | None
    num_shards: int
    num_rows: int
    num_bytes: int
    last_used: float


@dataclass(frozen=True)
class VerifyReport:
    """What a check of one cache found.

    Attributes:
        num_shards: Shards that were read.
        num_rows: Sound rows: those in shards without damage.
        damaged: The other shards, each with its reason.
    """

    num_shards: int
    num_rows: int
    damaged: dict[Path, str]


@dataclass(frozen=True)
class PruneReport:
    """What pruning removed, or would remove.

    Attributes:
        keys: The caches.
        trunks: Folders of converted trunks, half-written ones included.
        partials: Half-written files of dead processes.
        num_bytes: Space that all of these take, in bytes.
    """

    keys: tuple[str, ...]
    trunks: tuple[Path, ...]
    partials: tuple[Path, ...]
    num_bytes: int


def list_caches(root: Path) -> list[CacheSummary]:
    """Return the caches under the cache root, the most recently used first. Opens each shard's header."""
    summaries = [_summarise(folder) for folder in _list_folders(root)]
    return sorted(summaries, key=lambda summary: (-summary.last_used, summary.key))


def _list_folders(root: Path) -> list[Path]:
    return [
        folder
        for folder in sorted((root / "features").glob("*"))
        if _FOLDER_NAME.fullmatch(folder.name) and folder.is_dir() and not folder.is_symlink()
    ]


def _summarise(folder: Path) -> CacheSummary:
    try:
        spec = read_spec(folder)
    except CacheError:
        spec = None
    num_rows = _count_rows(folder, spec) if spec else 0
    used = folder / SPEC_FILE if (folder / SPEC_FILE).exists() else folder
    num_bytes = sum(_size_bytes(path) for path in _own_files(folder))
    num_shards = len(list(folder.glob(SHARD_PATTERN)))
    return CacheSummary(folder.name, folder, spec, num_shards, num_rows, num_bytes, used.stat().st_mtime)


def _count_rows(folder: Path, spec: CacheSpec) -> int:
    num_rows = 0
    for path in folder.glob(SHARD_PATTERN):
        with suppress(DamagedShard, FileNotFoundError):
            shard = read_shard(path, dtype=spec.dtype, feature_shape=spec.feature_shape, cache_key=spec.key())
            num_rows += shard.num_rows
    return num_rows


def _own_files(folder: Path) -> list[Path]:
    patterns = (SHARD_PATTERN, PARTIAL_PATTERN, SPEC_FILE, f"{SPEC_FILE}.*", f"{AGREEMENT_FILE}*")
    return [path for pattern in patterns for path in folder.glob(pattern)]


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # a partial file that has just become a shard
        return 0


def verify_cache(folder: Path, *, advance: Callable[[int], None]) -> VerifyReport:
    """Read every row of a cache and compare it with its checksum. Memory stays at some 16 MiB.

    Args:
        folder: The cache's folder.
        advance: Called with the number of shards done since the last call.

    Raises:
        CacheError: The cache's description is missing or damaged.
    """
    spec = read_spec(folder)
    num_rows = 0
    damaged = {}
    paths = sorted(folder.glob(SHARD_PATTERN))
    for path in paths:
        try:
            num_rows += _verify_shard(path, spec)
        except DamagedShard as damage:
            damaged[path] = str(damage)
        advance(1)
    return VerifyReport(len(paths), num_rows, damaged)


def _verify_shard(path: Path, spec: CacheSpec) -> int:
    shard = read_shard(path, dtype=spec.dtype, feature_shape=spec.feature_shape, cache_key=spec.key())
    mapped = map_shard(shard)
    step = max(1, _BLOCK_BYTES // (mapped.features[0].nbytes + 1))
    for start in range(0, shard.num_rows, step):
        part = slice(start, start + step)
        features = np.array(mapped.features[part])
        keys = KeyArrays(np.array(mapped.sha256[part]), np.array(mapped.view[part]))
        altered = np.flatnonzero(compute_crc32(keys, features) != mapped.crc32[part])
        if altered.size:
            raise DamagedShard(f"row {start + altered[0]} differs from its checksum")
        if not np.isfinite(features).all():
            raise DamagedShard("it holds numbers that are not finite")
    return shard.num_rows


def remove_damaged(report: VerifyReport) -> None:
    """Remove the shards that a check found damaged; their rows are computed again when needed."""
    for path in report.damaged:
        path.unlink(missing_ok=True)


def find_caches(root: Path, keys: Sequence[str]) -> list[CacheSummary]:
    """Return the caches with these keys, or all if there are none; a key may be shortened to its first digits.

    Raises:
        CacheError: A key fits no cache.
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


def prune(
    root: Path,
    *,
    older_than_days: float | None = None,
    keys: Sequence[str] = (),
    everything: bool = False,
    dry_run: bool = False,
) -> PruneReport:
    """Remove caches, and what killed processes of this machine left half written.

    Args:
        root: The cache root.
        older_than_days: Remove the caches not opened for so many days.
        keys: Remove the caches with these keys.
        everything: Remove all caches.
        dry_run: Remove nothing, only report.

    Raises:
        CacheError: A key fits no cache.
    """
    summaries = list_caches(root)
    chosen = {summary.key for summary in find_caches(root, keys)} if keys else set()
    if older_than_days is not None:
        limit = time.time() - older_than_days * _SECONDS_PER_DAY
        chosen |= {summary.key for summary in summaries if summary.last_used < limit}
    doomed = [summary for summary in summaries if everything or summary.key in chosen]
    kept = [summary for summary in summaries if summary not in doomed]
    partials = [path for summary in kept for path in find_stale_partials(summary.folder)]
    trunks = _find_old_trunks(root, 0 if everything else older_than_days)
    files = [*partials, *(trunk / name for trunk in trunks for name in TRUNK_FILES)]
    num_bytes = sum(summary.num_bytes for summary in doomed) + sum(_size_bytes(path) for path in files)
    if not dry_run:
        for trunk in trunks:
            _remove_trunk(trunk)
        for path in partials:
            path.unlink(missing_ok=True)
        for summary in doomed:
            _remove_cache(summary.folder)
    return PruneReport(tuple(summary.key for summary in doomed), tuple(trunks), tuple(partials), num_bytes)


def _find_old_trunks(root: Path, older_than_days: float | None) -> list[Path]:
    """Return the folders of converted trunks that were not read for so many days; half-written ones go after one."""
    found = []
    for folder in sorted((root / ENGINES).glob("*")):
        is_whole = _FOLDER_NAME.fullmatch(folder.name) is not None
        if folder.is_symlink() or not (is_whole or _ASIDE_NAME.fullmatch(folder.name)):
            continue
        days = older_than_days if is_whole or older_than_days == 0 else 1.0
        if days is not None and folder.stat().st_mtime <= time.time() - days * _SECONDS_PER_DAY:
            found.append(folder)
    return found


def _remove_trunk(folder: Path) -> None:
    for name in TRUNK_FILES:
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def _remove_cache(folder: Path) -> None:
    for path in _own_files(folder):
        path.unlink(missing_ok=True)
    with suppress(OSError):  # somebody's own file lies there: leave it, and the folder
        folder.rmdir()
