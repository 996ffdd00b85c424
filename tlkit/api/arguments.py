"""Shared arguments: paths, consoles and views."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from tlkit.errors import SettingError
from tlkit.places.packed.patterns import is_packed
from tlkit.places.place import is_place, parse_place, place_text, without_secrets
from tlkit.recipes.given import check_policy, refuse_mosaics
from tlkit.recipes.settings import Stage
from tlkit.reports.console import Console

if TYPE_CHECKING:
    from tlkit.data.parts import Part
    from tlkit.data.views import ViewPlan
    from tlkit.places.packed.unpacking import Unpacked

Place = str | Path
"""A path, or the URL of a place in object storage or on the web."""
Result = dict[str, Any]
"""What a command prints with `--json`."""


def quiet_console() -> Console:
    """Return a console that prints only warnings."""
    return Console(verbosity=-1)


def as_path(place: Place | None) -> Path | None:
    """Return the path of something on this machine, or None.

    Raises:
        SettingError: It is a URL.
    """
    return None if place is None else require_path(place)


def require_path(place: Place) -> Path:
    """Return the path of something on this machine.

    Raises:
        SettingError: It is a URL.
    """
    if is_place(place):
        raise SettingError(
            f"{without_secrets(place_text(place) or '')}: only a path on this machine is taken here.",
            expected="a local path; images, tables and models may be at a URL, and so may --out of `tlkit predict`",
            fix="use a local path.",
        )
    return Path(place)


@overload
def fetch(place: Place, console: Console | None) -> Path: ...


@overload
def fetch(place: Place | None, console: Console | None) -> Path | None: ...


def fetch(place: Place | None, console: Console | None) -> Path | None:
    """Return the path of an input; what a URL names is copied to this machine first, as far as it is new or changed.

    Raises:
        PlaceError: There is nothing, or it cannot be read.
        SettingError: The URL is of an unknown kind, or obstore is not installed.
    """
    if place is None or not is_place(place):
        return None if place is None else Path(place)
    return _copy(place, console)


def _copy(place: Place, console: Console | None, **choice: Callable[[str], bool]) -> Path:
    """Copy what a URL names; `wanted` chooses objects of a folder."""
    from tlkit.places.cache_root import default_cache_root
    from tlkit.places.copying import copy_place

    return copy_place(parse_place(place), default_cache_root(), _tell_details(console), **choice)


def _tell_details(console: Console | None) -> Console:
    """Return what a copy tells: details, since standard output may be a table; progress and warnings go to standard error."""
    return (console or quiet_console()).for_details()


@overload
def fetch_run(run: Place, console: Console | None) -> Path: ...


@overload
def fetch_run(run: Place | None, console: Console | None) -> Path | None: ...


def fetch_run(run: Place | None, console: Console | None) -> Path | None:
    """Return the folder of a run whose own images are needed; if those were copied and are gone, they are copied again.

    Raises:
        PlaceError: The run, or its images, cannot be read.
        SettingError: A URL is of an unknown kind, or obstore is not installed.
    """
    folder = fetch(run, console)
    if folder is not None:
        from tlkit.runs.lost_data import find_lost_data

        if lost := find_lost_data(folder):
            fetch_data(lost, console)
    return folder


@overload
def fetch_data(place: Place, console: Console | None) -> Path: ...


@overload
def fetch_data(place: Place | None, console: Console | None) -> Path | None: ...


def fetch_data(place: Place | None, console: Console | None) -> Path | None:
    """Return the path of a data set, a folder or a table; what is packed is unpacked first.

    Raises:
        DataError: A packed file cannot be read.
        PlaceError: There is nothing, or it cannot be read.
        SettingError: The URL is of an unknown kind, or obstore is not installed.
    """
    if place is None or not is_packed(place):
        return fetch(place, console)
    unpacked = _unpack(place, console)
    return unpacked if isinstance(unpacked, Path) else unpacked.table or unpacked.folder


def fetch_part(data: Place, part: Part, console: Console | None) -> Path:
    """Return the path of a data set as `fetch_data`; of a folder at a URL only what a part needs is copied.

    Raises:
        DataError: As `fetch_data`.
        PlaceError: As `fetch_data`.
        SettingError: As `fetch_data`.
    """
    if not is_place(data) or is_packed(data):
        return fetch_data(data, console)
    return _copy(data, console, wanted=part.choose_objects())


def _unpack(place: Place, console: Console | None) -> Unpacked | Path:
    from tlkit.data.signatures import IMAGE_SUFFIXES
    from tlkit.places.cache_root import default_cache_root
    from tlkit.places.packed.unpacking import unpack

    return unpack(place, default_cache_root(), _tell_details(console), is_image=lambda ending: ending in IMAGE_SUFFIXES)


def fetch_sources(sources: Iterable[Place], console: Console | None) -> tuple[str, ...]:
    """Return sources as text, with the copies of what URLs name, and the folders of unpacked images."""
    return tuple(str(_fetch_source(source, console)) for source in sources)


def _fetch_source(source: Place, console: Console | None) -> Place:
    if is_packed(source):
        unpacked = _unpack(source, console)
        return unpacked if isinstance(unpacked, Path) else unpacked.folder
    return fetch(source, console) if is_place(source) else source


@contextmanager
def written(console: Console | None, name: str, **outputs: Place | None) -> Iterator[dict[str, Path | None]]:
    """Yield local paths for outputs; those that URLs name are put there at the end of the block, the first one last.

    Args:
        console: Shows progress.
        name: Name of the first one's file if its URL ends with a slash.
        outputs: Paths, URLs or None, named like their options.

    Raises:
        PlaceError: A place cannot be written to; the results are kept.
        SettingError: A URL is of a kind that cannot be written to.
    """
    if not any(map(is_place, outputs.values())):
        yield {option: as_path(place) for option, place in outputs.items()}
        return
    from tlkit.places.cache_root import default_cache_root
    from tlkit.places.results import put_results

    with put_results(outputs, default_cache_root(), _tell_details(console), name=name) as paths:
        yield paths


def plan_views(num_views: int, policy: str | None, *, seed: int = 0, for_training: bool = False) -> ViewPlan:
    """Return the requested views of each image.

    Raises:
        SettingError: The policy has no effect with a single view, or is one for training alone.
    """
    check_policy(num_views, policy)
    if not for_training:
        refuse_mosaics(policy, "--policy")
    from tlkit.data.views import ViewPlan

    return ViewPlan(policy or Stage.policy, num_views, seed)
