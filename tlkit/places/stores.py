"""Ask a place: list it, read and write its objects, with failures that may pass told from those that will not.

Object stores are asked through obstore, imported here and nowhere else; web servers through Python's own library.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from tlkit.errors import SettingError
from tlkit.places.credentials import describe_credentials, find_settings
from tlkit.places.failures import ObjectError, explain, shorten
from tlkit.places.place import BUCKETS, Place
from tlkit.places.retries import PassingError, try_again

if TYPE_CHECKING:
    from obstore.store import ObjectStore

REQUEST_SECONDS = 60
"""Longest time of one request, body included; a request reads at most `RANGE_BYTES`."""
RANGE_BYTES = 2**23
_LIST_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of a place.

    Attributes:
        key: Path below the place, with slashes.
        num_bytes: Its size; -1 if the server does not say.
        tag: What changes with its content: the ETag, or the time of its last change.
    """

    key: str
    num_bytes: int
    tag: str


class Store(Protocol):
    """A place that answers; its methods raise `PassingError`, `ObjectError` and `PlaceError`."""

    place: Place

    def list(self) -> Iterator[StoredObject]:
        """Yield all objects below the place, whose keys are relative to it; retried inside."""
        ...

    def find(self, key: str) -> StoredObject | None:
        """Return an object, or None if there is none; not retried."""
        ...

    def read(self, stored: StoredObject, start: int) -> bytes:
        """Return at most RANGE_BYTES of an object from a byte on; not retried."""
        ...

    def write(self, key: str, file: Path, *, only_new: bool) -> bool:
        """Store a file; return False if `only_new` and there is an object of this name. Not retried."""
        ...


def open_store(place: Place) -> Store:
    """Return the store of a place; nothing is asked yet.

    Raises:
        SettingError: obstore is not installed, or a setting in the environment is refused.
    """
    if place.is_web:
        from tlkit.places.web import WebStore

        return WebStore(place)
    return BucketStore(place, _connect(place))


def _connect(place: Place) -> ObjectStore:
    try:
        from obstore.store import AzureStore, GCSStore, S3Store
    except ImportError as error:
        raise SettingError(
            f"{place}: obstore is not installed, which reads {BUCKETS[place.scheme]}.",
            expected="the extra `cloud`",
            fix="pip install 'tlkit[cloud]'",
        ) from error
    settings, client = find_settings(place)
    kinds: dict[str, Any] = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}
    try:
        store: ObjectStore = kinds[place.scheme](
            place.bucket,
            **settings,
            client_options={"timeout": timedelta(seconds=REQUEST_SECONDS), **client},
            retry_config={"max_retries": 0},  # `try_again` retries, so that the number of tries is known
        )
    except Exception as error:
        raise SettingError(
            f"{place}: the settings of {BUCKETS[place.scheme]} are refused: {shorten(error)}.",
            expected=describe_credentials(place.scheme),
            fix="correct the environment variable.",
        ) from error
    return store


class BucketStore:
    """A place in an object store.

    Args:
        place: The place.
        store: obstore's store of the whole bucket.
    """

    def __init__(self, place: Place, store: ObjectStore) -> None:
        self.place = place
        self._store = store
        self._prefix = f"{place.key}/" if place.key else ""

    def list(self) -> Iterator[StoredObject]:
        """Yield the objects in the order of their keys; after a failure the list goes on behind the last one.

        Raises:
            PassingError: The server failed as often as is tried, without an answer in between.
            PlaceError: There is no such bucket, or it may not be listed.
        """
        last: str | None = None
        while True:
            pages = try_again(partial(self._list_behind, last))
            for page in pages:
                for meta in page:
                    last = meta["path"]
                    yield self._describe(meta)
            if pages.is_whole:
                return

    def _list_behind(self, last: str | None) -> _Pages:
        import obstore

        stream = obstore.list(self._store, self.place.key or None, offset=last, chunk_size=_LIST_CHUNK)
        with self._explained(""):
            return _Pages(iter(stream), self)

    def find(self, key: str) -> StoredObject | None:
        """Return an object."""
        import obstore

        try:
            with self._explained(key):
                return self._describe(obstore.head(self._store, self._prefix + key))
        except ObjectError as failure:
            if isinstance(failure.__cause__, FileNotFoundError):
                return None
            raise

    def read(self, stored: StoredObject, start: int) -> bytes:
        """Return a part of an object."""
        import obstore

        path = self._prefix + stored.key
        with self._explained(stored.key):
            if start == 0 and stored.num_bytes <= RANGE_BYTES:
                return bytes(obstore.get(self._store, path, options={"if_match": _quoted(stored.tag)}).bytes())
            stop = min(start + RANGE_BYTES, stored.num_bytes)
            part = obstore.get(self._store, path, options={"range": (start, stop), "if_match": _quoted(stored.tag)})
            return bytes(part.bytes())

    def write(self, key: str, file: Path, *, only_new: bool) -> bool:
        """Store a file, in one request if it has at most 64 MiB."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        is_large = file.stat().st_size > 2**26
        if only_new and is_large and self.find(key) is not None:
            return False
        mode: Literal["create", "overwrite"] = (
            "create" if only_new and not is_large else "overwrite"
        )  # parts cannot be stored on a condition
        try:
            with self._explained(key):
                obstore.put(self._store, self._prefix + key, file, mode=mode, use_multipart=is_large)
        except ObjectError as failure:
            if isinstance(failure.__cause__, (AlreadyExistsError, PreconditionError)):
                return False
            raise
        return True

    def _describe(self, meta: Any) -> StoredObject:
        tag = (meta.get("e_tag") or meta["last_modified"].isoformat()).strip('"')
        return StoredObject(meta["path"].removeprefix(self._prefix), meta["size"], tag)

    @contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        """Turn what obstore raises into failures of the request, of the object, or of the whole place."""
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            raise explain(error, self.place, key) from error


class _Pages:
    """The pages of a list, the first of which has been fetched; ends early, not whole, after a passing failure."""

    def __init__(self, stream: Iterator[Any], store: BucketStore) -> None:
        self.is_whole = False
        self._stream = stream
        self._store = store
        self._first = next(stream, None)

    def __iter__(self) -> Iterator[Any]:
        page = self._first
        while page is not None:
            yield page
            try:
                with self._store._explained(""):  # noqa: SLF001 - of the same module
                    page = next(self._stream, None)
            except PassingError:
                return
        self.is_whole = True


def _quoted(tag: str) -> str | None:
    """Return an ETag as a condition; None for a time, which is none."""
    return None if "T" in tag and ":" in tag else tag if tag.startswith("W/") else f'"{tag}"'
