"""Lists of a bucket are whole, whichever of their pages fail."""

from __future__ import annotations

import pytest

from tests.s3_server import Faults, S3Server
from tlkit.places.failures import ObjectError
from tlkit.places.place import parse_place
from tlkit.places.retries import PassingError
from tlkit.places.stores import StoredObject, open_store


def test_a_list_goes_on_behind_the_last_page_that_arrived(s3: S3Server) -> None:
    s3.buckets["bucket"] = {f"p/{number:05d}": b"x" for number in range(4500)}
    s3.fail(Faults(errors=0.06, cuts=0.03, seed=4))
    keys = [stored.key for stored in open_store(parse_place("s3://bucket/p/")).list()]
    assert keys == [f"{number:05d}" for number in range(4500)]
    assert s3.num_faults > 4
    assert s3.requests["GET"] < 45 * 4


def test_a_list_that_fails_for_good_is_no_shorter_list(s3: S3Server) -> None:
    s3.buckets["bucket"] = {f"p/{number:05d}": b"x" for number in range(1500)}
    objects = open_store(parse_place("s3://bucket/p/")).list()
    next(objects)
    s3.fail(Faults(errors=1.0))
    with pytest.raises(PassingError):
        list(objects)


def test_an_object_that_changed_since_it_was_listed_is_not_mixed(s3: S3Server) -> None:
    s3.buckets["bucket"]["a.jpg"] = b"first"
    store = open_store(parse_place("s3://bucket"))
    stored = store.find("a.jpg")
    assert isinstance(stored, StoredObject)
    assert store.read(stored, 0) == b"first"
    s3.buckets["bucket"]["a.jpg"] = b"other"
    with pytest.raises(ObjectError, match=r"^changed while it was being read$"):
        store.read(stored, 0)
    assert store.find("b.jpg") is None
