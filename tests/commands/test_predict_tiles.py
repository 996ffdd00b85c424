"""Predicting pictures window by window, with a model that goes by the colour: rows, counts and overlays."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tlkit.commands.predict_tiles import TileOptions, run_predict_tiles
from tlkit.data.images import LOADER_VERSION
from tlkit.errors import SettingError
from tlkit.inference.destinations import PredictOutputs
from tlkit.inference.tiles import WindowOptions
from tlkit.metadata.encoding import CategoryColumn, MetadataEncoding
from tlkit.models.spec import BundleSpec
from tlkit.outputs import DETECTION, MULTILABEL, REGRESSION, SEGMENTATION, Target
from tlkit.recipes import HeadSettings
from tlkit.reports.console import Console

SPEC = BundleSpec(
    "tiny", (8, 8), "pad", LOADER_VERSION, "avg", HeadSettings(kind="linear"), ("blue", "red"), unknown_above=0.5
)
RED, BLUE, GREEN = (250, 0, 0), (0, 0, 250), (10, 250, 5)


class ColourModel:
    """Says `red` by the red channel, and is far from green."""

    batch_size = 1
    num_parallel = 1

    def __init__(self) -> None:
        self.spec = SPEC

    def predict(self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        assert images.shape[1:] == (8, 8, 3)
        assert metadata is not None
        assert metadata.shape == (len(images), 0)
        red, green, _ = images.mean(axis=(1, 2)).T / 250
        if self.spec.target:
            return np.asarray(red[:, None] - 0.5, np.float32)
        return np.asarray(np.stack([1 - red, red, green], axis=1)[:, : self.spec.row_width], np.float32)


@pytest.fixture(autouse=True)
def model(monkeypatch: pytest.MonkeyPatch) -> ColourModel:
    model = ColourModel()
    monkeypatch.setattr("tlkit.commands.predict_tiles.read_spec", lambda *_, **__: model.spec)
    monkeypatch.setattr("tlkit.commands.predict_tiles.open_classifier", lambda *_, **__: model)
    return model


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A picture of four windows, two red, one blue and one green; and a file that is no picture."""
    folder = tmp_path / "photos"
    folder.mkdir()
    picture = Image.new("RGB", (16, 16), RED)
    picture.paste(BLUE, (0, 8, 8, 16))
    picture.paste(GREEN, (8, 8, 16, 16))
    picture.save(folder / "a.png")
    (folder / "b.jpg").write_text("not a picture")
    return folder


def predict(*sources: object, json: bool = False, **given: Any) -> tuple[list[dict[str, str]], dict[str, Any]]:
    outputs = PredictOutputs(**{name: given.pop(name) for name in ("out", "overlay", "sort_into") if name in given})
    windows = WindowOptions(given.pop("window", None), given.pop("step", None))
    stream = io.BytesIO()
    payload = run_predict_tiles(
        Path("run"),
        list(map(str, sources)),
        outputs,
        TileOptions(windows, **given),
        console=Console(verbosity=0 if outputs.out else -1, json=json),
        stdin=io.BytesIO(),
        stdout=stream,
    )
    return list(csv.DictReader(io.StringIO(stream.getvalue().decode()))), payload


def test_each_window_has_a_row_with_its_place_and_its_answer(photos: Path) -> None:
    rows, payload = predict(photos, top_k=1)
    path = str(photos / "a.png")
    assert [tuple(row.values()) for row in rows] == [
        (path, "red", "1.0", "0", "0", "8", "8", "no", "0.0", ""),
        (path, "red", "1.0", "8", "0", "16", "8", "no", "0.0", ""),
        (path, "blue", "1.0", "0", "8", "8", "16", "no", "0.0", ""),
        (path, "blue", "0.96", "8", "8", "16", "16", "yes", "1.0", ""),
        (str(photos / "b.jpg"), "", "", "", "", "", "", "", "", "not an image"),
    ]
    assert ", ".join(rows[0]) == "path, class_name, probability, left, top, right, bottom, unknown, distance, error"
    assert (payload["images"], payload["tiles"], payload["errors"], payload["unknown"]) == (2, 4, 1, 1)
    assert payload["classes"] == {"blue": 1, "red": 2}
    assert payload["pictures"][0]["classes"] == {"blue": 1, "red": 2, "(unknown)": 1}


def test_windows_may_overlap_and_be_larger_than_the_input(photos: Path) -> None:
    rows, payload = predict(photos / "a.png", step=4, top_k=1)
    assert [(row["left"], row["top"]) for row in rows] == [(str(x), str(y)) for y in (0, 4, 8) for x in (0, 4, 8)]
    assert rows[3]["probability"] == "0.5"  # half red, half blue
    rows, payload = predict(photos / "a.png", window=16)
    assert [(row["right"], row["bottom"]) for row in rows] == [("16", "16")]
    assert (payload["window_px"], payload["step_px"]) == (16, 16)


def test_counts_have_a_row_for_each_class_of_each_picture(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counts, out = tmp_path / "counts.csv", tmp_path / "tiles.csv"
    predict(photos, counts=counts, out=out, min_probability=0.99)
    assert counts.read_text().splitlines() == [
        "path,class_name,tiles,fraction,error",
        f"{photos / 'a.png'},blue,1,0.25,",
        f"{photos / 'a.png'},red,2,0.5,",
        f"{photos / 'a.png'},(unknown),1,0.25,",
        f"{photos / 'b.jpg'},,0,,not an image",
    ]
    told = capsys.readouterr()
    assert re.search(r"a\.png +4 +red 2, blue 1, \(unknown\) 1\n", told.out)
    assert "Warning: 1 of 2 files could not be read; the rows say why." in told.err
    assert "Warning: 1 of 4 tiles are unlike the training images (column `unknown`)" in told.err


def test_an_overlay_has_each_window_in_the_colour_of_its_class(photos: Path, tmp_path: Path) -> None:
    large = Image.new("RGB", (400, 400), RED)
    large.paste(BLUE, (0, 200, 200, 400))
    large.paste(GREEN, (200, 200, 400, 400))
    large.save(photos / "a.png")
    predict(photos / "a.png", window=200, overlay=tmp_path / "overlays")
    with Image.open(tmp_path / "overlays" / "a.jpg") as picture:
        assert picture.width == 400
        assert picture.height > 400
        red, blue, green = (np.array(picture.getpixel(place)) for place in ((100, 100), (100, 300), (300, 300)))
    # The second colour is orange, the first one light blue; what is unknown stays as it is.
    np.testing.assert_allclose(red, [248, 89, 30], atol=9)
    np.testing.assert_allclose(blue, [44, 95, 234], atol=9)
    np.testing.assert_allclose(green, GREEN, atol=12)


def test_a_picture_of_too_many_windows_is_named(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlkit.inference.tiles.MAX_WINDOWS", 80)
    rows, _ = predict(photos / "a.png", step=1)
    assert [row["error"] for row in rows] == ["81 windows are more than 80; a larger step gives fewer"]


def test_json_has_the_rows_where_there_is_no_file(photos: Path) -> None:
    _, payload = predict(photos / "a.png", json=True, top_k=1)
    assert payload["predictions"][2]["box"] == {"left": 0, "top": 8, "right": 8, "bottom": 16}
    assert payload["predictions"][2]["classes"] == [{"class_name": "blue", "probability": 1.0}]


def test_labels_and_values_are_predicted_too(model: ColourModel, photos: Path) -> None:
    model.spec = dataclasses.replace(SPEC, task=MULTILABEL, thresholds=(0.5, 0.5), unknown_above=None)
    rows, payload = predict(photos / "a.png")
    assert [row["labels"] for row in rows] == ["red", "red", "blue", "blue"]
    assert payload["pictures"][0]["labels"] == {"blue": 2, "red": 2}
    model.spec = dataclasses.replace(
        SPEC, task=REGRESSION, class_names=(), target=Target("redness", 10.0, 4.0, is_log=False), unknown_above=None
    )
    rows, payload = predict(photos / "a.png")
    assert [row["redness"] for row in rows[:3]] == ["12.0", "12.0", "8.0"]
    assert payload["pictures"][0]["values"]["highest"] == 12


@pytest.mark.parametrize("task", [DETECTION, SEGMENTATION])
def test_models_of_places_are_refused(model: ColourModel, photos: Path, task: str) -> None:
    model.spec = dataclasses.replace(SPEC, task=task, unknown_above=None)
    with pytest.raises(SettingError) as caught:
        predict(photos)
    assert str(caught.value).splitlines() == [
        f"--tiles does not apply to {task}: what lies on the edge of two windows would be found twice, or not.",
        "  Expected: a model of classes, labels or a value",
        "  Fix: leave it out; a model of this task looks at the picture as a whole, and tlkit finetune with a larger "
        "--image-size sees smaller things.",
    ]


def test_models_with_metadata_are_refused(model: ColourModel, photos: Path) -> None:
    encoding = MetadataEncoding((CategoryColumn("boat", ("Heron", "Otter")),))
    model.spec = dataclasses.replace(SPEC, metadata=encoding)
    with pytest.raises(SettingError) as caught:
        predict(photos)
    assert str(caught.value).splitlines() == [
        "--tiles: the model takes metadata (boat), which are those of a picture and not of a part of it.",
        "  Expected: a model of images alone",
        "  Fix: train one without --metadata, or leave it out.",
    ]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"step": 9}, "--step 9 is more than the window of 8 px, so that parts of the picture would be left out."),
        ({"counts": Path("c.txt")}, "--counts c.txt: unknown suffix .txt."),
        ({"counts": Path("t.csv"), "out": Path("t.csv")}, "--out and --counts are both t.csv."),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_written(
    photos: Path, given: dict[str, Any], found: str
) -> None:
    with pytest.raises(SettingError) as caught:
        predict(photos, **given)
    assert caught.value.found == found
    assert not Path("t.csv").exists()


def test_values_are_not_counted(model: ColourModel, photos: Path) -> None:
    model.spec = dataclasses.replace(
        SPEC, task=REGRESSION, class_names=(), target=Target("redness", 10.0, 4.0, is_log=False), unknown_above=None
    )
    with pytest.raises(SettingError) as caught:
        predict(photos, counts=Path("c.csv"))
    assert caught.value.found == "--counts c.csv: the model predicts a value, which cannot be counted."
