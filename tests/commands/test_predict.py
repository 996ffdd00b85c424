"""Classifying files with an untrained model: which rows come, in which order, and where they go."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from PIL import Image

from tlkit.commands.predict import PredictOptions, run_predict
from tlkit.data.image_file import ImageFile
from tlkit.data.images import LOADER_VERSION, UnusableImage
from tlkit.data.metadata_source import MetadataSource
from tlkit.data.views import PICTURE_ITSELF, ViewPlan, draw_view
from tlkit.errors import RunError, SettingError
from tlkit.inference.destinations import PredictOutputs
from tlkit.inference.files import predict_files
from tlkit.metadata.encoding import NO_METADATA
from tlkit.models.classifier import Classifier
from tlkit.models.saving import read_bundle
from tlkit.reports.console import Console

CLASS_NAMES = ("cat/dog", "eel", "fish")


pytestmark = pytest.mark.usefixtures("bundles_are_read_once")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, make_bundle: Callable[..., Path]) -> Path:
    """A model with random weights."""
    return make_bundle(tmp_path_factory.mktemp("model") / "bundle", CLASS_NAMES, fit="pad")


@pytest.fixture(scope="module")
def classifier(bundle: Path) -> Classifier:
    return read_bundle(bundle, loader_version=LOADER_VERSION)


@pytest.fixture
def photos(tmp_path: Path, make_image_folder: Callable[..., Path]) -> Path:
    """Six pictures in two folders with the same file names, and three files that are no pictures."""
    root = make_image_folder(tmp_path / "photos", {"a/red": 3, "b/red": 3})
    (root / "a" / "red" / "red_001b.png").write_bytes(b"")
    content = (root / "b" / "red" / "red_000.png").read_bytes()
    (root / "b" / "cut.png").write_bytes(content[: len(content) // 2])
    (root / "b" / "red" / "note.jpg").write_text("not a picture")
    return root


def predict(
    run: Path,
    sources: Iterable[object],
    stdin: str = "",
    as_json: bool = False,
    views: ViewPlan = PICTURE_ITSELF,
    **outputs: Any,
) -> dict[str, Any]:
    stream = io.BytesIO()
    payload = run_predict(
        run,
        [str(source) for source in sources],
        PredictOutputs(**outputs),
        PredictOptions(views=views),
        console=Console(verbosity=-1, json=as_json),
        stdin=io.BytesIO(stdin.encode()),
        stdout=stream,
    )
    return {**payload, "stdout": stream.getvalue().decode()}


def read_rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_file_gets_a_row_in_order_and_bad_ones_their_reason(bundle: Path, photos: Path) -> None:
    payload = predict(bundle, [photos])
    rows = read_rows(payload["stdout"])
    errors = {Path(row["path"]).name: row["error"] for row in rows if row["error"]}

    assert [row["path"] for row in rows] == sorted(row["path"] for row in rows)
    assert set(errors) == {"red_001b.png", "cut.png", "note.jpg"}
    assert errors["red_001b.png"] == "empty file"
    assert errors["note.jpg"] == "not an image"
    assert payload["images"] == 9
    assert payload["errors"] == 3
    assert sum(payload["classes"].values()) == 6
    assert set(payload["classes"]) == set(CLASS_NAMES)
    for row in rows:
        assert bool(row["class_name"]) != bool(row["error"])


def test_rows_follow_the_order_of_the_sources_whatever_the_batches(
    classifier: Classifier, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sorted(photos.rglob("*.*"), reverse=True)
    for batch_size in (1, 2, 32):
        monkeypatch.setattr(classifier, "batch_size", batch_size)
        answers = list(predict_files(classifier, paths, MetadataSource(NO_METADATA, None), top_k=1))
        assert [file.path for file in answers] == paths
        assert [file.prediction.path for file in answers] == [str(path) for path in paths]


def test_the_probabilities_are_the_models_for_the_pixels_of_the_one_loader(
    bundle: Path, classifier: Classifier, photos: Path
) -> None:
    path = photos / "a" / "red" / "red_002.png"
    pixels = ImageFile(path.read_bytes()).render(image_size=(64, 64), fit="pad")
    expected = classifier.predict(np.stack([pixels] * 32))[0]

    (row,) = read_rows(predict(bundle, [path])["stdout"])
    found = {row[f"class_name{ending}"]: np.float32(row[f"probability{ending}"]) for ending in ("", "_2", "_3")}
    assert found == dict(zip(CLASS_NAMES, expected, strict=True))
    assert len(set(found.values())) == 3
    assert row["class_name"] == CLASS_NAMES[expected.argmax()]


def test_an_images_numbers_do_not_depend_on_its_neighbours(bundle: Path, photos: Path) -> None:
    together = {row["path"]: row for row in read_rows(predict(bundle, [photos])["stdout"])}
    path = photos / "b" / "red" / "red_001.png"
    (alone,) = read_rows(predict(bundle, [path])["stdout"])
    assert alone == together[str(path)]


def test_the_answers_to_views_are_averaged_and_the_views_follow_from_the_file_alone(
    bundle: Path, classifier: Classifier, photos: Path
) -> None:
    views = ViewPlan("strong", 3)
    path = photos / "b" / "red" / "red_001.png"
    content = path.read_bytes()
    drawn = [None, *(draw_view("strong", seed=0, sha256=sha256(content).hexdigest(), index=index) for index in (1, 2))]
    pixels = np.stack([ImageFile(content).render(image_size=(64, 64), fit="pad", view=view) for view in drawn])
    expected = classifier.predict(np.concatenate([pixels, np.stack([pixels[-1]] * 29)]))[:3].mean(axis=0)

    together = {row["path"]: row for row in read_rows(predict(bundle, [photos], views=views)["stdout"])}
    payload = predict(bundle, [path], views=views)
    (alone,) = read_rows(payload["stdout"])
    assert alone == together[str(path)]
    found = {alone[f"class_name{ending}"]: np.float32(alone[f"probability{ending}"]) for ending in ("", "_2", "_3")}
    assert found == dict(zip(CLASS_NAMES, expected, strict=True))
    assert (payload["images"], payload["views"]) == (1, 3)
    assert sum(bool(row["error"]) for row in together.values()) == 3


def test_paths_on_standard_input_are_read(bundle: Path, photos: Path) -> None:
    paths = [photos / "b" / "red" / "red_002.png", photos / "missing.png", photos / "a" / "red" / "red_000.png"]
    rows = read_rows(predict(bundle, ["-"], stdin="\n".join(map(str, paths)) + "\n")["stdout"])
    assert [row["path"] for row in rows] == [str(path) for path in paths]
    assert [row["error"] for row in rows] == ["", "no such file", ""]


def test_a_file_of_rows_leaves_standard_output_alone(bundle: Path, photos: Path, tmp_path: Path) -> None:
    payload = predict(bundle, [photos], out=tmp_path / "p.jsonl")
    assert payload["stdout"] == ""
    assert len((tmp_path / "p.jsonl").read_text().splitlines()) == 9


def test_under_json_the_rows_are_part_of_the_result(bundle: Path, photos: Path, tmp_path: Path) -> None:
    payload = predict(bundle, [photos], as_json=True)
    assert payload["stdout"] == ""
    assert len(payload["predictions"]) == 9
    assert payload["predictions"][0]["classes"][0]["class_name"] in CLASS_NAMES
    assert "predictions" not in predict(bundle, [photos], as_json=True, out=tmp_path / "p.csv")


def test_overlays_are_drawn_for_every_picture_and_kept_apart(bundle: Path, photos: Path, tmp_path: Path) -> None:
    predict(bundle, [photos], overlay=tmp_path / "previews")
    names = {path.name for path in (tmp_path / "previews").iterdir()}
    pictures = {f"red_00{index}{ending}.jpg" for index in range(3) for ending in ("", "-2")}
    assert names == pictures | {".tlkit-output"}
    with Image.open(tmp_path / "previews" / "red_000.jpg") as overlay:
        assert overlay.width >= 320


def test_sorting_copies_every_picture_into_the_folder_of_its_class(bundle: Path, photos: Path, tmp_path: Path) -> None:
    payload = predict(bundle, [photos], sort_into=tmp_path / "sorted")
    counts = {folder.name: len(list(folder.iterdir())) for folder in (tmp_path / "sorted").iterdir() if folder.is_dir()}
    assert counts == {name.replace("/", "_"): count for name, count in payload["classes"].items() if count}
    copies = sorted(path.read_bytes() for path in (tmp_path / "sorted").glob("*/*.png"))
    originals = sorted(path.read_bytes() for path in photos.rglob("red_00?.png"))
    assert copies == originals


def test_the_tools_own_output_is_not_read_again(bundle: Path, photos: Path, tmp_path: Path) -> None:
    predict(bundle, [photos], overlay=tmp_path / "previews", sort_into=tmp_path / "sorted")
    assert predict(bundle, [tmp_path])["images"] == 9


@pytest.mark.parametrize("option", ["overlay", "sort_into", "out"])
def test_nothing_is_written_into_a_source_folder(bundle: Path, photos: Path, option: str) -> None:
    before = sorted(photos.rglob("*"))
    place = photos / "new.csv"
    outputs: dict[str, Any] = {option: place}
    with pytest.raises(RunError) as caught:
        predict(bundle, [photos], **outputs)
    assert str(caught.value) == (
        f"--{option.replace('_', '-')} {place} is inside the data folder {photos}.\n"
        "  Expected: a path outside the data, which tlkit never writes to\n"
        f"  Fix: use --{option.replace('_', '-')} ../new.csv, or another path."
    )
    assert sorted(photos.rglob("*")) == before


def test_overlays_and_sorted_copies_need_a_folder_each(bundle: Path, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError) as caught:
        predict(bundle, [photos], overlay=tmp_path / "x", sort_into=tmp_path / "photos" / ".." / "x")
    assert str(caught.value) == (
        f"--overlay and --sort-into are both {tmp_path / 'x'}.\n"
        "  Expected: two different folders\n"
        f"  Fix: --overlay {tmp_path / 'x'}-overlays"
    )


def test_a_picture_that_gives_no_preview_is_a_warning(
    bundle: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(image: ImageFile) -> NoReturn:
        raise UnusableImage("40 megapixels of PNG take too long to decode")

    monkeypatch.setattr("tlkit.inference.previews._render", refuse)
    path = photos / "a" / "red" / "red_000.png"
    payload = predict(bundle, [path], overlay=tmp_path / "previews")
    assert payload["errors"] == 0
    assert (
        f"Warning: {path} has its row, but could not be copied: 40 megapixels of PNG take too long to decode."
        in capsys.readouterr().err
    )


def test_the_result_is_json(bundle: Path, photos: Path, tmp_path: Path) -> None:
    payload = predict(bundle, [photos], out=tmp_path / "p.csv")
    assert json.loads(json.dumps(payload, default=str))["run"] == str(bundle)
    assert payload["images_per_second"] > 0
