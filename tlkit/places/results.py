"""Results at a place: written here first, and put there when all is done, the main file last.

So whoever waits for the main file finds the rest beside it. What cannot be put there stays here, and is named.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from tlkit.errors import PlaceError, SettingError
from tlkit.places.copies import remember_copy
from tlkit.places.copying import Advance, Teller
from tlkit.places.downloads import NUM_PARALLEL
from tlkit.places.failures import is_denied, unreachable
from tlkit.places.folders import PLACES
from tlkit.places.place import Place, is_place, parse_place
from tlkit.places.retries import PassingError
from tlkit.places.stores import Store, open_store
from tlkit.places.uploads import UploadError, put_file

_RESULTS = "results"


@dataclass(frozen=True)
class _Result:
    """A file or a folder on its way to a place.

    Attributes:
        option: The option that names it, for messages.
        place: Where it goes.
        path: Where it is written first.
        store: The bucket.
    """

    option: str
    place: Place
    path: Path
    store: Store

    def list_files(self) -> list[tuple[str, Path]]:
        """Return (key, file) of all its files, hidden ones excepted."""
        if self.path.is_file():
            return [(self.place.key, self.path)]
        below = sorted(path for path in self.path.rglob("*") if path.is_file() and not path.name.startswith("."))
        return [(self.place.below(path.relative_to(self.path).as_posix()).key, path) for path in below]


@contextmanager
def put_results(
    outputs: Mapping[str, str | PurePath | None], root: Path, teller: Teller, *, name: str
) -> Iterator[dict[str, Path | None]]:
    """Yield local paths for results; those that URLs name are put there at the end of the block.

    Args:
        outputs: Paths, URLs or None by the names of the options, such as `sort_into`; the first is put last.
        root: The cache root, in which results are written first.
        teller: Shows progress.
        name: Name of the first one's file if its URL ends with a slash.

    Raises:
        PlaceError: A place cannot be read, which is tried first, or cannot be written to.
        SettingError: A URL is of a kind that cannot be written to.
    """
    aside = root / PLACES / _RESULTS / uuid.uuid4().hex
    main = next(iter(outputs))
    results = {
        option: _open_result(option, value, aside / option, name if option == main else "")
        for option, value in outputs.items()
        if value is not None and is_place(value)
    }
    with ExitStack() as cleaning:
        cleaning.callback(_remove_empty, aside)
        for result in results.values():
            result.path.parent.mkdir(parents=True)
        yield {
            option: results[option].path if option in results else None if value is None else Path(value)
            for option, value in outputs.items()
        }
        for result in reversed(results.values()):
            _put(result, aside, teller)
        shutil.rmtree(aside, ignore_errors=True)


def _open_result(option: str, value: str | PurePath, folder: Path, name: str) -> _Result:
    place, flag = parse_place(value), f"--{option.replace('_', '-')}"
    if place.is_web:
        raise SettingError(
            f"{flag} {place}: nothing can be written to a web server.",
            expected="s3://, gs:// or az:// with a bucket, or a local path",
            fix="choose one of them.",
        )
    place = replace(place.below(name), is_folder=False) if name and place.is_folder else place
    try:
        next(iter(open_store(place.folder).list()), None)
    except PassingError as failure:
        raise unreachable(place, failure) from failure
    except PlaceError as error:
        if not is_denied(error):  # who may write need not be allowed to list
            raise
    path = folder / place.name
    remember_copy(path, place.url)
    return _Result(flag, place, path, open_store(place.root))


def _put(result: _Result, aside: Path, teller: Teller) -> None:
    files = result.list_files()
    num_bytes = sum(path.stat().st_size for _, path in files)
    what = f"Putting {len(files):,} {'file' if len(files) == 1 else 'files'} at {result.place}"

    def put(item: tuple[str, Path]) -> None:
        key, path = item
        put_file(result.store, key, path)
        advance(path.stat().st_size)

    advance: Advance
    try:
        with teller.progress(what, num_bytes, "bytes") as advance, ThreadPoolExecutor(NUM_PARALLEL) as pool:
            for _ in pool.map(put, files):
                pass
    except (UploadError, PlaceError) as failure:
        reason = failure.found.rstrip(".") if isinstance(failure, PlaceError) else str(failure)
        raise PlaceError(
            f"{result.option} {result.place} cannot be written: {reason}. All results are kept in {aside}.",
            expected="credentials that may write to the bucket, and a server that answers",
            fix="put them there by other means, or run the command again.",
        ) from failure


def _remove_empty(folder: Path) -> None:
    """Remove a folder in which nothing was written."""
    if folder.is_dir() and not any(path.is_file() for path in folder.rglob("*")):
        shutil.rmtree(folder, ignore_errors=True)
