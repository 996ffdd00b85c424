"""Scanning pictures with a model that goes by the colour: heat maps, places and what is told of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tlkit.commands.explain_scan import ScanOptions, run_explain_scan
from tlkit.data.images import LOADER_VERSION
from tlkit.errors import SettingError
from tlkit.inference.tiles import WindowOptions
from tlkit.models.spec import BundleSpec
from tlkit.outputs import DETECTION, MULTILABEL, REGRESSION, Target
from tlkit.recipes import HeadSettings
from tlkit.reports.console import Console

SPEC = BundleSpec("tiny", (8, 8), "squash", LOADER_VERSION, "avg", HeadSettings(kind="linear"), ("blue", "red"))
RED, BLUE = (250, 0, 0), (0, 0, 250)


class ColourModel:
    """Says `red` by the red channel."""

    batch_size = 4
    num_parallel = 1

    def __init__(self) -> None:
        self.spec = SPEC

    def predict(self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        red = images[..., 0].mean(axis=(1, 2)) / 250
        if self.spec.target:
            return np.asarray(4 * red[:, None] - 2, np.float32)
        return np.asarray(np.stack([1 - red, red], axis=1), np.float32)


@pytest.fixture(autouse=True)
def model(monkeypatch: pytest.MonkeyPatch) -> ColourModel:
    model = ColourModel()
    monkeypatch.setattr("tlkit.commands.explain_scan.read_spec", lambda *_, **__: model.spec)
    monkeypatch.setattr("tlkit.commands.explain_scan.open_classifier", lambda *_, **__: model)
    return model


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A blue picture with a red part, and a file that is no picture."""
    folder = tmp_path / "photos"
    folder.mkdir()
    picture = Image.new("RGB", (160, 80), BLUE)
    picture.paste(RED, (80, 0, 120, 40))
    picture.save(folder / "a.png")
    (folder / "b.jpg").write_text("not a picture")
    return folder


def scan(*sources: object, out: Path, console: Console | None = None, **given: Any) -> dict[str, Any]:
    options = ScanOptions(**given)
    return run_explain_scan(
        Path("run"), list(map(str, sources)), out, options, console=console or Console(verbosity=-1)
    )


def read_overlay(picture: dict[str, Any]) -> NDArray[np.int64]:
    with Image.open(picture["overlay"]) as opened:
        return np.asarray(opened.convert("RGB")).astype(int)


def test_the_heat_map_of_a_class_is_orange_where_it_is(photos: Path, tmp_path: Path) -> None:
    found = scan(photos, out=tmp_path / "scans", class_name="red", windows=WindowOptions(step_px=8))
    a, b = found["pictures"]
    assert (a["rows"], a["columns"], a["width"], a["height"]) == (10, 20, 160, 80)
    assert a["strongest"] == {"left": 80, "top": 0, "right": 88, "bottom": 8, "probability": 1.0}
    assert a["shares"] == {"blue": 0.875, "red": 0.125}
    assert b == {"path": str(photos / "b.jpg"), "error": "not an image"}
    assert (found["errors"], found["images"], found["left_out"], found["is_exact"]) == (1, 2, 0, True)
    pixels = read_overlay(a)[:, 80:240]  # the caption makes the overlay wider
    orange, grey = pixels[20, 100], pixels[60, 30]
    assert orange[0] - orange[2] > 100
    assert np.ptp(grey) < 8


def test_without_a_class_each_place_has_the_colour_of_its_own(photos: Path, tmp_path: Path) -> None:
    found = scan(photos / "a.png", out=tmp_path / "scans")
    (a,) = found["pictures"]
    assert (a["rows"], a["columns"]) == (19, 39)  # windows overlap by half
    pixels = read_overlay(a)[:, 80:240]
    np.testing.assert_allclose(pixels[20, 100], [248, 89, 30], atol=12)
    np.testing.assert_allclose(pixels[60, 30], [44, 95, 234], atol=12)


def test_a_place_without_a_label_has_no_colour(model: ColourModel, photos: Path, tmp_path: Path) -> None:
    model.spec = dataclasses.replace(SPEC, task=MULTILABEL, thresholds=(1.0, 0.5))
    model.spec = dataclasses.replace(model.spec, class_names=("nothing", "red"), thresholds=(1.0, 0.5))
    Image.new("RGB", (160, 80), (25, 0, 0)).save(photos / "a.png")
    found = scan(photos / "a.png", out=tmp_path / "scans")
    assert found["pictures"][0]["shares"] == {}
    np.testing.assert_allclose(read_overlay(found["pictures"][0])[40, 160], [25, 0, 0], atol=3)


def test_a_value_is_orange_above_the_mean_and_blue_below(model: ColourModel, photos: Path, tmp_path: Path) -> None:
    target = Target("redness", 10.0, 4.0, is_log=False)
    model.spec = dataclasses.replace(SPEC, task=REGRESSION, class_names=(), target=target)
    found = scan(photos / "a.png", out=tmp_path / "scans", windows=WindowOptions(step_px=8))
    (a,) = found["pictures"]
    assert a["strongest"]["value"] == 18
    pixels = read_overlay(a)[:, 80:240]
    assert pixels[20, 100][0] - pixels[20, 100][2] > 100
    assert pixels[60, 30][2] - pixels[60, 30][0] > 50


def test_large_pictures_are_reduced(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlkit.explain.scan_overlays.LONGEST_OVERLAY_PX", 400)
    Image.new("RGB", (1000, 500), RED).save(photos / "a.png")
    found = scan(photos / "a.png", out=tmp_path / "scans", windows=WindowOptions(window_px=100))
    assert read_overlay(found["pictures"][0]).shape[1] == 400


def test_the_story_names_the_strongest_place_and_what_was_left_out(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (16, 16), RED).save(photos / "c.png")
    scan(photos, out=tmp_path / "scans", class_name="red", number=2, console=Console())
    told = capsys.readouterr()
    assert "19 x 39   100% at 80, 0" in told.out
    assert "1 more pictures are not scanned; --number sets how many are." in told.out
    assert "Warning: 1 of 2 pictures could not be read; --json says why." in told.err


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"class_name": "green"}, "--class green: the model has no such class."),
        (
            {"in_one_pass": True, "windows": WindowOptions(step_px=4)},
            "--step 4 has no effect with --one-pass: the step is that of the backbone's map.",
        ),
        ({"sources": ()}, "There is nothing to scan."),
        ({"sources": ("-",)}, "There is nothing to scan."),
    ],
)
def test_what_cannot_be_is_refused(photos: Path, tmp_path: Path, given: dict[str, Any], found: str) -> None:
    sources = given.pop("sources", (photos,))
    with pytest.raises(SettingError) as caught:
        scan(*sources, out=tmp_path / "scans", **given)
    assert caught.value.found == found
    assert not (tmp_path / "scans").exists()


def test_models_of_objects_are_refused(model: ColourModel, photos: Path, tmp_path: Path) -> None:
    model.spec = dataclasses.replace(SPEC, task=DETECTION)
    with pytest.raises(SettingError) as caught:
        scan(photos, out=tmp_path / "scans")
    assert caught.value.found == (
        "--scan does not apply to detection: what lies on the edge of two windows would be found twice, or not."
    )
