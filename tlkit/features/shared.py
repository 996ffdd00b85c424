"""A feature cache at a place: machines that name the same one by TLKIT_CACHE see each other's rows.

Each machine works on its own copy below the user's cache folder. Opening a cache fetches the finished shards that are
not here yet, and each shard that is finished here is put there, in the background, under its unique name. Shards never
change, so nobody waits for anybody. A shard that cannot be put is kept here, and tried again when the cache is next
opened. What comes from the place is checked like any other shard: see `tlkit.features.shards`.
"""

from __future__ import annotations

import re
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from tlkit.errors import CacheError, PlaceError
from tlkit.features.folder import SPEC_FILE
from tlkit.places.cache_root import find_shared_cache
from tlkit.places.failures import unreachable
from tlkit.places.place import Place
from tlkit.places.retries import PassingError
from tlkit.places.stores import StoredObject, open_store
from tlkit.waiting import waiting_for

SHARD_NAME = re.compile(r"shard-[0-9a-f]{32}\.h5")
MAX_SHARD_BYTES = 2**32
_NUM_UPLOADS = 2


class SharedCache:
    """The shards of one cache at a place.

    Attributes:
        place: Where they are.
        problems: What could not be put there or fetched, one sentence each.
    """

    def __init__(self, folder: Path, place: Place) -> None:
        self.place = place
        self.problems: list[str] = []
        self._folder = folder
        self._store = open_store(place)
        self._uploads: list[tuple[Path, Future[bool]]] = []
        self._pool: ThreadPoolExecutor | None = None

    def synchronize(self) -> None:
        """Fetch the shards that are not here, and put those there that are missing.

        Raises:
            PlaceError: The place cannot be read.
            CacheError: A shard cannot be stored here.
        """
        with waiting_for(f"{self.place}"):
            try:
                there = {stored.key: stored for stored in self._store.list()}
            except PassingError as failure:
                raise unreachable(self.place, failure) from failure
            here = {path.name: path for path in self._folder.glob("shard-*.h5") if SHARD_NAME.fullmatch(path.name)}
            self._fetch([stored for name, stored in there.items() if name not in here and self._is_shard(stored)])
        here[SPEC_FILE] = self._folder / SPEC_FILE
        for name, path in here.items():
            if name not in there:
                self.put(path)

    def _is_shard(self, stored: StoredObject) -> bool:
        if not SHARD_NAME.fullmatch(stored.key):
            return False
        if stored.num_bytes > MAX_SHARD_BYTES:
            self.problems.append(f"{self.place}{stored.key} is too large for a shard, and is not fetched.")
            return False
        return True

    def _fetch(self, wanted: list[StoredObject]) -> None:
        from tlkit.places.downloads import download_all

        try:
            downloads = download_all(self._store, wanted, self._folder, aside=self._folder, advance=lambda count: None)
            failed = [f"{done.stored.key} ({done.reason})" for done in downloads if done.reason is not None]
        except OSError as error:
            raise CacheError(
                f"{self._folder}: shards of {self.place} cannot be stored here: {error.strerror or error}.",
                expected="a disk with room for them",
                fix="make room with `tlkit cache prune`.",
            ) from error
        if failed:
            self.problems.append(
                f"{len(failed):,} of {len(wanted):,} shards of {self.place} could not be fetched, such as {failed[0]}; "
                "their rows count as missing."
            )

    def put(self, path: Path) -> None:
        """Put a shard, or another file of the cache, there in the background."""
        from tlkit.places.uploads import put_file

        if self._pool is None:
            self._pool = ThreadPoolExecutor(_NUM_UPLOADS, thread_name_prefix="shards")
        self._uploads.append((path, self._pool.submit(put_file, self._store, path.name, path, only_new=True)))

    def finish(self) -> None:
        """Wait until everything is there, and note what could not be put there."""
        from tlkit.places.uploads import UploadError

        failed = []
        with waiting_for(f"{self.place} to take {len(self._uploads):,} files"):
            for path, upload in self._uploads:
                try:
                    upload.result()
                except FileNotFoundError:  # removed here meanwhile
                    continue
                except (UploadError, PlaceError, OSError) as error:
                    failed.append(f"{path.name} ({error.found if isinstance(error, PlaceError) else error})")
        number = len(self._uploads)
        self._uploads.clear()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        if failed:
            self.problems.append(
                f"{len(failed):,} of {number:,} files could not be put at {self.place}, such as {failed[0]}. They are "
                f"kept in {self._folder}, and tried again the next time that this cache is used."
            )

    def take_problems(self) -> list[str]:
        """Return the problems, and forget them."""
        problems, self.problems = self.problems, []
        return problems


def open_shared(folder: Path) -> SharedCache | None:
    """Return the shared shards of a cache, brought up to date here; None unless TLKIT_CACHE is a URL.

    Raises:
        PlaceError: The place cannot be read.
        SettingError: obstore is missing, or refuses a setting.
    """
    place = find_shared_cache()
    if place is None:
        return None
    shared = SharedCache(folder, place.below(f"features/{folder.name}"))
    shared.synchronize()
    shared.finish()
    return shared
