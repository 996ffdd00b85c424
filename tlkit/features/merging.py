"""Bring the rows of other caches into this one.

Every row is compared with its checksum before it is copied; rows that are here already are not. They are written as new
shards, as by any other process, so an interrupted merge loses nothing, and a repeated one copies what is missing. The
other cache may come from anywhere: its shards are read as any shard is (`tlkit.features.shards`), its description is
checked, and of its other files only the network calibrated for int8 is taken, whose hash the cache's key contains.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tlkit.backbones.engines.openvino_runtime import TRUNK_FILES, TRUNK_NOTE, hash_file, name_quantized_trunk
from tlkit.errors import CacheError
from tlkit.features.cache import FeatureCache
from tlkit.features.folder import note_use, read_spec, read_use, unwritable_cache
from tlkit.features.joining import ShardJoiner, read_keys, read_sound
from tlkit.features.pruning import ENGINES
from tlkit.features.row_keys import KeyArrays
from tlkit.features.shards import SHARD_PATTERN, DamagedShard, Shard, describe_altered, read_shard
from tlkit.features.spec import CacheSpec
from tlkit.files import flush_file, flush_folder, list_files, open_regular_file, read_json
from tlkit.recipes.settings import FEATURE_DTYPES
from tlkit.untrusted import is_clean_text

_MAX_ROW_BYTES = 2**30
_MAX_TRUNK_BYTES = 2**32
_MAX_NAME_LENGTH = 4096
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass
class MergeReport:
    """What a merge did to one cache, or would do.

    Attributes:
        key: Name of its folder.
        num_shards: Number of shards of the other cache.
        num_copied: Number of rows that came.
        num_known: Number of rows that were here, or came from another shard.
        damaged: Damaged shards of the other cache, each with the reason; their sound rows came, too.
        problems: What could not be put at the place of a shared cache, one sentence each.
    """

    key: str
    num_shards: int = 0
    num_copied: int = 0
    num_known: int = 0
    damaged: dict[Path, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def merge_cache(
    root: Path, source: Path, spec: CacheSpec, *, dry_run: bool, advance: Callable[[int], None]
) -> MergeReport:
    """Copy the rows of another root's cache that this one lacks.

    Args:
        root: The cache root.
        source: Folder of the other cache. Its files may come from anywhere.
        spec: Its specification, from `read_foreign_spec`.
        dry_run: Read and compare everything, and write nothing.
        advance: Called with the number of shards done since the last call.

    Raises:
        CacheError: The disk refuses.
        PlaceError: This cache is at a place, which cannot be read.
    """
    paths = list_files(source, SHARD_PATTERN)
    report = MergeReport(source.name, len(paths))
    is_new = dry_run and not spec.folder(root).is_dir()
    target = None if is_new else FeatureCache.open(root, spec)
    shared = target.shared if target and not dry_run else None
    joiner = ShardJoiner(spec.folder(root), spec, np.empty(0, np.uint64), shared.put if shared else lambda path: None)
    for path in paths:
        try:
            _merge_shard(read_shard(path, spec), target, joiner, report, dry_run=dry_run)
        except FileNotFoundError:  # pruned by another process
            pass
        except (DamagedShard, OSError) as damage:
            report.damaged[path] = str(damage)
        advance(1)
    if dry_run:
        return report
    joiner.flush()
    if shared:
        shared.finish()
        report.problems = shared.take_problems()
    _copy_companions(root, source, spec)
    return report


def read_foreign_spec(folder: Path) -> CacheSpec:
    """Return the specification of a cache from elsewhere, checked: it becomes shapes, sizes and cells of tables.

    Raises:
        CacheError: There is none, or it is not one that tlkit writes.
    """
    spec = read_spec(folder)
    values: dict[str, Any] = asdict(spec)  # of any type
    texts = [
        values[name] for name in ("backbone", "boundary", "pooling", "fit", "engine", "precision", "weights_sha256")
    ]
    sizes = [*values["image_size"], *values["feature_shape"]]
    is_sound = (
        all(isinstance(text, str) and is_clean_text(text, max_length=100) for text in texts)
        and all(type(size) is int and size > 0 for size in sizes)
        and spec.dtype in FEATURE_DTYPES
        and (spec.calibration == "" or _SHA256.fullmatch(str(spec.calibration)) is not None)
        and spec.row_bytes <= _MAX_ROW_BYTES
    )
    if not is_sound:
        raise CacheError(
            f"{folder}: this cache's description holds values that tlkit never writes.",
            expected="a cache that tlkit wrote",
            fix="leave this folder out, or name the good caches with --key.",
        )
    return spec


def _merge_shard(
    shard: Shard, target: FeatureCache | None, joiner: ShardJoiner, report: MergeReport, *, dry_run: bool
) -> None:
    """Copy the rows of a shard that are sound and not yet in the target.

    Raises:
        DamagedShard: Some are not sound; the others are copied.
    """
    keys = read_keys(shard)
    missing = np.arange(shard.num_rows) if target is None else np.flatnonzero(target.find_keys(keys) < 0)
    chosen = missing[joiner.choose_new(KeyArrays(*(column[missing] for column in keys)))]
    report.num_known += shard.num_rows - len(chosen)
    num_altered = 0
    for sound in read_sound(shard, chosen):
        num_altered += sound.num_altered
        report.num_copied += len(sound.rows.crc32)
        if dry_run:
            joiner.note(sound.rows.keys)
        else:
            joiner.add(sound.rows)
    if num_altered:
        raise DamagedShard(describe_altered(num_altered))


def _copy_companions(root: Path, source: Path, spec: CacheSpec) -> None:
    """Copy the network that was calibrated for a cache in int8, and the note of its use.

    A float network is not copied: it is converted again from the weights, which are not taken from strangers.

    Raises:
        CacheError: The disk refuses.
    """
    try:
        if spec.calibration:
            _copy_quantized_trunk(source.parents[1] / ENGINES, root / ENGINES, spec.calibration)
        use = read_use(source)
        for name in reversed(use.data):
            if is_clean_text(name, max_length=_MAX_NAME_LENGTH):
                note_use(spec.folder(root), Path(name), is_one_off=use.is_one_off)
    except OSError as error:
        raise unwritable_cache(spec.folder(root), error) from error


def _copy_quantized_trunk(source: Path, target: Path, calibration: str) -> None:
    """Copy a quantized trunk, if its files have the hash by which the key of its cache names it.

    Raises:
        OSError: The disk refuses.
    """
    folder, copy = (name_quantized_trunk(root, calibration) for root in (source, target))
    if (copy / TRUNK_NOTE).exists() or not _has_hash(folder, calibration):
        return
    target.mkdir(parents=True, exist_ok=True)
    aside = target / f"{copy.name}.{uuid.uuid4().hex}"
    aside.mkdir()
    try:
        for name in TRUNK_FILES:
            with open_regular_file(folder / name) as file, (aside / name).open("xb") as written:
                shutil.copyfileobj(file, written)
            flush_file(aside / name)
        if _has_hash(aside, calibration) and not copy.exists():
            aside.rename(copy)
            flush_folder(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _has_hash(folder: Path, calibration: str) -> bool:
    """Return whether a trunk's files are those that a calibration made."""
    try:
        if sum((folder / name).stat().st_size for name in TRUNK_FILES) > _MAX_TRUNK_BYTES:
            return False
        hashes = read_json(folder / TRUNK_NOTE)["sha256"]
        named = hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()
        files = [name for name in TRUNK_FILES if name != TRUNK_NOTE]
        return named == calibration and hashes == {name: hash_file(folder / name) for name in files}
    except (OSError, ValueError, TypeError, LookupError):
        return False
