"""Make room: which copies of places are removed. They are fetched again when they are needed."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlkit.errors import PlaceError
from tlkit.places.folders import CopySummary, claimed_copy, list_copies, remove_copy

_SECONDS_PER_DAY = 86_400


@dataclass(frozen=True)
class PrunedCopies:
    """What was removed, or would be.

    Attributes:
        keys: Names of the copies' folders.
        in_use: Those that match but are in use.
        num_bytes: Size of what was removed.
        bytes_left: Size of the rest.
    """

    keys: tuple[str, ...]
    in_use: tuple[str, ...]
    num_bytes: int
    bytes_left: int


def match_copies(root: Path, keys: Sequence[str]) -> list[str]:
    """Return those keys, or first parts of keys, that some copy has."""
    names = [summary.key for summary in list_copies(root)]
    return [key for key in keys if key and any(name.startswith(key) for name in names)]


def prune_copies(
    root: Path,
    *,
    keys: Collection[str] = (),
    older_than_days: float | None = None,
    max_bytes: int | None = None,
    everything: bool = False,
    dry_run: bool = False,
) -> PrunedCopies:
    """Remove copies that no process uses.

    Args:
        root: The cache root.
        keys: Remove copies with these keys, or first parts of keys.
        older_than_days: Remove copies not brought up to date for this many days.
        max_bytes: Remove the least recently used until the rest has at most this size.
        everything: Remove all.
        dry_run: Only report.

    Raises:
        PlaceError: A file cannot be removed.
    """
    kept = list_copies(root)
    removed: list[CopySummary] = []
    in_use: list[str] = []
    limit = time.time() - older_than_days * _SECONDS_PER_DAY if older_than_days is not None else 0.0
    for summary in reversed(list(kept)):
        is_chosen = everything or summary.last_used < limit or any(summary.key.startswith(key) for key in keys)
        if max_bytes is not None and sum(each.num_bytes for each in kept) > max_bytes:
            is_chosen = True
        if not is_chosen:
            continue
        with claimed_copy(summary.folder) as is_unused:
            if not is_unused:
                in_use.append(summary.key)
                continue
            if not dry_run:
                _remove(summary)
        removed.append(summary)
        kept.remove(summary)
    return PrunedCopies(
        tuple(each.key for each in removed),
        tuple(in_use),
        sum(each.num_bytes for each in removed),
        sum(each.num_bytes for each in kept),
    )


def _remove(summary: CopySummary) -> None:
    try:
        remove_copy(summary.folder)
    except OSError as error:
        raise PlaceError(
            f"{error.filename or summary.folder} cannot be removed: {error.strerror or error}.",
            expected="files that tlkit made and this user may remove",
            fix="remove the folder by hand, then run the command again.",
        ) from error
