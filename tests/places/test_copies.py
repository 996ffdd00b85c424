from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tlkit.places.copies import find_path, forget_copies, list_failures, remember_copy, show_path, show_text


@pytest.fixture(autouse=True)
def no_copies() -> Iterator[None]:
    forget_copies()
    yield
    forget_copies()


def test_paths_in_a_copy_are_shown_as_urls(tmp_path: Path) -> None:
    remember_copy(tmp_path / "photos", "s3://bucket/photos")
    assert show_path(tmp_path / "photos" / "a" / "1.jpg") == "s3://bucket/photos/a/1.jpg"
    assert show_path(tmp_path / "photos") == "s3://bucket/photos"
    assert show_path(tmp_path / "photos2" / "1.jpg") == str(tmp_path / "photos2" / "1.jpg")
    assert show_text(f"{tmp_path}/photos/a: no images.") == "s3://bucket/photos/a: no images."


def test_a_url_leads_to_the_nearest_copy_that_has_it(tmp_path: Path) -> None:
    for name in ("whole/photos", "photos/a"):
        (tmp_path / name).mkdir(parents=True)
    remember_copy(tmp_path / "whole", "s3://bucket")
    remember_copy(tmp_path / "photos", "s3://bucket/photos")
    assert find_path("s3://bucket/photos/a") == tmp_path / "photos" / "a"
    assert find_path("s3://bucket/photos/") == tmp_path / "photos"
    assert find_path("s3://bucket/others") is None
    assert find_path("s3://other") is None


def test_what_could_not_be_copied_is_found_below_its_folder(tmp_path: Path) -> None:
    remember_copy(tmp_path, "s3://bucket", {tmp_path / "a" / "1.jpg": "access denied"})
    assert list_failures(tmp_path) == {tmp_path / "a" / "1.jpg": "access denied"}
    assert list_failures(tmp_path / "a") == {tmp_path / "a" / "1.jpg": "access denied"}
    assert list_failures(tmp_path / "b") == {}
