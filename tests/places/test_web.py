"""Files of a web server: one of them, or those of a listing page."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.places.conftest import Heard
from tlkit.errors import PlaceError, SettingError
from tlkit.places import retries
from tlkit.places.copies import forget_copies, show_path
from tlkit.places.copying import copy_place
from tlkit.places.place import parse_place
from tlkit.places.stores import open_store


class _Quiet(SimpleHTTPRequestHandler):
    seen: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("Authorization")))
        super().do_GET()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    monkeypatch.setattr(retries, "FIRST_PAUSE_SECONDS", 0.001)
    folder = tmp_path / "site"
    for name in ("photos/red/a b.jpg", "photos/red/ü.jpg", "photos/blue/1.jpg", "other.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    _Quiet.seen.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()
    thread.join()
    forget_copies()


def test_a_listing_page_is_copied_with_the_pages_below_it(web: tuple[str, Path], tmp_path: Path, heard: Heard) -> None:
    url, site = web
    folder = copy_place(parse_place(f"{url}/photos/"), tmp_path / "cache", heard)
    names = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert names == {f"{name}": f"photos/{name}" for name in ("red/a b.jpg", "red/ü.jpg", "blue/1.jpg")}
    (site / "photos" / "blue" / "1.jpg").unlink()
    copy_place(parse_place(f"{url}/photos/"), tmp_path / "cache", heard)
    assert heard.said[-1] == f"{url}/photos/: 2 files, 0 copied now, 2 here already, 1 removed that are gone."


def test_a_page_whose_address_lacks_its_slash_is_copied_as_well(
    web: tuple[str, Path], tmp_path: Path, heard: Heard
) -> None:
    folder = copy_place(parse_place(f"{web[0]}/photos/red"), tmp_path / "cache", heard)
    assert sorted(path.name for path in folder.iterdir()) == ["a b.jpg", "ü.jpg"]


def test_one_file_is_copied_with_a_password_that_is_shown_nowhere(
    web: tuple[str, Path], tmp_path: Path, heard: Heard
) -> None:
    url, _ = web
    address = url.replace("http://", "http://anna:geheim@") + "/photos/red/a%20b.jpg?token=geheim"
    path = copy_place(parse_place(address), tmp_path / "cache", heard)
    assert path.read_text() == "photos/red/a b.jpg"
    assert _Quiet.seen == [("/photos/red/a%20b.jpg?token=geheim", "Basic YW5uYTpnZWhlaW0=")]
    assert show_path(path) == f"{url}/photos/red/a b.jpg"
    written = [each for each in (tmp_path / "cache").rglob("*") if each.is_file()]
    assert written
    assert not any(b"geheim" in each.read_bytes() for each in written)


def test_a_page_that_does_not_exist_is_an_error(web: tuple[str, Path], tmp_path: Path, heard: Heard) -> None:
    url, _ = web
    with pytest.raises(PlaceError) as caught:
        copy_place(parse_place(f"{url}/nothing/"), tmp_path / "cache", heard)
    assert str(caught.value) == (
        f"{url}/nothing/: no such file.\n"
        "  Expected: the address of an image or a table, or, with a slash at its end, of a page that lists files\n"
        "  Fix: check the address."
    )


def test_nothing_is_written_to_a_web_server(tmp_path: Path) -> None:
    with pytest.raises(SettingError) as caught:
        open_store(parse_place("https://example.org/")).write("a", tmp_path, only_new=True)
    assert str(caught.value) == (
        "https://example.org/: nothing can be written to a web server.\n"
        "  Expected: s3://, gs://, az:// or a local path\n"
        "  Fix: choose one of them."
    )
