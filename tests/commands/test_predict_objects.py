"""Predicting with a model that finds objects: what is written, drawn, copied and counted."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tests.drawn_objects import CORNERS, SPEC, Detector, draw_objects
from tests.inference.formats.test_label_folder import list_files
from tlkit.api.model import Model
from tlkit.commands.evaluate import EvaluateOptions, run_evaluate
from tlkit.commands.predict import PredictOptions, run_predict
from tlkit.data.formats.boxes import read_boxes
from tlkit.data.views import ViewPlan
from tlkit.errors import RunError, SettingError, TlkitError
from tlkit.inference.destinations import PredictOutputs
from tlkit.outputs import CLASSIFICATION
from tlkit.recipes import DataSettings
from tlkit.reports.console import Console
from tlkit.reports.frames import choose_colour
from tlkit.reports.row_file import partial_path
from tlkit.tasks.predictions import FoundObject


@pytest.fixture(autouse=True)
def model(monkeypatch: pytest.MonkeyPatch) -> Detector:
    detector = Detector()
    monkeypatch.setattr("tlkit.commands.predict.read_spec", lambda *_, **__: detector.spec)
    monkeypatch.setattr("tlkit.commands.predict.open_classifier", lambda *_, **__: detector)
    return detector


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two objects, one in a picture stored rotated, none, one of a kind that is far from the training, a broken file."""
    folder = tmp_path / "photos"
    draw_objects(folder / "a" / "both.png", {"red": (32, 32, 64, 48), "white": (80, 8, 120, 40)})
    draw_objects(folder / "a" / "turned.png", {"red": (16, 0, 48, 32)}, orientation=6)
    draw_objects(folder / "b" / "none.png", {})
    draw_objects(folder / "b" / "white.png", {"white": (0, 0, 128, 96)})
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    return folder


def predict(*sources: object, **options: Any) -> tuple[str, dict[str, Any]]:
    keys = {"out", "overlay", "sort_into", "format"} & options.keys()
    outputs = PredictOutputs(**{key: options.pop(key) for key in keys})
    stream = io.BytesIO()
    payload = run_predict(
        Path("run"),
        list(map(str, sources)),
        outputs,
        PredictOptions(**{key: value for key, value in options.items() if key != "console"}),
        console=options.get("console", Console(verbosity=-1)),
        stdin=io.BytesIO(),
        stdout=stream,
    )
    return stream.getvalue().decode(), payload


def read_csv(text: str) -> dict[str, list[dict[str, str]]]:
    """Return the rows of each file by its name without suffix."""
    rows: dict[str, list[dict[str, str]]] = {}
    for row in csv.DictReader(io.StringIO(text)):
        rows.setdefault(Path(row["path"]).stem, []).append(row)
    return rows


def test_there_is_a_row_for_each_object_and_one_for_an_image_without(photos: Path) -> None:
    text, _ = predict(photos)
    assert text.splitlines()[0] == ("path,class_name,score,left,top,right,bottom,width,height,unknown,distance,error")
    rows = read_csv(text)
    assert {name: [row["class_name"] for row in found] for name, found in rows.items()} == {
        "broken": [""],
        "both": ["red", "white"],
        "turned": ["red"],
        "none": [""],
        "white": ["white"],
    }
    assert [rows["both"][0][name] for name in ("score", *CORNERS, "width", "height")] == [
        "0.9", "32.0", "32.0", "64.0", "48.0", "128", "96",
    ]  # fmt: skip
    (none,) = rows["none"]
    assert [none[name] for name in ("score", *CORNERS, "width", "height", "error")] == ["", *[""] * 4, "128", "96", ""]
    assert "" not in {rows["broken"][0]["error"], rows["white"][0]["unknown"]}
    assert rows["white"][0]["unknown"] == "yes"


def test_boxes_are_in_pixels_of_the_upright_picture(photos: Path) -> None:
    (row,) = read_csv(predict(photos)[0])["turned"]
    # A quarter turn: (x, y) of the stored picture, 96 high, is (96 - y, x) of the upright one.
    assert [float(row[name]) for name in CORNERS] == pytest.approx([64, 16, 96, 48], abs=0.01)
    assert (row["width"], row["height"]) == ("96", "128")


def test_a_least_score_replaces_the_thresholds_of_the_model(photos: Path) -> None:
    path = photos / "a" / "both.png"
    assert len(read_csv(predict(path, min_score=0.0)[0])["both"]) == 3
    assert len(read_csv(predict(path, min_score=0.25)[0])["both"]) == 3
    assert len(read_csv(predict(path, min_score=0.85)[0])["both"]) == 1
    assert [row["score"] for row in read_csv(predict(path, min_score=0.95)[0])["both"]] == [""]


@pytest.mark.parametrize("name", ["boxes.json", "boxes.csv", "boxes.parquet", "yolo", "voc"])
def test_whatever_is_written_is_read_back_with_the_images_that_have_none(
    photos: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    predict(photos, out=out, format=None if "." in name else name)
    (photos / "broken.jpg").unlink()
    found = read_boxes(out, image_folder=photos)
    boxes = {
        annotation.image.stem: [
            (box.class_name, *map(round, _in_pixels(annotation, box.corners))) for box in annotation.boxes
        ]
        for annotation in found.annotations
    }
    assert boxes == {
        "both": [("red", 32, 32, 64, 48), ("white", 80, 8, 120, 40)],
        "turned": [("red", 64, 16, 96, 48)],
        "none": [],
        "white": [("white", 0, 0, 128, 96)],
    }


def _in_pixels(annotation: Any, corners: tuple[float, ...]) -> list[float]:
    size = (96, 128) if annotation.image.stem == "turned" else (128, 96)
    scale = size * 2 if annotation.in_fractions else (1, 1, 1, 1)
    return [edge * factor for edge, factor in zip(corners, scale, strict=True)]


def test_json_lines_have_the_rows_of_csv(photos: Path, tmp_path: Path) -> None:
    predict(photos, out=tmp_path / "boxes.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "boxes.jsonl").read_text().splitlines()]
    found = [(Path(row["path"]).stem, row["class_name"], row["left"]) for row in rows]
    assert ("both", "white", 80.0) in found
    assert ("none", None, None) in found


def test_the_result_has_the_objects_of_each_image(photos: Path) -> None:
    _, payload = predict(photos, console=Console(verbosity=-1, json=True))
    by_name = {Path(row["path"]).stem: row for row in payload["predictions"]}
    assert by_name["both"]["objects"][1] == {
        "class_name": "white", "score": 0.8, "left": 80.0, "top": 8.0, "right": 120.0, "bottom": 40.0,
    }  # fmt: skip
    assert (by_name["both"]["width"], by_name["both"]["height"]) == (128, 96)
    assert by_name["none"]["objects"] == []
    assert by_name["broken"] == {
        "path": str(photos / "broken.jpg"), "objects": [], "height": None, "width": None,
        "error": by_name["broken"]["error"],
    }  # fmt: skip
    assert by_name["broken"]["error"]
    assert {name: payload[name] for name in ("images", "errors", "unknown", "background", "objects")} == {
        "images": 5,
        "errors": 1,
        "unknown": 1,
        "background": 1,
        "objects": {"red": 2, "white": 2},
    }


def test_the_end_counts_objects_and_images_without_any(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predict(photos, out=tmp_path / "boxes.json", console=Console())
    captured = capsys.readouterr()
    lines = [" ".join(line.split()) for line in captured.out.splitlines()]
    assert "red 2" in lines
    assert "white 2" in lines
    assert "(images without objects) 1" in lines
    assert f"Predictions: {tmp_path / 'boxes.json'}" in lines
    assert f"1 of 5 files could not be read; `errors` in {tmp_path / 'boxes.json'} says why." in captured.err
    assert "(`unknown` of their entries)" in captured.err
    predict(photos, out=tmp_path / "labels", format="yolo", console=Console())
    captured = capsys.readouterr()
    assert f"{tmp_path / 'labels' / 'errors.csv'} says why." in captured.err
    assert "(a file of rows says which)" in captured.err


def test_overlays_have_frames_in_the_colours_of_the_classes(photos: Path, tmp_path: Path) -> None:
    predict(photos, overlay=tmp_path / "overlays")
    assert list_files(tmp_path / "overlays") == ["both.jpg", "none.jpg", "turned.jpg", "white.jpg"]
    pixels = np.asarray(Image.open(tmp_path / "overlays" / "both.jpg"))
    scale, pad = 320 // 128, (320 - 128 * (320 // 128)) // 2
    for label, (left, _, right, bottom) in enumerate(((32, 32, 64, 48), (80, 8, 120, 40))):
        close = (np.abs(pixels.astype(int) - choose_colour(label)).max(axis=2) < 70)[: 96 * scale]
        rows, columns = np.flatnonzero(close.any(axis=1)), np.flatnonzero(close.any(axis=0))
        assert columns[0] >= left * scale + pad - 1
        assert columns[-1] <= right * scale + pad + 60  # the label may be wider than the object
        assert rows[-1] <= bottom * scale + 1


def test_images_are_copied_into_the_folder_of_each_class_that_is_found(photos: Path, tmp_path: Path) -> None:
    predict(photos, sort_into=tmp_path / "sorted")
    assert list_files(tmp_path / "sorted") == [
        "background/none.png",
        "red/both.png",
        "red/turned.png",
        "unknown/white.png",
        "white/both.png",
    ]


@pytest.mark.parametrize("format_name", ["yolo", "voc"])
def test_a_folder_has_a_file_for_each_image_in_subfolders_like_theirs(
    photos: Path, tmp_path: Path, format_name: str
) -> None:
    suffix = {"yolo": "txt", "voc": "xml"}[format_name]
    expected = [f"{name}.{suffix}" for name in ("a/both", "a/turned", "b/none", "b/white")]
    expected += ["errors.csv", *(["classes.txt"] if format_name == "yolo" else [])]
    for number, source in enumerate((photos, f"{photos}/**/*.*")):
        predict(source, out=tmp_path / f"labels-{number}", format=format_name)
        assert list_files(tmp_path / f"labels-{number}") == sorted(expected)


def test_an_interruption_leaves_coco_with_the_images_so_far(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Detector
) -> None:
    find = model.predict
    calls: list[int] = []

    def find_once(images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        if calls:
            raise KeyboardInterrupt
        calls.append(len(images))
        return find(images)

    monkeypatch.setattr(model, "predict", find_once)
    with pytest.raises(KeyboardInterrupt):
        predict(photos, out=tmp_path / "boxes.json")
    content = json.loads(partial_path(tmp_path / "boxes.json").read_bytes())
    assert 1 <= len(content["images"]) < 4
    assert not (tmp_path / "boxes.json").exists()


def test_watching_adds_all_rows_of_an_image_at_once_and_knows_them(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "boxes.csv"
    monkeypatch.setattr("tlkit.data.hot_folder.HotFolder.watch", lambda self: iter([self.look()]))
    (photos / "broken.jpg").unlink()
    monkeypatch.setattr("tlkit.data.hot_folder.SETTLED_SECONDS", -1.0)
    predict(watch=photos, out=out)
    assert len(out.read_text().splitlines()) == 1 + 5
    predict(watch=photos, out=out)
    assert len(out.read_text().splitlines()) == 1 + 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"out": "labels"},
            "--out labels: no suffix.\n"
            "  Expected: a file that ends in .csv, .jsonl, .parquet or .json, or a folder with --format\n"
            "  Fix: --out labels.json, or --format yolo or voc",
        ),
        (
            {"out": "boxes.xml"},
            "--out boxes.xml: unknown suffix .xml.\n"
            "  Expected: a file that ends in .csv, .jsonl, .parquet or .json, or a folder with --format\n"
            "  Fix: --out boxes.json, or --format yolo or voc",
        ),
        (
            {"out": "boxes.csv", "format": "yolo"},
            "--out boxes.csv: --format yolo writes a file for each image.\n"
            "  Expected: a folder\n"
            "  Fix: --out boxes, or leave out --format.",
        ),
        (
            {"out": "boxes.csv", "format": "coco"},
            "--out boxes.csv: --format coco writes one file of JSON.\n"
            "  Expected: a file that ends in .json\n"
            "  Fix: --out boxes.json",
        ),
        (
            {"format": "voc"},
            "--format voc: there is no --out.\n"
            "  Expected: a file for coco, a folder for yolo and voc\n"
            "  Fix: --out labels",
        ),
        (
            {"out": "labels", "format": "voc", "overlay": "labels"},
            "--out and --overlay are both labels.\n"
            "  Expected: two different folders\n"
            "  Fix: --out labels-labels",
        ),
        (
            {"min_probability": 0.5},
            "--min-probability 0.5 has no effect: the model predicts objects.\n"
            "  Expected: --min-probability only with a model of two classes or more\n"
            "  Fix: --min-score 0.5",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_refused_before_the_model_is_opened(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr("tlkit.commands.predict.open_classifier", lambda *_, **__: pytest.fail("opened"))
    monkeypatch.chdir(tmp_path)
    paths = {key: Path(value) if key in ("out", "overlay") else value for key, value in options.items()}
    with pytest.raises(TlkitError) as caught:
        predict(photos, **paths)
    assert str(caught.value) == message
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"min_score": 0.5}, "--min-score 0.5 has no effect: the model finds no objects: its task is classification."),
        ({"format": "yolo", "out": "x"}, "--format yolo: the model finds no objects: its task is classification."),
        ({"out": "boxes.json"}, "--out boxes.json: unknown suffix .json."),
    ],
)
def test_a_model_of_classes_has_no_objects(
    photos: Path, model: Detector, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], found: str
) -> None:
    import dataclasses

    spec = dataclasses.replace(SPEC, task=CLASSIFICATION, thresholds=())
    monkeypatch.setattr("tlkit.commands.predict.read_spec", lambda *_, **__: spec)
    paths = {key: Path(value) if key == "out" else value for key, value in options.items()}
    with pytest.raises(SettingError) as caught:
        predict(photos, **paths)
    assert caught.value.found == found


def test_a_model_object_finds_the_same_in_files_arrays_and_pictures(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlkit.api.model.open_classifier", lambda *_, **__: Detector())
    model = Model(Path("run"))
    path = photos / "a" / "turned.png"
    upright = ImageOps.exif_transpose(Image.open(path))
    for found in model.predict([path, Image.open(path), np.asarray(upright)]):
        assert found.objects == (FoundObject("red", 0.9, (64.0, 16.0, 96.0, 48.0)),)
        assert found.upright_size == (128, 96)
    assert [len(model.predict(path, min_score=score)[0].objects or ()) for score in (0.0, 0.95)] == [2, 0]
    with pytest.raises(SettingError, match="--views 2: the objects"):
        model.predict(path, views=2)


def test_several_views_are_refused(photos: Path) -> None:
    with pytest.raises(SettingError) as caught:
        predict(photos, views=ViewPlan("crops", 3, 0))
    assert str(caught.value) == (
        "--views 3: the objects that are found in several views of an image cannot be averaged.\n"
        "  Expected: one view with a model of the task detection\n"
        "  Fix: leave out --views."
    )


def test_a_folder_of_an_earlier_prediction_is_refused(photos: Path, tmp_path: Path) -> None:
    predict(photos, out=tmp_path / "labels", format="yolo")
    with pytest.raises(RunError, match=r"labels is not empty\."):
        predict(photos, out=tmp_path / "labels", format="yolo")


def test_labels_never_go_into_the_data(photos: Path) -> None:
    with pytest.raises(RunError, match="is inside the data folder"):
        predict(photos, out=photos / "labels", format="yolo")


def test_several_views_are_refused_by_evaluate_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlkit.commands.evaluate.read_spec", lambda *_, **__: SPEC)
    options = EvaluateOptions(views=ViewPlan("crops", 3, 0))
    with pytest.raises(SettingError, match="--views 3: the objects"):
        run_evaluate(Path("run"), None, options, console=Console(verbosity=-1), settings=DataSettings())
