"""How often a command opens and decodes an image file: once for all that is wanted of it at that time."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile

from tlkit.commands.evaluate import EvaluateOptions, run_evaluate
from tlkit.commands.predict import PredictOptions, run_predict
from tlkit.data import file_index
from tlkit.data.dataset import read_dataset
from tlkit.data.file_index import FileIndex
from tlkit.data.images import LOADER_VERSION
from tlkit.data.views import ViewPlan
from tlkit.features.requested_rows import RequestedRows
from tlkit.inference.destinations import PredictOutputs
from tlkit.metadata.encoding import NO_METADATA, MetadataEncoding, NumberColumn
from tlkit.models.spec import BundleSpec
from tlkit.probes.leak_warning import warn_of_leaks
from tlkit.recipes import DataSettings, HeadSettings
from tlkit.reports.console import Console

SUFFIXES = (".jpg", ".png")
QUIET = Console(verbosity=-1)
WIDTH = MetadataEncoding((NumberColumn("image-width", 0.0, 1.0, 0.0, 1.0),))
WATCHED: list[tuple[Path, Counter[str]]] = []


class Reads:
    """Counts, for the images below a folder, how often each is opened, and how many pictures are decoded in all."""

    def __init__(self) -> None:
        self.opened: Counter[str] = Counter()
        self.num_decoded = 0

    def take(self) -> tuple[int, int, int]:
        """Return the most and the least times that a file was opened, and the pictures decoded, and start anew."""
        found = max(self.opened.values(), default=0), min(self.opened.values(), default=0), self.num_decoded
        self.opened.clear()
        self.num_decoded = 0
        return found


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    if WATCHED and event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
        folder, opened = WATCHED[-1]
        path, mode = os.fsdecode(arguments[0]), arguments[1]
        if path.startswith(str(folder)) and path.endswith(SUFFIXES) and "w" not in (mode or "r"):
            opened[path] += 1


sys.addaudithook(watch)  # it cannot be taken away, and does nothing but in these tests


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve pictures of each of two kinds, half of them JPEG."""
    rng = np.random.default_rng(0)
    for name, red in (("dark", 20), ("red", 220)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(12):
            pixels = rng.integers(0, 30, (24, 20, 3), np.uint8)
            pixels[..., 0] = red
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}{SUFFIXES[number % 2]}")
    return tmp_path / "photos"


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files made just now count as settled, so that the check of them is remembered."""
    monkeypatch.setattr(file_index, "RACY_SECONDS", 0.0)


@pytest.fixture
def reads(photos: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reads]:
    reads = Reads()
    original = ImageFile.ImageFile.load

    def load(picture: ImageFile.ImageFile) -> Any:
        reads.num_decoded += bool(picture.tile)
        return original(picture)

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    WATCHED.append((photos, reads.opened))
    yield reads
    WATCHED.pop()


class RedModel:
    """Calls a picture red by its red channel, and finds the left half of it."""

    batch_size = 4
    num_parallel = 1
    map_shape = None

    def __init__(self, *, has_box: bool = False, metadata: MetadataEncoding = NO_METADATA) -> None:
        self.spec = BundleSpec(
            "tiny", (8, 8), "squash", LOADER_VERSION, "avg", HeadSettings(), ("dark", "red"), has_box=has_box,
            metadata=metadata,
        )  # fmt: skip

    def predict(self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        red = images[..., 0].mean(axis=(1, 2)) / 255
        box = np.tile([0.25, 0.5, 0.5, 1], (len(images), 1 if self.spec.has_box else 0)).reshape(len(images), -1)
        return np.concatenate([np.stack([1 - red, red], axis=1), box], axis=1).astype(np.float32)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[RedModel], None]:
    def use(model: RedModel) -> None:
        for command in ("predict", "evaluate"):
            monkeypatch.setattr(f"tlkit.commands.{command}.read_spec", lambda *_, **__: model.spec)
            monkeypatch.setattr(f"tlkit.commands.{command}.open_classifier", lambda *_, **__: model)
        monkeypatch.setattr("tlkit.runs.evaluation_set.find_bundle", lambda run: run / "bundle")

    return use


@pytest.mark.parametrize(
    ("model", "views"),
    [
        (RedModel(), 1),
        (RedModel(has_box=True), 1),
        (RedModel(metadata=WIDTH), 1),
        (RedModel(has_box=True, metadata=WIDTH), 4),
    ],
)
def test_predict_opens_a_file_once_and_decodes_it_once(
    model: RedModel, views: int, photos: Path, tmp_path: Path, reads: Reads, use: Callable[[RedModel], None]
) -> None:
    use(model)
    options = PredictOptions(views=ViewPlan("standard" if views > 1 else "none", views))
    for outputs, times_opened in (
        (PredictOutputs(tmp_path / "rows.csv"), 1),
        (PredictOutputs(tmp_path / "rows.csv", overlay=tmp_path / "overlays"), 1),
        (PredictOutputs(tmp_path / "rows.csv", tmp_path / "overlays", sort_into=tmp_path / "sorted"), 2),
    ):
        payload = run_predict(Path("run"), [str(photos)], outputs, options, console=QUIET, stdin=None, stdout=None)
        assert (payload["images"], payload["errors"], payload["not_copied"]) == (24, 0, 0)
        assert reads.take() == (times_opened, times_opened, 24), "sorting copies the file itself"


def test_evaluate_opens_a_file_to_check_it_once_and_to_score_it(
    photos: Path, tmp_path: Path, reads: Reads, use: Callable[[RedModel], None]
) -> None:
    use(RedModel())
    for views, times_opened in ((ViewPlan(), 2), (ViewPlan("standard", 3), 1)):  # the check is remembered
        run_evaluate(
            Path("run"),
            photos,
            EvaluateOptions(out=tmp_path / "out", views=views),
            console=QUIET,
            settings=DataSettings(),
        )
        assert reads.take() == (times_opened, times_opened, 24 * times_opened)


def test_reading_a_data_set_opens_a_file_once_whatever_is_asked_of_it(
    photos: Path, tmp_path: Path, reads: Reads, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = DataSettings(metadata="image-size")
    for times_opened in (1, 0):
        manifest = read_dataset(photos, settings, seed=0, index=FileIndex(tmp_path / "cache"))
        warn_of_leaks(manifest, settings, seed=0, console=QUIET)
        assert reads.take() == (times_opened, times_opened, 24 * times_opened)
    assert manifest.records[0].metadata == ("20", "24", "0.8333", *manifest.records[0].metadata[3:])


def test_all_cached_views_of_a_file_come_from_opening_and_decoding_it_once(
    photos: Path, tmp_path: Path, reads: Reads
) -> None:
    manifest = read_dataset(photos, DataSettings(), seed=0, index=FileIndex(tmp_path / "cache"))
    requested = RequestedRows(manifest, ViewPlan("standard", 4))
    reads.take()
    files = list(requested.list_files(requested.list_missing(requested.find(None))))
    images = [image for keys in files for image in requested.load(keys, image_size=(8, 8), fit="squash")]
    assert len(images) == requested.num_rows > 24
    assert reads.take() == (1, 1, 24)


@pytest.mark.usefixtures("untraced")
def test_a_training_opens_a_file_to_check_it_to_compute_its_features_and_to_validate_the_saved_model(
    photos: Path, tmp_path: Path, reads: Reads, run_cli: Callable[..., Any]
) -> None:
    rng = np.random.default_rng(1)
    for name, red in (("dark", 20), ("red", 220)):
        for number in range(12, 40):
            pixels = rng.integers(0, 256, (24, 20, 3), np.uint8)
            pixels[..., 0] = red
            Image.fromarray(pixels).save(photos / name / f"{number}.png")
    words = ("--backbone", "mnist_cnn", "--image-size", 32, "--views", 2, "--epochs", 1, "--out", tmp_path / "run")
    assert run_cli("finetune", photos, *words).exit_code == 0
    num_opened = sum(reads.opened.values())
    few = 50  # for the engine's check, the picture of the views, the check of the cut, and the golden samples
    num_shown = 2 * 16  # on the map, and as mistakes
    assert 2 * 80 + 16 <= num_opened <= 2 * 80 + 16 + num_shown + few
    assert 2 * 80 + 16 <= reads.num_decoded <= num_opened  # views of the picture are decoded once, and read one by one
