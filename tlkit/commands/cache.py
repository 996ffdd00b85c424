"""List, verify and prune the feature caches; `tlkit.commands.cache_merge` merges them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tlkit.errors import CacheError
from tlkit.features.folder import CacheUse
from tlkit.features.pruning import PruneReport, PruneRules, prune
from tlkit.features.spec import CacheSpec
from tlkit.features.upkeep import CacheSummary, VerifyReport, find_caches, list_caches, remove_damaged, verify_cache
from tlkit.places.cache_root import default_cache_root, find_shared_cache
from tlkit.places.folders import CopySummary, list_copies
from tlkit.places.pruning import PrunedCopies, match_copies, prune_copies
from tlkit.reports.console import Console


def show_caches(console: Console) -> dict[str, Any]:
    """List the feature caches, most recently used first.

    Returns:
        The JSON result: the `root`, `caches` (one object each) and their total `bytes`; and `copies` of places.
    """
    root = default_cache_root()
    summaries = list_caches(root)
    num_bytes = sum(summary.num_bytes for summary in summaries)
    if summaries:
        columns = (
            *("key", "backbone", "weights", "boundary", "pixels", "engine", "feature", "rows", "MB", "last used"),
            "data",
        )
        console.table(f"Feature caches in {root}", columns, [_table_row(summary) for summary in summaries])
    console.say(f"Caches: {len(summaries)}, {num_bytes / 1e6:,.1f} MB in total, in {root}")
    if place := find_shared_cache():
        console.say(f"This is the working copy of {place}.")
    return {
        "root": str(root),
        "caches": [_summary_payload(summary) for summary in summaries],
        "bytes": num_bytes,
        "copies": _show_copies(list_copies(root), console),
    }


def _show_copies(copies: Sequence[CopySummary], console: Console) -> list[dict[str, Any]]:
    if copies:
        rows = [
            (
                each.key,
                each.url or "unknown",
                f"{each.num_files:,}",
                f"{each.num_bytes / 1e6:,.1f}",
                _local_time(each.last_used).strftime("%Y-%m-%d %H:%M"),
            )
            for each in copies
        ]
        console.table("Copies of places", ("key", "place", "files", "MB", "last used"), rows)
    return [
        {
            "key": each.key,
            "folder": str(each.folder),
            "place": each.url,
            "files": each.num_files,
            "bytes": each.num_bytes,
            "last_used": _local_time(each.last_used).isoformat(timespec="seconds"),
        }
        for each in copies
    ]


def verify_caches(keys: Sequence[str], *, remove: bool, console: Console) -> dict[str, Any]:
    """Compare every row of some or all caches with its checksum.

    Args:
        keys: Keys of caches, or prefixes of keys; all caches if empty.
        remove: Whether to remove damaged shards, keeping their sound rows. Lost rows are computed again when needed.
        console: Prints progress and results.

    Returns:
        The JSON result: numbers of sound `rows`, checked `shards` and `removed` files, and the `damaged` files (path
        and reason).

    Raises:
        CacheError: A key matches no cache.
    """
    summaries = find_caches(default_cache_root(), keys)
    num_rows = num_shards = num_removed = 0
    damaged: dict[Path, str] = {}
    for summary in summaries:
        try:
            with console.progress(f"Verifying {summary.key}", summary.num_shards, "shards") as advance:
                report = verify_cache(summary.folder, advance=advance)
        except CacheError as error:
            damaged[summary.folder] = error.found
            continue
        num_rows += report.num_rows
        num_shards += report.num_shards
        damaged |= report.damaged
        if remove:
            num_removed += _remove(summary, report, console)
    for path, reason in damaged.items():
        console.warn(f"{path}: {reason}")
    console.say(f"{num_rows:,} rows in {num_shards:,} shards: {_describe_damage(len(damaged), num_removed)}.")
    return {
        "rows": num_rows,
        "shards": num_shards,
        "damaged": [{"path": str(path), "reason": reason} for path, reason in damaged.items()],
        "removed": num_removed,
    }


def _remove(summary: CacheSummary, report: VerifyReport, console: Console) -> int:
    num_removed = remove_damaged(summary.folder, report)
    if num_removed < len(report.damaged):
        console.warn(f"{summary.key} is in use: nothing was removed from it.")
    return num_removed


def prune_caches(rules: PruneRules, *, dry_run: bool, console: Console) -> dict[str, Any]:
    """Remove feature caches, the files only they need, and partial files of killed processes.

    Args:
        rules: The caches to remove.
        dry_run: Only report.
        console: Prints progress and results.

    Returns:
        The JSON result: the `removed` keys, the keys kept because they are `in_use`, the numbers of converted `trunks`,
        `notes` on trunks and `partial_files`, their total `bytes`, the `bytes_left`, `dry_run`, and the removed
        `copies` of places, which count in all of them.

    Raises:
        CacheError: A key matches no cache, or a file cannot be removed.
        PlaceError: A file of a copy cannot be removed.
    """
    root = default_cache_root()
    copies, rules_for_caches = _prune_copies(root, rules, dry_run=dry_run)
    report = prune(root, rules_for_caches, dry_run=dry_run)
    report = replace(
        report,
        in_use=(*report.in_use, *copies.in_use),
        num_bytes=report.num_bytes + copies.num_bytes,
        bytes_left=report.bytes_left + copies.bytes_left,
    )
    verb = "Would remove" if dry_run else "Removed"
    for key in (*report.keys, *copies.keys):
        console.detail(f"{verb} {key}")
    if copies.keys:
        console.say(f"{verb} copies of places: {len(copies.keys)}, {copies.num_bytes / 1e6:,.1f} MB.")
    console.say(
        f"{verb} caches: {len(report.keys)}, converted trunks: {len(report.trunks)}, notes: {len(report.notes)}, "
        f"incomplete files: {len(report.partials)}, {report.num_bytes / 1e6:,.1f} MB in total; "
        f"{report.bytes_left / 1e6:,.1f} MB remain."
    )
    _print_what_stays(report, rules, console)
    return {
        "removed": list(report.keys),
        "in_use": list(report.in_use),
        "trunks": len(report.trunks),
        "notes": len(report.notes),
        "partial_files": len(report.partials),
        "bytes": report.num_bytes,
        "bytes_left": report.bytes_left,
        "dry_run": dry_run,
        "copies": list(copies.keys),
    }


def _prune_copies(root: Path, rules: PruneRules, *, dry_run: bool) -> tuple[PrunedCopies, PruneRules]:
    """Remove copies of places by the rules; return what was removed, and the rules for the caches.

    A size is that of all together: copies go first, since to fetch one costs less than to compute features.
    """
    of_copies = match_copies(root, rules.keys)
    room = None
    if rules.max_bytes is not None:
        room = max(0, rules.max_bytes - sum(summary.num_bytes for summary in list_caches(root)))
    pruned = prune_copies(
        root,
        keys=of_copies,
        older_than_days=rules.older_than_days,
        max_bytes=room,
        everything=rules.everything,
        dry_run=dry_run,
    )
    left = None if rules.max_bytes is None else max(0, rules.max_bytes - pruned.bytes_left)
    return pruned, replace(rules, keys=[key for key in rules.keys if key not in of_copies], max_bytes=left)


def _print_what_stays(report: PruneReport, rules: PruneRules, console: Console) -> None:
    for key in report.in_use:
        console.warn(f"{key} is kept: another process is using it.")
    if rules.max_bytes is not None and report.bytes_left > rules.max_bytes:
        console.warn(f"{report.bytes_left / 1e6:,.1f} MB exceed --max-size, but are in use.")


def _table_row(summary: CacheSummary) -> tuple[str, ...]:
    return (
        summary.key,
        *(
            _describe_spec(summary.spec, summary.use)
            if summary.spec
            else (_describe_missing_spec(summary), "", "", "", "", "")
        ),
        f"{summary.num_rows:,}",
        f"{summary.num_bytes / 1e6:,.1f}",
        _local_time(summary.last_used).strftime("%Y-%m-%d %H:%M"),
        _describe_data(summary.use),
    )


def _describe_data(use: CacheUse) -> str:
    """Return the last data set that used a cache, and the number of others."""
    if not use.data:
        return "-"
    others = len(use.data) - 1
    return f"{use.data[0]} and {others} more" if others else use.data[0]


def _describe_spec(spec: CacheSpec, use: CacheUse) -> tuple[str, ...]:
    boundary = f"{spec.boundary}, pooled" if spec.pooling != "none" else spec.boundary
    height, width = spec.image_size
    engine = f"{spec.engine} {spec.precision}"
    feature = f"{'x'.join(map(str, spec.feature_shape))} {spec.dtype}"
    weights = f"{spec.weights_sha256[:8]} of a run" if use.is_one_off else spec.weights_sha256[:8]
    return spec.backbone, weights, boundary, f"{height}x{width} {spec.fit}", engine, feature


def _describe_missing_spec(summary: CacheSummary) -> str:
    return "damaged description" if summary.num_shards else "empty"


def _describe_damage(num_damaged: int, num_removed: int) -> str:
    if not num_damaged:
        return "no damage"
    if num_removed:
        return f"{num_damaged} damaged, {num_removed} of them removed"
    return f"{num_damaged} damaged; `tlkit cache verify --remove` removes damaged shards"


def _summary_payload(summary: CacheSummary) -> dict[str, Any]:
    return {
        "key": summary.key,
        "folder": str(summary.folder),
        "spec": asdict(summary.spec) if summary.spec else None,
        "rows": summary.num_rows,
        "bytes": summary.num_bytes,
        "data": list(summary.use.data),
        "one_off": summary.use.is_one_off,
        "last_used": _local_time(summary.last_used).isoformat(timespec="seconds"),
    }


def _local_time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC).astimezone()
