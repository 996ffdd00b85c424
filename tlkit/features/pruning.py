"""Making room: which caches go, and what has no use without them.

Only files that tlkit itself named are ever removed, and folders only when that leaves them empty: the cache root may
have been set to any folder. A cache that a process uses stays.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from tlkit.backbones.engines.openvino_runtime import TRUNK_FILES, TRUNK_NOTE
from tlkit.errors import CacheError, SettingError
from tlkit.features.folder import claimed
from tlkit.features.shards import find_stale_partials
from tlkit.features.upkeep import FOLDER_NAME, CacheSummary, find_caches, list_caches, own_files, size_bytes
from tlkit.files import read_json

ENGINES = "engines"
"""Folder under the cache root in which converted trunks lie."""
TRUNKS = "trunks"
"""Folder under the cache root of the notes on trunks."""
_ASIDE_NAME = re.compile(FOLDER_NAME.pattern + r"\.[0-9a-f]{32}")
_NOTE_NAME = re.compile(FOLDER_NAME.pattern + r"\.json")
_SECONDS_PER_DAY = 86_400


@dataclass(frozen=True)
class PruneRules:
    """Which caches go.

    Attributes:
        keys: Remove caches with these keys, or prefixes of keys.
        older_than_days: Remove caches not opened for this many days.
        max_bytes: Remove caches until the total is below this size: first those of one-off weights, then the least
            recently used.
        everything: Remove all caches.

    Raises:
        SettingError: The rules conflict.
    """

    keys: Sequence[str] = ()
    older_than_days: float | None = None
    max_bytes: int | None = None
    everything: bool = False

    def __post_init__(self) -> None:
        chosen = bool(self.keys) or self.older_than_days is not None
        if self.everything and (chosen or self.max_bytes is not None):
            raise SettingError(
                "--all removes every cache", expected="no other rule beside --all", fix="leave the other options out."
            )
        if self.max_bytes is not None and chosen:
            raise SettingError(
                "--max-size chooses by itself",
                expected="neither --key nor --older-than beside --max-size",
                fix="leave --key and --older-than out.",
            )


@dataclass(frozen=True)
class PruneReport:
    """What was removed, or would be.

    Attributes:
        keys: The caches.
        in_use: Caches that match but are in use.
        trunks: Folders of converted trunks, half-written ones included.
        notes: Notes on trunks.
        partials: Half-written files of dead processes.
        num_bytes: Size of all of these, in bytes.
        bytes_left: Size of the rest.
    """

    keys: tuple[str, ...]
    in_use: tuple[str, ...]
    trunks: tuple[Path, ...]
    notes: tuple[Path, ...]
    partials: tuple[Path, ...]
    num_bytes: int
    bytes_left: int


@dataclass(frozen=True)
class _Companion:
    """A file that is only useful with a cache of the same weights: a converted trunk, or a note on a trunk."""

    path: Path
    weights_sha256: str
    num_bytes: int
    is_old: bool = False

    def is_needed(self, kept: Iterable[CacheSummary]) -> bool:
        weights = {summary.spec.weights_sha256 for summary in kept if summary.spec}
        return not self.is_old and self.weights_sha256 in weights


def prune(root: Path, rules: PruneRules, *, dry_run: bool = False) -> PruneReport:
    """Remove caches, the files only they need, and partial files of killed processes of this machine.

    Args:
        root: The cache root.
        rules: The caches to remove.
        dry_run: Only report.

    Raises:
        CacheError: A key matches no cache, or a file cannot be removed.
    """
    trunks, notes = _list_trunks(root, rules), _list_notes(root)
    doomed: list[CacheSummary] = []
    in_use: list[str] = []
    kept = list_caches(root)
    with ExitStack() as claims:
        for summary in _list_candidates(root, rules, kept):
            if rules.max_bytes is not None and _total_bytes(kept, [*trunks, *notes]) <= rules.max_bytes:
                break
            if claims.enter_context(claimed(summary.folder)):
                doomed.append(summary)
                kept.remove(summary)
            else:
                in_use.append(summary.key)
        partials = [path for summary in kept for path in find_stale_partials(summary.folder)]
        lone_trunks, lone_notes = ([each for each in group if not each.is_needed(kept)] for group in (trunks, notes))
        gone = [summary.num_bytes for summary in doomed] + [each.num_bytes for each in (*lone_trunks, *lone_notes)]
        report = PruneReport(
            tuple(summary.key for summary in doomed),
            tuple(in_use),
            tuple(each.path for each in lone_trunks),
            tuple(each.path for each in lone_notes),
            tuple(partials),
            sum(gone) + sum(map(size_bytes, partials)),
            _total_bytes(kept, [*trunks, *notes]),
        )
        if not dry_run:
            _remove(report, [summary.folder for summary in doomed])
    return report


def _list_candidates(root: Path, rules: PruneRules, summaries: Sequence[CacheSummary]) -> list[CacheSummary]:
    """Return the caches that may be removed, in order of removal."""
    if rules.everything:
        return list(summaries)
    if rules.max_bytes is not None:
        return sorted(summaries, key=lambda summary: (not summary.use.is_one_off, summary.last_used))
    chosen = {summary.key for summary in find_caches(root, rules.keys)} if rules.keys else set()
    if rules.older_than_days is not None:
        limit = time.time() - rules.older_than_days * _SECONDS_PER_DAY
        chosen |= {summary.key for summary in summaries if summary.last_used < limit}
    return [summary for summary in summaries if summary.key in chosen]


def _total_bytes(kept: Sequence[CacheSummary], companions: Iterable[_Companion]) -> int:
    """Return the size of some caches, with the files that they need."""
    needed = sum(each.num_bytes for each in companions if each.is_needed(kept))
    return sum(summary.num_bytes for summary in kept) + needed


def _list_trunks(root: Path, rules: PruneRules) -> list[_Companion]:
    """Return the converted trunks, without those that may still be being written: partial ones of the last day."""
    found = []
    for folder in sorted((root / ENGINES).glob("*")):
        is_whole = FOLDER_NAME.fullmatch(folder.name) is not None
        if folder.is_symlink() or not (is_whole or _ASIDE_NAME.fullmatch(folder.name)):
            continue
        with suppress(FileNotFoundError):
            days = (time.time() - folder.stat().st_mtime) / _SECONDS_PER_DAY
            if not is_whole and days < 1 and not rules.everything:
                continue
            weights = _read_weights(folder / TRUNK_NOTE, "description", "weights_sha256") if is_whole else ""
            num_bytes = sum(size_bytes(folder / name) for name in TRUNK_FILES)
            is_old = rules.older_than_days is not None and days > rules.older_than_days
            found.append(_Companion(folder, weights, num_bytes, is_old))
    return found


def _list_notes(root: Path) -> list[_Companion]:
    return [
        _Companion(path, _read_weights(path, "weights_sha256"), size_bytes(path))
        for path in sorted((root / TRUNKS).glob("*"))
        if _NOTE_NAME.fullmatch(path.name) and path.is_file() and not path.is_symlink()
    ]


def _read_weights(path: Path, *keys: str) -> str:
    """Return the hash of weights that a JSON file holds under nested keys; empty if there is none."""
    try:
        content = read_json(path)
        for key in keys:
            content = content[key]
    except (OSError, ValueError, TypeError, LookupError):
        return ""
    return str(content)


def _remove(report: PruneReport, folders: Sequence[Path]) -> None:
    """Remove the files in a report.

    Raises:
        CacheError: A file cannot be removed.
    """
    folders = [*report.trunks, *folders]
    files = [path / name for path in report.trunks for name in TRUNK_FILES]
    files += [*report.notes, *report.partials, *(path for folder in folders for path in own_files(folder))]
    for path in files:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise CacheError(
                f"{path} cannot be removed: {error.strerror or error}.",
                expected="a file that tlkit made and this user may remove",
                fix="remove it by hand, then run the command again.",
            ) from error
    for folder in folders:
        with suppress(OSError):  # it contains other files
            folder.rmdir()
