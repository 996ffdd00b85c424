"""The training images from which a quantised network takes the ranges of its numbers."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.exports.conftest import SPEC
from tlkit.data.manifest import ImageRecord
from tlkit.errors import DataError
from tlkit.exports.training_images import read_calibration_images
from tlkit.metadata.encoding import MetadataEncoding, NumberColumn

WEIGHED = dataclasses.replace(SPEC, metadata=MetadataEncoding((NumberColumn("weight", 2.0, 1.0, 0.0, 9.0),)))


@pytest.fixture
def records(
    tmp_path: Path, make_image_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> list[ImageRecord]:
    """The training images of a run, the second of which has changed since."""
    files = sorted(make_image_folder(tmp_path / "photos", {"red": 5}).rglob("*.png"))
    found = [
        ImageRecord(path, hashlib.sha256(path.read_bytes()).hexdigest(), 40, 32, "train", "red", None, (str(number),))
        for number, path in enumerate(files)
    ]
    files[1].write_bytes(files[0].read_bytes() + b"changed")
    manifest = SimpleNamespace(in_split=lambda split: tuple(found) if split == "train" else ())
    monkeypatch.setattr("tlkit.exports.training_images.find_run_folder", lambda run: run)
    monkeypatch.setattr("tlkit.exports.training_images.read_manifest", lambda _: manifest)
    return found


def test_they_come_with_their_metadata(records: list[ImageRecord], tmp_path: Path) -> None:
    found = read_calibration_images(tmp_path, WEIGHED)

    assert found.images.shape == (4, 32, 32, 3)
    assert found.images.dtype == np.uint8
    np.testing.assert_array_equal(found.metadata[:, 0], [-2, 0, 1, 2])


def test_of_many_an_even_part_is_read(
    records: list[ImageRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlkit.exports.training_images.MAX_CALIBRATION_IMAGES", 3)

    np.testing.assert_array_equal(read_calibration_images(tmp_path, WEIGHED).metadata[:, 0], [-2, 0, 2])


def test_a_bundle_without_its_run_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlkit.exports.training_images.find_run_folder", lambda _: None)

    with pytest.raises(DataError) as caught:
        read_calibration_images(tmp_path, SPEC)

    assert str(caught.value) == (
        f"{tmp_path} has no training images from which a quantised model could take the ranges of its numbers.\n"
        "  Expected: a run folder whose training images are where they were\n"
        "  Fix: restore them, or leave out --precision int8."
    )
