"""Copy many objects at once, in bounded threads: each is written aside, flushed to the disk and renamed."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tlkit.files import make_partial_path
from tlkit.places.failures import ObjectError
from tlkit.places.retries import PassingError, try_again
from tlkit.places.stores import Store, StoredObject
from tlkit.waiting import waiting_for

NUM_PARALLEL = 16
_PENDING_PER_THREAD = 4
_OF_ONE_NAME = {errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}
"""What a disk refuses because of a name; anything else ends the copying."""


@dataclass(frozen=True)
class Download:
    """The end of one download: `reason` says why it failed, or is None."""

    stored: StoredObject
    num_bytes: int = 0
    reason: str | None = None


def download_all(
    store: Store, objects: Iterable[StoredObject], folder: Path, *, aside: Path, advance: Callable[[int], None]
) -> Generator[Download]:
    """Copy objects to the paths of the same names below a folder, and yield each as it ends.

    Few are under way at once, so memory stays flat. When the iterator is closed, those under way are given up.

    Args:
        store: The place.
        objects: Its objects; their keys are names of files.
        folder: Where they go.
        aside: Folder for what is not whole yet, on the same disk; it exists.
        advance: Called with the bytes that have arrived, from any thread.

    Raises:
        OSError: The disk is full, or cannot be written to.
        PlaceError: The place refuses altogether.
    """
    cancelled = threading.Event()
    waiting = iter(objects)
    pool = ThreadPoolExecutor(NUM_PARALLEL, thread_name_prefix="copying")

    def start(stored: StoredObject) -> Future[Download]:
        path = folder.joinpath(*stored.key.split("/"))
        return pool.submit(_try_download, store, stored, path, aside, advance, cancelled)

    pending = {start(stored) for stored in islice(waiting, NUM_PARALLEL * _PENDING_PER_THREAD)}
    try:
        while pending:
            with waiting_for(f"{store.place}"):
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
            pending |= {start(stored) for stored in islice(waiting, len(done))}
    finally:
        cancelled.set()
        pool.shutdown(cancel_futures=True)


def _try_download(
    store: Store,
    stored: StoredObject,
    path: Path,
    aside: Path,
    advance: Callable[[int], None],
    cancelled: threading.Event,
) -> Download:
    try:
        num_bytes = download(store, stored, path, aside=aside, advance=advance, is_cancelled=cancelled.is_set)
        return Download(stored, num_bytes)
    except (ObjectError, PassingError) as failure:
        return Download(stored, reason=str(failure))
    except OSError as error:
        if error.errno not in _OF_ONE_NAME:
            raise
        return Download(stored, reason=f"cannot be stored here: {error.strerror or error}")


def download(
    store: Store,
    stored: StoredObject,
    path: Path,
    *,
    aside: Path,
    advance: Callable[[int], None] = lambda count: None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> int:
    """Copy one object, in parts that are tried again each, and return its size in bytes.

    Args:
        store: The place.
        stored: The object.
        path: The file; its folders are made.
        aside: Folder for what is not whole yet.
        advance: Called with the bytes that have arrived.
        is_cancelled: Whether to give up.

    Raises:
        ObjectError: It cannot be read, or is not what was listed.
        PassingError: The server fails again and again.
        OSError: The disk refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = make_partial_path(aside)
    num_bytes = 0
    try:
        with partial.open("xb") as file:
            while num_bytes == 0 or num_bytes < stored.num_bytes:
                if is_cancelled():
                    raise PassingError("given up")
                start = num_bytes
                part = try_again(lambda start=start: _read(store, stored, start), is_cancelled=is_cancelled)  # type: ignore[misc]
                file.write(part)
                num_bytes += len(part)
                advance(len(part))
                if not part or stored.num_bytes < 0:
                    break
            if 0 <= stored.num_bytes != num_bytes:
                raise ObjectError(f"{num_bytes:,} bytes instead of the {stored.num_bytes:,} that were listed")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    return num_bytes


def _read(store: Store, stored: StoredObject, start: int) -> bytes:
    part = store.read(stored, start)
    if not part and stored.num_bytes > start:
        raise PassingError("the server sent nothing")
    return part
