"""Files of every runtime beside broken ones: wrong pixels and a missing temperature are caught whoever runs the model."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.exports.conftest import make_classifier
from tests.exports.test_shipped import CLASSES
from tlkit.data.image_file import ImageFile
from tlkit.exports import find_export
from tlkit.exports.asking import Question, ask_export
from tlkit.exports.comparison import Reference, compare
from tlkit.exports.folder import _PROGRAMS
from tlkit.exports.shipped import build_shipped_model

SPEC = dataclasses.replace(CLASSES, temperature=1.0)
SIZE = (110, 150)
FORMATS = ("onnx", "litert", "openvino")
RESIZED = "np.asarray(resize(rgb, width, height))"
BREAKS = {
    "BGR": (RESIZED, f"{RESIZED}[..., ::-1]"),
    "without antialiasing": ("Image.Resampling.BILINEAR", "Image.Resampling.NEAREST"),
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, make_image_folder: Callable[..., Path]) -> list[Path]:
    layout = {"red": 2, "striped blue": 2}
    folder = make_image_folder(tmp_path_factory.mktemp("photos"), layout, size=SIZE[::-1], suffix=".jpg")
    return sorted(folder.rglob("*.jpg"))


@pytest.fixture(scope="module")
def ship(openvino: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs and a float32 model in each of the formats that is installed here."""
    out = tmp_path_factory.mktemp("ship")
    shutil.copytree(_PROGRAMS, out / "readers", ignore=shutil.ignore_patterns("__pycache__"))
    model = build_shipped_model(make_classifier(SPEC))
    (out / "model.json").write_text(json.dumps(model.document), "utf-8")
    for export in map(find_export, FORMATS):
        if not export.missing_packages:
            (out / export.name).mkdir()
            export.write(model, out / export.name, "float32", None)
    return out


def find_fault(ship: Path, name: str, photos: list[Path], *, temperature: float = 1.0) -> str:
    """Return why the answers of a file are not those of the model with a temperature, whose reading is tlkit's."""
    export = find_export(name)
    if export.missing_packages:
        pytest.skip(f"{export.installation} brings what runs {export.title}")
    spec = dataclasses.replace(SPEC, temperature=temperature)
    classifier = make_classifier(spec)
    images = np.stack([ImageFile.read(path).render(image_size=spec.image_size, fit=spec.fit) for path in photos])
    answers = classifier.predict(images)
    questions = [Question(path) for path in photos]
    reference = Reference("tests", questions, answers[:, :3], [SIZE] * len(photos), distances=answers[:, -1])
    rows = ask_export(ship, export, ship / name, questions)
    return compare(spec, reference, rows).find_fault("float32")


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_agrees_unless_its_temperature_is_missing(
    name: str, ship: Path, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert find_fault(ship, name, photos) == ""
    assert list(tmp_path.iterdir()) == [], "a runtime keeps events that it would report"
    assert find_fault(ship, name, photos, temperature=2.0).startswith("a probability differs by ")


@pytest.mark.parametrize("change", BREAKS)
@pytest.mark.parametrize("name", FORMATS)
def test_wrong_pixels_are_caught(name: str, change: str, ship: Path, photos: list[Path], tmp_path: Path) -> None:
    old, new = BREAKS[change]
    broken = tmp_path / "ship"
    shutil.copytree(ship, broken)
    reader = broken / "readers" / "tlkit_reader.py"
    text = reader.read_text("utf-8")
    assert old in text
    reader.write_text(text.replace(old, new), "utf-8")

    assert find_fault(broken, name, photos).startswith("a probability differs by ")
