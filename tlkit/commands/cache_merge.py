"""Bring the features of other caches into this one: read each cache, copy what is missing, join small shards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tlkit.errors import CacheError, SettingError
from tlkit.features.joining import JoinReport, join_shards
from tlkit.features.merging import MergeReport, merge_cache, read_foreign_spec
from tlkit.features.upkeep import find_caches
from tlkit.places.cache_root import default_cache_root, find_shared_cache
from tlkit.reports.console import Console


def merge_caches(sources: Sequence[Path], keys: Sequence[str], *, dry_run: bool, console: Console) -> dict[str, Any]:
    """Bring the rows of other cache roots into this one, and join small shards.

    Args:
        sources: The other cache roots; without one, only the shards of this root are joined.
        keys: Keys of caches, or prefixes of keys; all caches if empty.
        dry_run: Only report what would come.
        console: Prints progress and results.

    Returns:
        The JSON result: `merged`, one object for each cache of a source (`source`, `key`, `shards`, and the numbers of rows
        that were `copied` and that were here, `known`); the `damaged` files of the sources (path and reason); `joined`, one
        object for each cache of this root (`key`, numbers of shards `before` and `after`, `doubled` rows); and `dry_run`.

    Raises:
        CacheError: A source is no cache root, a key matches no cache of it, or the disk refuses.
        PlaceError: This root is at a place, which cannot be read.
        SettingError: A source is this root itself.
    """
    root = default_cache_root()
    for source in sources:
        _check_source(source, root)
    found = [(source, summary) for source in sources for summary in find_caches(source, keys)]
    merged: list[tuple[Path, MergeReport]] = []
    damaged: dict[Path, str] = {}
    for source, summary in found:
        try:
            spec = read_foreign_spec(summary.folder)
        except CacheError as error:
            damaged[summary.folder] = error.found
            continue
        with console.progress(f"Merging {summary.key}", summary.num_shards, "shards") as advance:
            report = merge_cache(root, summary.folder, spec, dry_run=dry_run, advance=advance)
        merged.append((source, report))
        damaged |= report.damaged
        _print_merged(source, report, console, dry_run=dry_run)
    for path, reason in damaged.items():
        console.warn(f"{path}: {reason}")
    joined = {} if dry_run else _join_caches(root, [report.key for _, report in merged] if sources else keys, console)
    return {
        "merged": [
            {
                "source": str(source),
                "key": report.key,
                "shards": report.num_shards,
                "copied": report.num_copied,
                "known": report.num_known,
            }
            for source, report in merged
        ],
        "damaged": [{"path": str(path), "reason": reason} for path, reason in damaged.items()],
        "joined": [
            {"key": key, "before": each.num_before, "after": each.num_after, "doubled": each.num_doubled}
            for key, each in joined.items()
        ],
        "dry_run": dry_run,
    }


def _check_source(source: Path, root: Path) -> None:
    if source.resolve() == root.resolve():
        raise SettingError(
            f"{source} is this cache itself.",
            expected="the cache folder of another machine or process",
            fix="leave it out: without a source, `tlkit cache merge` joins small files of this cache.",
        )
    if not (source / "features").is_dir():
        raise CacheError(
            f"{source}: no cache of tlkit: it has no folder named features.",
            expected="a folder that TLKIT_CACHE named on another machine, or a copy of it",
            fix="check the path.",
        )


def _print_merged(source: Path, report: MergeReport, console: Console, *, dry_run: bool) -> None:
    copied = "to copy" if dry_run else "copied"
    console.say(
        f"{report.key} of {source}: rows {copied}: {report.num_copied:,}, here already: {report.num_known:,}, "
        f"damaged shards: {len(report.damaged):,} of {report.num_shards:,}."
    )
    for problem in report.problems:
        console.warn(problem)


def _join_caches(root: Path, keys: Sequence[str], console: Console) -> dict[str, JoinReport]:
    """Join the small shards of caches; a shared cache keeps them, since its place still has them."""
    if find_shared_cache():
        return {}
    joined = {}
    for summary in find_caches(root, tuple(dict.fromkeys(keys))):
        if summary.spec is None:
            continue
        report = joined[summary.key] = join_shards(summary.folder)
        if report.reason:
            console.say(f"{summary.key}: small shards are not joined: {report.reason}.")
        elif report.num_before:
            console.say(
                f"{summary.key}: {report.num_before:,} small shards became {report.num_after:,}; doubled rows dropped: "
                f"{report.num_doubled:,}."
            )
    return joined
