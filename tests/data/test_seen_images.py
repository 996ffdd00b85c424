"""What a model has seen: its run's images, and those of the runs before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlkit.data.manifest import ImageRecord, Manifest, write_manifest
from tlkit.data.seen_images import (
    EARLIER_IMAGES_FILE,
    UNKNOWN_IMAGES,
    SeenImages,
    read_seen_images,
    write_earlier_images,
)
from tlkit.errors import DataError


@pytest.fixture
def run(tmp_path: Path) -> Path:
    records = tuple(
        ImageRecord(tmp_path / sha256, sha256, 8, 8, split, "cat")
        for sha256, split in (("a", "train"), ("b", "validation"), ("c", "test"))
    )
    write_manifest(Manifest(tmp_path, ("cat", "dog"), records), tmp_path)
    return tmp_path


def test_a_run_knows_its_own_images(run: Path) -> None:
    assert read_seen_images(run) == SeenImages({"a": "train", "b": "validation", "c": "test"})


def test_what_an_earlier_run_was_trained_on_stays_seen(run: Path) -> None:
    write_earlier_images(run, SeenImages({"a": "test", "b": "train", "c": "validation", "d": "train"}))
    assert read_seen_images(run) == SeenImages({"a": "train", "b": "train", "c": "validation", "d": "train"})


def test_a_start_from_a_bundle_without_its_run_stays_unknown(run: Path) -> None:
    write_earlier_images(run, UNKNOWN_IMAGES)
    assert not read_seen_images(run).is_complete


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "not JSON from line 1 on"),
        ('{\n"splits":', "not JSON from line 2 on"),
        ("[]", "unexpected content"),
        ('{"splits": {}}', "is_complete is missing"),
        ('{"splits": {"a": "x"}, "is_complete": true}', "unexpected content"),
    ],
)
def test_a_damaged_list_of_earlier_images_is_refused(run: Path, content: str, problem: str) -> None:
    (run / EARLIER_IMAGES_FILE).write_text(content)
    with pytest.raises(DataError) as caught:
        read_seen_images(run)
    assert caught.value.found == f"{run / EARLIER_IMAGES_FILE} cannot be read ({problem})."
    assert caught.value.fix == "restore the file; without it, the earlier training images are unknown."


def test_a_list_that_says_something_else_than_was_written_is_refused(run: Path) -> None:
    write_earlier_images(run, SeenImages({"a": "train"}))
    path = run / EARLIER_IMAGES_FILE
    path.write_text(path.read_text().replace('"train"', '"test"'))
    with pytest.raises(DataError, match="the checksum does not match"):
        read_seen_images(run)
