"""Copy a place to this machine and keep the copy up to date: after that the whole tool works on a local folder.

Copies lie below the cache root, `places/NAME-HASH/NAME/…`, under the names that the objects have. A second copy
fetches what is new or changed and removes what is gone. A copy that was interrupted goes on with what is missing.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol

from tlkit.errors import PlaceError
from tlkit.places.copies import remember_copy
from tlkit.places.downloads import Download, download_all
from tlkit.places.failures import ObjectError, unreachable
from tlkit.places.folders import CopyFolder, held_folder
from tlkit.places.index import CopyIndex
from tlkit.places.names import find_name_problem, is_hidden, is_placeholder
from tlkit.places.packed.patterns import PACKED_SUFFIXES
from tlkit.places.place import Place
from tlkit.places.retries import PassingError, try_again
from tlkit.places.stores import Store, StoredObject, open_store

MAX_OBJECT_BYTES = 2**30
"""The most that tlkit reads of an image; larger objects are not copied, but named."""
MAX_FAILURES = 5
"""So many objects may fail, or one in a thousand, before the copying ends with an error."""
_FAILURES_PER_OBJECT = 0.001
_SPARE_BYTES = 2**28
_ROWS_AT_ONCE = 1000
_NUM_NAMED = 3
_COMMIT_SECONDS = 0.3
"""What a killed process has copied for so long is copied again."""

Advance = Callable[[int], None]
Wanted = Callable[[str], bool]
"""Whether an object is copied, by its key below the place."""


class Teller(Protocol):
    """What tells the user what is going on: the console."""

    def say(self, text: str) -> None:
        """Write a message."""

    def warn(self, text: str) -> None:
        """Write a warning."""

    def progress(self, description: str, total: int | None, unit: str) -> AbstractContextManager[Advance]:
        """Show the progress of a step."""


@dataclass
class _Report:
    """What happened to the objects of a place."""

    num_listed: int = 0
    num_objects: int = 0
    num_copied: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def copy_all(key: str) -> bool:
    """Return that an object is copied, whatever its key."""
    return True


def copy_place(place: Place, root: Path, teller: Teller, wanted: Wanted = copy_all) -> Path:
    """Copy what a URL names, and return the copy: a folder, or a file.

    Args:
        place: A folder or an object; a URL without a final slash may be either.
        root: The cache root.
        teller: Shows progress, and what is not copied.
        wanted: Which objects of a folder are copied; the copies of others stay as they are.

    Raises:
        PlaceError: There is nothing, access is denied, the server does not answer, the disk is too small, or too many
            objects fail.
        SettingError: obstore is missing, or refuses a setting.
        OSError: The disk refuses.
    """
    try:
        if not place.is_folder and place.key:
            store = open_store(place.root)
            stored = _find_object(store, place.key)
            if stored is not None:
                (path,) = copy_objects(store, [stored], root, teller)
                return path
        return _copy_folder(open_store(place.folder), root, teller, wanted)
    except PassingError as failure:
        raise unreachable(place, failure) from failure


def _find_object(store: Store, key: str) -> StoredObject | None:
    try:
        return try_again(lambda: store.find(key))
    except ObjectError as failure:
        if "access denied" not in str(failure):
            raise _not_read(store.place, {key: str(failure)}, 1) from failure
        return None  # whoever may only list is told so by the list


def copy_objects(
    store: Store, objects: Sequence[StoredObject], root: Path, teller: Teller, *, may_fail: bool = False
) -> list[Path]:
    """Copy single objects of a bucket, and return where the files are, in the same order.

    Args:
        store: The whole bucket.
        objects: The objects.
        root: The cache root.
        teller: Shows progress.
        may_fail: Whether a few may fail, which are named; else one that cannot be copied is an error.

    Raises:
        PlaceError: One cannot be copied, or with `may_fail` too many.
    """
    report = _Report(num_objects=len(objects))
    with held_folder(store.place, root, of_objects=True) as folder, CopyIndex(folder.index) as index:
        index.start_round()
        report.left_out = {stored.key: why for stored in objects if (why := _find_problem(stored))}
        index.note_listed(stored for stored in objects if stored.key not in report.left_out)
        _forget_lost(index, folder.data)
        _copy_missing(store, folder, index, report, teller)
        if report.failed and not may_fail:
            raise _not_read(store.place, report.failed, len(objects))
        folder.describe()
    if may_fail:
        _tell(store.place, report, 0, teller)
    remember_copy(folder.data, store.place.url)
    return [folder.data.joinpath(*_parts(stored.key)) for stored in objects]


def _copy_folder(store: Store, root: Path, teller: Teller, wanted: Wanted) -> Path:
    place, report = store.place, _Report()
    with held_folder(place, root) as folder, CopyIndex(folder.index) as index:
        index.start_round()
        _list(store, index, report, teller, wanted)
        if not report.num_listed:
            raise _nothing_there(place, report)
        _forget_lost(index, folder.data)
        _copy_missing(store, folder, index, report, teller)
        num_gone = _remove_gone(index, folder.data, wanted)
        folder.describe()
    _tell(place, report, num_gone, teller)
    problems = report.left_out | report.failed
    remember_copy(folder.data, place.url, {folder.data.joinpath(*_parts(key)): why for key, why in problems.items()})
    return folder.data


def _list(store: Store, index: CopyIndex, report: _Report, teller: Teller, wanted: Wanted) -> None:
    """Record the objects of a place that are to be copied, and can be."""

    def choose() -> Iterator[StoredObject]:
        for stored in store.list():
            if is_placeholder(stored.key, stored.num_bytes) or is_hidden(stored.key):
                continue
            if problem := _find_problem(stored):
                report.left_out[stored.key] = problem
                continue
            advance(1)
            report.num_listed += 1
            if wanted(stored.key):
                yield stored

    with teller.progress(f"Listing {store.place}", None, "objects") as advance:
        objects = choose()
        while page := list(islice(objects, _ROWS_AT_ONCE)):
            index.note_listed(page)
            report.num_objects += len(page)
        index.commit()


def _find_problem(stored: StoredObject) -> str | None:
    """Return why an object is not copied; None if it can be."""
    if stored.num_bytes > MAX_OBJECT_BYTES and not stored.key.lower().endswith(PACKED_SUFFIXES):
        return f"larger than {MAX_OBJECT_BYTES / 2**30:g} GiB"
    return find_name_problem(stored.key)


def _forget_lost(index: CopyIndex, folder: Path) -> None:
    """Record which copies are no longer on the disk as they were."""

    def find_lost() -> Iterator[str]:
        for key, num_bytes in index.list_copied():
            try:
                is_there = folder.joinpath(*_parts(key)).stat().st_size == num_bytes
            except OSError:
                is_there = False
            if not is_there:
                yield key

    index.note_lost(list(find_lost()))


def _copy_missing(store: Store, folder: CopyFolder, index: CopyIndex, report: _Report, teller: Teller) -> None:
    num_missing, num_bytes = index.count_missing()
    if not num_missing:
        return
    _check_room(store.place, folder, num_missing, num_bytes)
    folder.clear_aside()
    max_failures = max(MAX_FAILURES, int(report.num_objects * _FAILURES_PER_OBJECT))
    what = f"Copying {num_missing:,} {'file' if num_missing == 1 else 'files'} from {store.place}"
    with (
        teller.progress(what, num_bytes or None, "bytes") as advance,
        closing(
            download_all(store, index.list_missing(), folder.data, aside=folder.aside, advance=advance)
        ) as downloads,
    ):
        try:
            committed = time.monotonic()
            for download in _note(downloads, index, report):
                if time.monotonic() - committed > _COMMIT_SECONDS:
                    index.commit()
                    committed = time.monotonic()
                if download.reason and len(report.failed) > max_failures:
                    raise _not_read(store.place, report.failed, num_missing)
        finally:
            index.commit()
    if report.failed and not report.num_copied:
        raise _not_read(store.place, report.failed, num_missing)


def _note(downloads: Iterable[Download], index: CopyIndex, report: _Report) -> Iterator[Download]:
    for download in downloads:
        key = download.stored.key
        if download.reason is None:
            index.note_copied(key, download.stored.tag, download.num_bytes)
            report.num_copied += 1
        else:
            report.failed[key] = download.reason
        yield download


def _check_room(place: Place, folder: CopyFolder, num_missing: int, num_bytes: int) -> None:
    free = shutil.disk_usage(folder.path).free
    lacking = num_bytes + _SPARE_BYTES - free
    if num_bytes and lacking > 0:
        raise PlaceError(
            f"{place}: {num_missing:,} files of {num_bytes / 1e9:,.2f} GB are to be copied to {folder.path}, where "
            f"{free / 1e9:,.2f} GB are free.",
            expected=f"{lacking / 1e9:,.2f} GB more, so that {_SPARE_BYTES / 1e9:.2f} GB stay free",
            fix="make room, `tlkit cache prune --max-size SIZE` for instance, or set TLKIT_CACHE to a folder on a larger disk.",
        )


def _remove_gone(index: CopyIndex, folder: Path, wanted: Wanted) -> int:
    """Remove the copies of objects that are no longer there, and folders that this leaves empty; return their number."""
    number = 0
    for key in filter(wanted, index.list_gone()):
        path = folder.joinpath(*_parts(key))
        path.unlink(missing_ok=True)
        number += 1
        for parent in path.parents:
            if parent == folder:
                break
            with suppress(OSError):  # it is not empty
                parent.rmdir()
        index.forget(key)
    index.commit()
    return number


def _tell(place: Place, report: _Report, num_gone: int, teller: Teller) -> None:
    kept = report.num_objects - report.num_copied - len(report.failed)
    gone = f", {num_gone:,} removed that are gone" if num_gone else ""
    teller.say(f"{place}: {report.num_objects:,} files, {report.num_copied:,} copied now, {kept:,} here already{gone}.")
    if report.left_out:
        teller.warn(f"Not copied from {place}: {_name_some(report.left_out)}.")
    if report.failed:
        teller.warn(
            f"{len(report.failed):,} of {report.num_objects:,} files of {place} could not be copied, and are not used: "
            f"{_name_some(report.failed)}. Run the command again to try them again."
        )


def _parts(key: str) -> list[str]:
    return key.split("/")


def _name_some(reasons: dict[str, str]) -> str:
    named = [f"{key} ({reason})" for key, reason in islice(reasons.items(), _NUM_NAMED)]
    others = len(reasons) - len(named)
    return ", ".join(named) + (f", and {others:,} more" if others else "")


def _nothing_there(place: Place, report: _Report) -> PlaceError:
    found = f"nothing that can be copied: {_name_some(report.left_out)}" if report.left_out else "nothing there"
    return PlaceError(
        f"{place}: {found}.",
        expected="an object, or objects whose keys begin with this one and a slash",
        fix="check the URL.",
    )


def _not_read(place: Place, failed: dict[str, str], num_missing: int) -> PlaceError:
    return PlaceError(
        f"{place}: {len(failed):,} of {num_missing:,} files could not be copied: {_name_some(failed)}.",
        expected=f"at most {MAX_FAILURES} files that fail, or one in a thousand",
        fix="check the place and the network, then run the command again; what is copied is kept.",
    )
