from __future__ import annotations

from pathlib import Path

import pytest

from tlkit.errors import SettingError
from tlkit.places.place import Place, is_place, parse_place, place_text, without_secrets


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("s3://bucket", Place("s3", "bucket", "", is_folder=True)),
        ("s3://bucket/photos", Place("s3", "bucket", "photos")),
        ("s3://bucket/photos/", Place("s3", "bucket", "photos", is_folder=True)),
        ("s3://bucket/a b?c#d%20.jpg", Place("s3", "bucket", "a b?c#d%20.jpg")),
        ("gs://bucket/a/b.jpg", Place("gs", "bucket", "a/b.jpg")),
        ("az://container/a", Place("az", "container", "a")),
        ("HTTPS://Example.org:8000/my%20photos/", Place("https", "example.org:8000", "my photos", is_folder=True)),
    ],
)
def test_a_url_names_a_bucket_and_a_key(text: str, place: Place) -> None:
    assert parse_place(text) == place


def test_a_path_that_lost_a_slash_of_its_url_is_read_as_the_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert place_text(Path("s3://bucket/photos")) == "s3://bucket/photos"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:" / "bucket").mkdir(parents=True)
    assert place_text(Path("s3:/bucket")) is None, "such a folder is there"


@pytest.mark.parametrize(
    "text", ["photos", "/photos", "./s3:", "C:\\photos", "a//b", "-", "photos/**/*.jpg", Path("a/b")]
)
def test_paths_are_no_places(text: str | Path) -> None:
    assert not is_place(text)


def test_secrets_of_a_url_are_neither_shown_nor_stored() -> None:
    place = parse_place("https://anna:geheim@example.org/a.jpg?signature=geheim")
    assert (place.user, place.query) == ("anna:geheim", "signature=geheim")
    assert str(place) == "https://example.org/a.jpg"
    assert "geheim" not in repr(place)
    assert place.identity != parse_place("https://example.org/a.jpg").identity


def test_a_command_line_is_kept_without_secrets() -> None:
    line = "tlkit predict run 'https://anna:geheim@example.org/a.jpg?signature=geheim&x=1' s3://bucket/what?.jpg --out b.csv"
    assert without_secrets(line) == "tlkit predict run 'https://example.org/a.jpg' s3://bucket/what?.jpg --out b.csv"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "s4://bucket",
            "s4://bucket: s4 is no kind of place that tlkit reads.\n"
            "  Expected: s3://BUCKET/KEY, gs://BUCKET/KEY, az://CONTAINER/KEY, or http(s)://HOST/PATH\n"
            "  Fix: did you mean 's3'?",
        ),
        (
            "file:///photos",
            "file:///photos: file is no kind of place that tlkit reads.\n"
            "  Expected: s3://BUCKET/KEY, gs://BUCKET/KEY, az://CONTAINER/KEY, or http(s)://HOST/PATH\n"
            "  Fix: leave out file://.",
        ),
        (
            "s3:///photos",
            "s3:///photos names no bucket.\n"
            "  Expected: s3://BUCKET/KEY, gs://BUCKET/KEY, az://CONTAINER/KEY, or http(s)://HOST/PATH\n"
            "  Fix: write the bucket after s3://.",
        ),
        (
            "s3://key:geheim@bucket/photos",
            "s3://…@bucket: there is a name or a password before the bucket.\n"
            "  Expected: credentials by the means of S3, such as environment variables\n"
            "  Fix: take them out of the URL, and see the guide's section on object storage.",
        ),
    ],
)
def test_other_urls_are_refused(text: str, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        parse_place(text)
    assert str(caught.value) == message
