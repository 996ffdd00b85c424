from __future__ import annotations

from pathlib import Path

import pytest

from tests.s3_server import Faults, S3Server
from tlkit.places.place import parse_place
from tlkit.places.retries import MAX_TRIES
from tlkit.places.stores import open_store
from tlkit.places.uploads import UploadError, put_file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_text("first")
    return path


def test_a_new_object_is_stored_once(s3: S3Server, file: Path) -> None:
    store = open_store(parse_place("s3://bucket/folder/"))
    assert put_file(store, "a.txt", file, only_new=True)
    file.write_text("second")
    assert not put_file(store, "a.txt", file, only_new=True)
    assert s3.buckets["bucket"] == {"folder/a.txt": b"first"}
    assert put_file(store, "a.txt", file)
    assert s3.buckets["bucket"] == {"folder/a.txt": b"second"}


def test_a_server_that_fails_is_asked_again_within_limits(s3: S3Server, file: Path) -> None:
    store = open_store(parse_place("s3://bucket"))
    s3.fail(Faults(errors=0.4, seed=1))
    assert put_file(store, "a.txt", file)
    s3.fail(Faults(errors=1.0))
    s3.requests.clear()
    with pytest.raises(UploadError, match=r"503 Service Unavailable|500 Internal Server Error"):
        put_file(store, "b.txt", file)
    assert s3.requests == {"PUT": MAX_TRIES}


def test_what_is_denied_is_asked_once(s3: S3Server, file: Path) -> None:
    s3.denied = True
    with pytest.raises(UploadError, match=r"^access denied$"):
        put_file(open_store(parse_place("s3://bucket")), "a.txt", file)
    assert s3.requests == {"PUT": 1}
