"""One object: whole, or not there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tlkit.places import retries
from tlkit.places.downloads import download, download_all
from tlkit.places.failures import ObjectError
from tlkit.places.place import Place, parse_place
from tlkit.places.retries import MAX_TRIES, PassingError
from tlkit.places.stores import StoredObject


@dataclass
class FakeStore:
    """A place that sends these parts, one a request."""

    parts: list[bytes]
    place: Place = field(default_factory=lambda: parse_place("s3://bucket"))
    starts: list[int] = field(default_factory=list)

    def list(self) -> Iterator[StoredObject]:
        return iter(())

    def find(self, key: str) -> StoredObject | None:
        return None

    def read(self, stored: StoredObject, start: int) -> bytes:
        self.starts.append(start)
        return self.parts.pop(0)

    def write(self, key: str, file: Path, *, only_new: bool) -> bool:
        return False


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_PAUSE_SECONDS", 0.0)


def test_parts_are_read_one_behind_the_other(tmp_path: Path) -> None:
    store = FakeStore([b"abc", b"de", b"f"])
    arrived: list[int] = []
    size = download(store, StoredObject("a", 6, "t"), tmp_path / "x" / "a", aside=tmp_path, advance=arrived.append)
    assert size == 6
    assert (tmp_path / "x" / "a").read_bytes() == b"abcdef"
    assert (store.starts, arrived) == ([0, 3, 5], [3, 2, 1])


def test_an_object_that_is_not_what_was_listed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ObjectError, match=r"^7 bytes instead of the 6 that were listed$"):
        download(FakeStore([b"abcdefg"]), StoredObject("a", 6, "t"), tmp_path / "a", aside=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_sends_nothing_is_asked_a_limited_number_of_times(tmp_path: Path) -> None:
    store = FakeStore([b""] * 100)
    with pytest.raises(PassingError, match="the server sent nothing"):
        download(store, StoredObject("a", 6, "t"), tmp_path / "a", aside=tmp_path)
    assert len(store.starts) == MAX_TRIES
    assert list(tmp_path.iterdir()) == []


def test_an_empty_object_is_an_empty_file(tmp_path: Path) -> None:
    assert download(FakeStore([b""]), StoredObject("a", 0, "t"), tmp_path / "a", aside=tmp_path) == 0
    assert (tmp_path / "a").read_bytes() == b""


def test_a_full_disk_ends_the_copying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tlkit.places.downloads.os.fsync", refuse)
    downloads = download_all(
        FakeStore([b"a"]), [StoredObject("a", 1, "t")], tmp_path, aside=tmp_path, advance=lambda count: None
    )
    with pytest.raises(OSError, match="No space left"):
        next(downloads)
    assert list(tmp_path.iterdir()) == []
