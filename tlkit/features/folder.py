"""One cache's folder: its description, the lock of those who use it, and the note of what it was used for.

Only the shards matter. Description and note can be lost: the one is repeated in every shard, without the other
`tlkit cache list` has less to tell.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tlkit.errors import CacheError
from tlkit.features.shards import SHARD_PATTERN, DamagedShard, read_shard_spec
from tlkit.features.spec import CacheSpec
from tlkit.files import MAX_JSON_BYTES, held_lock, list_files, read_json, read_regular_file, write_json, write_text
from tlkit.places.copies import show_path

SPEC_FILE = "cache.json"
USE_FILE = "used.json"
LOCK_FILE = "lock"
AGREEMENT_FILE = "agreement.json"
TAG_FILE = "CACHEDIR.TAG"
_MAX_DATA_SETS = 8
_SECONDS_TO_WAIT = 10.0
_CACHEDIR_TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This folder is a cache of tlkit; backups may leave it out, and `tlkit cache prune` empties it.\n"
)


@dataclass(frozen=True)
class CacheUse:
    """What a cache was used for.

    Attributes:
        data: The data sets, most recent first.
        is_one_off: Whether its weights come only from a training run, so no other run will have them.
    """

    data: tuple[str, ...] = ()
    is_one_off: bool = False


def open_folder(root: Path, spec: CacheSpec, user: object) -> Path:
    """Create the folder of a cache if necessary, and mark it as in use for the lifetime of `user`.

    Raises:
        CacheError: The folder cannot be made.
    """
    folder = spec.folder(root)
    lock = ExitStack()
    try:
        _join_users(folder, lock)
    except OSError as error:
        raise unwritable_cache(folder, error) from error
    weakref.finalize(user, lock.close)
    with suppress(OSError):  # not essential; writing a shard reports the problem
        if not (root / TAG_FILE).exists():
            write_text(root / TAG_FILE, _CACHEDIR_TAG)
        _describe(folder, spec)
        os.utime(folder / SPEC_FILE)
    return folder


def _describe(folder: Path, spec: CacheSpec) -> None:
    if _read_description(folder) != spec:
        write_text(folder / SPEC_FILE, spec.to_json())


def _join_users(folder: Path, lock: ExitStack) -> None:
    """Create a folder and share its lock, waiting for a prune that is removing it.

    Raises:
        OSError: The folder cannot be made.
    """
    last_moment = time.monotonic() + _SECONDS_TO_WAIT
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.enter_context(held_lock(folder / LOCK_FILE, shared=True))
            return
        except (FileNotFoundError, BlockingIOError):
            pass
        except OSError:  # read-only or full disk: nobody can prune there
            return
        if time.monotonic() > last_moment:
            return
        time.sleep(0.02)


def read_spec(folder: Path) -> CacheSpec:
    """Return the specification of the cache in `folder`, from its description or a shard.

    Raises:
        CacheError: Neither has it.
    """
    spec = _read_description(folder)
    if spec is not None:
        return spec
    for path in list_files(folder, SHARD_PATTERN):
        with suppress(DamagedShard, FileNotFoundError):
            spec = read_shard_spec(path)
            if _belongs_to(spec, folder):
                return spec
    raise CacheError(
        f"{folder / SPEC_FILE} is missing or damaged, and no shard says what it said.",
        expected="the description that tlkit wrote when it made the cache",
        fix=f"remove it with `tlkit cache prune --key {folder.name}`; it is computed again when needed.",
    )


def read_specs(root: Path) -> list[CacheSpec]:
    """Return the specifications of the caches under a cache root that have one."""
    found = (_read_description(folder) for folder in sorted((root / "features").glob("*")))
    return [spec for spec in found if spec is not None]


def restore_description(folder: Path) -> CacheSpec:
    """Return the result of `read_spec`, and write a lost or damaged description again.

    Raises:
        CacheError: There is no specification.
    """
    spec = read_spec(folder)
    with suppress(OSError):  # the shards still have it
        _describe(folder, spec)
    return spec


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Yield whether a cache is unused; if so, it cannot be opened inside the context."""
    with ExitStack() as lock:
        try:
            lock.enter_context(held_lock(folder / LOCK_FILE))
        except BlockingIOError:
            yield False
            return
        except OSError:  # gone, or on a read-only disk
            pass
        yield True


def _read_description(folder: Path) -> CacheSpec | None:
    try:
        spec = CacheSpec.from_json(read_regular_file(folder / SPEC_FILE, max_bytes=MAX_JSON_BYTES))
    except (OSError, ValueError):
        return None
    return spec if _belongs_to(spec, folder) else None


def _belongs_to(spec: CacheSpec, folder: Path) -> bool:
    return folder.name == spec.folder(folder).name


def read_use(folder: Path) -> CacheUse:
    """Return the recorded use of a cache."""
    try:
        content = read_json(folder / USE_FILE)
        return CacheUse(tuple(map(str, content["data"])), bool(content["is_one_off"]))
    except (OSError, ValueError, TypeError, KeyError):
        return CacheUse()


def read_last_use(folder: Path) -> float:
    """Return when a cache was last opened, in seconds since 1970.

    Raises:
        FileNotFoundError: It is gone.
    """
    with suppress(FileNotFoundError):
        return (folder / SPEC_FILE).lstat().st_mtime
    return folder.stat().st_mtime


def note_use(folder: Path, data: Path, *, is_one_off: bool) -> None:
    """Record that a cache serves a data set; a cache once used with permanent weights is not a one-off.

    Raises:
        OSError: The note cannot be written.
    """
    before = read_use(folder)
    names = dict.fromkeys((show_path(data), *before.data))
    now = CacheUse(tuple(names)[:_MAX_DATA_SETS], is_one_off and (before.is_one_off or not before.data))
    if now != before:
        write_json(folder / USE_FILE, asdict(now))


def unwritable_cache(folder: Path, error: OSError) -> CacheError:
    """Return the error for a cache that cannot be written."""
    return CacheError(
        f"The feature cache {folder} cannot be written: {error.strerror or error}.",
        expected="a folder with enough free space that may be written to",
        fix="make room with `tlkit cache prune`, or set TLKIT_CACHE to another folder.",
    )
