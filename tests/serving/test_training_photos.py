"""Training photos beside an answer: looked at once, and found in the cache by the next server."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.serving.conftest import ColourModel, encode_image, wait_until
from tlkit.data.image_file import ImageFile
from tlkit.data.manifest import ImageRecord
from tlkit.serving.training_photos import TrainingPhotos, open_cache

NAMES = ("red", "green", "blue")
SEEN = np.array([200, 10, 10], np.float32)


class CountingModel(ColourModel):
    """Counts the pictures whose features it computes."""

    num_computed = 0

    def compute_features(self, images: Any) -> Any:
        """Return the mean colour."""
        self.num_computed += len(images)
        return super().compute_features(images)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder with the description of a bundle."""
    (tmp_path / "run" / "bundle").mkdir(parents=True)
    (tmp_path / "run" / "bundle" / "bundle.json").write_text("{}")
    return tmp_path / "run"


@pytest.fixture
def records(tmp_path: Path) -> list[ImageRecord]:
    """Three training photos."""
    for name in NAMES:
        (tmp_path / f"{name}.png").write_bytes(encode_image(name))
    paths = [tmp_path / f"{name}.png" for name in NAMES]
    return [ImageRecord(path, ImageFile.read(path).sha256, 40, 32, "train", path.stem) for path in paths]


def look(records: list[ImageRecord], run: Path, root: Path, num_ready: int = 3) -> tuple[list[Any], int]:
    """Look at the photos; return the nearest to red, and the number of photos whose features were computed."""
    model = CountingModel()
    photos = TrainingPhotos(
        records, model, lambda: False, partial(open_cache, model, run=run, precision="float32", root=root)
    )
    photos.start()
    wait_until(lambda: photos.describe()["ready"] == num_ready)
    photos.stop()
    return photos.find_nearest(SEEN, 3), model.num_computed - 1  # one picture tells the number of features


def test_a_photo_is_looked_at_once_for_a_model(records: list[ImageRecord], run: Path, tmp_path: Path) -> None:
    nearest, num_computed = look(records[:2], run, tmp_path / "cache", 2)
    assert [record.answer for record, _ in nearest] == ["red", "green"]
    assert num_computed == 2
    again, num_computed = look(records, run, tmp_path / "cache")
    assert num_computed == 1
    assert [pair for pair in again if pair[0].answer != "blue"] == nearest
    assert look(records, run, tmp_path / "cache") == (again, 0)
    (run / "bundle" / "bundle.json").write_text('{"other": 1}')
    assert look(records, run, tmp_path / "cache") == (again, 3)


def test_without_a_place_for_the_cache_photos_are_looked_at_anew(
    records: list[ImageRecord], run: Path, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file")
    first = look(records, run, tmp_path / "cache")
    assert first[1] == 3
    assert look(records, run, tmp_path / "cache") == first


def test_a_photo_that_has_changed_is_left_out(records: list[ImageRecord], run: Path, tmp_path: Path) -> None:
    records[0].path.write_bytes(encode_image("blue"))
    nearest, _ = look(records, run, tmp_path / "cache", 2)
    assert {record.answer for record, _ in nearest} == {"green", "blue"}


def test_a_server_that_stops_early_keeps_what_it_has(records: list[ImageRecord], run: Path, tmp_path: Path) -> None:
    model = CountingModel()
    photos = TrainingPhotos(
        records,
        model,
        lambda: model.num_computed > 2,
        partial(open_cache, model, run=run, precision="float32", root=tmp_path / "cache"),
    )
    photos.start()
    wait_until(lambda: photos.describe()["ready"] == 2)
    photos.stop()
    assert look(records, run, tmp_path / "cache")[1] == 1
