"""The C++ program of an export, built as its README says: the answers of the Python program, and clear errors."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import draw_image
from tests.exports.conftest import make_proof
from tests.exports.test_reader import PICTURES, READER, SPEC
from tlkit.exports.model_json import build_document
from tlkit.exports.readme import write_readme
from tlkit.metadata.columns import IMAGE_FACTS
from tlkit.metadata.encoding import MetadataEncoding
from tlkit.models.spec import BundleSpec

PROBABILITIES = {"name": "probabilities", "shape": ["batch", 2], "meaning": "calibrated"}
DOCUMENT = build_document(
    dataclasses.replace(SPEC, metadata=BundleSpec.metadata, class_names=('6" nail', "b")), bundle_sha256="0"
) | {"inputs": [], "outputs": [PROBABILITIES]}


@pytest.fixture(scope="module")
def ship(openvino: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export whose model looks at each row and column of its input, and whose program is built."""
    missing = [name for name in ("cmake", "c++") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"there is no {' and no '.join(missing)}; installing a compiler and CMake lifts this")
    out = tmp_path_factory.mktemp("native") / "ship"
    shutil.copytree(READER.parent, out / "readers", ignore=shutil.ignore_patterns("__pycache__"))
    (out / "model.json").write_text(json.dumps(DOCUMENT), "utf-8")
    write_model(out / "openvino-float32")
    PICTURES["photo.jpg"](out / "photo.jpg")
    text = write_readme(DOCUMENT, [make_proof("openvino")], "3 photos")
    install, *lines = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)[0].splitlines()
    assert install == "pip install openvino"
    program = "\n".join(lines).replace("python ", f"{sys.executable} ")
    done = subprocess.run(["sh", "-ec", program], cwd=out, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["image"] == "photo.jpg"
    return out


def write_model(folder: Path, num_metadata: int = 0) -> None:
    """Write a model whose two logits are differently weighted sums of all pixels, and of metadata."""
    import openvino
    from openvino import opset13 as ops

    rng = np.random.default_rng(0)
    weights = rng.normal(scale=0.0005, size=(32 * 32 * 3, 2)).astype(np.float32)
    image = ops.parameter([-1, 32, 32, 3], np.uint8, name="image")
    flat = ops.reshape(ops.convert(image, np.float32), np.array([-1, 32 * 32 * 3]), special_zero=False)
    logits, inputs = ops.matmul(flat, weights, False, False), [image]
    image.output(0).get_tensor().set_names({"image"})
    if num_metadata:
        metadata = ops.parameter([-1, num_metadata], np.float32, name="metadata")
        metadata.output(0).get_tensor().set_names({"metadata"})
        shares = rng.normal(size=(num_metadata, 2)).astype(np.float32)
        logits, inputs = ops.add(logits, ops.matmul(metadata, shares, False, False)), [image, metadata]
    model = openvino.Model([ops.softmax(logits, axis=1)], inputs, "toy")
    model.outputs[0].get_tensor().set_names({"probabilities"})
    openvino.save_model(model, folder / "model.xml", compress_to_fp16=False)


def ask(ship: Path, *arguments: Path | str, model: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(ship / "build" / "predict"), str(model or ship / "openvino-float32"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)


def test_answers_are_those_of_the_python_program(ship: Path, tmp_path: Path) -> None:
    names = (
        "photo.jpg",
        "rotated.jpg",
        "small.png",
        "thin.png",
        "transparent.png",
        "grey.png",
        "deep.png",
        "printed.jpg",
    )
    for name in names:
        PICTURES[name](tmp_path / name)
    for orientation in range(2, 9):
        exif = Image.Exif()
        exif[274] = orientation
        draw_image("striped blue", orientation, (70, 40)).save(tmp_path / f"turned{orientation}.jpg", exif=exif)
    plain = draw_image("striped red", 4, (90, 61))
    plain.save(tmp_path / "plain.png")
    plain.quantize(16).save(tmp_path / "palette.png", transparency=3)
    plain.convert("1").save(tmp_path / "bits.png")
    plain.convert("LA").save(tmp_path / "alpha.png")
    paths = sorted(path for path in tmp_path.iterdir() if path.is_file())
    python = [sys.executable, str(ship / "readers" / "predict_openvino.py"), *map(str, paths)]

    for fit in ("squash", "crop", "pad"):
        document = DOCUMENT | {"reading": DOCUMENT["reading"] | {"fit": fit}}
        (ship / "model.json").write_text(json.dumps(document), "utf-8")
        native = read_lines(ask(ship, *paths).stdout)
        expected = read_lines(subprocess.run(python, capture_output=True, encoding="utf-8", check=True).stdout)
        assert [row["image"] for row in native] == [str(path) for path in paths]
        for ours, theirs in zip(native, expected, strict=True):
            # Releases of libjpeg round differently where they decode at a half.
            limit = 1e-2 if ours["image"].endswith(".jpg") else 1e-3
            difference = np.subtract(ours["probabilities"], theirs["probabilities"])
            assert np.abs(difference).max() <= limit, (fit, ours["image"])
            assert ours["class"] == theirs["class"]
    (ship / "model.json").write_text(json.dumps(DOCUMENT), "utf-8")


def read_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_picture_that_cannot_be_read_is_an_error_and_the_others_are_answered(ship: Path, tmp_path: Path) -> None:
    document = DOCUMENT | {"reading": DOCUMENT["reading"] | {"grey": []}}
    (tmp_path / "model.json").write_text(json.dumps(document), "utf-8")
    write_model(tmp_path / "openvino-float32")
    PICTURES["deep.png"](tmp_path / "deep.png")
    PICTURES["photo.jpg"](tmp_path / "photo.jpg")
    (tmp_path / "cut.png").write_bytes((tmp_path / "deep.png").read_bytes()[:200])
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "photo.jpg").read_bytes()[:900])
    (tmp_path / "text.ppm").write_text("P6 9")
    draw_image("striped red", 1, (40, 30)).save(tmp_path / "good.ppm")
    names = ("missing.jpg", "deep.png", "cut.jpg", "cut.png", "text.ppm", "good.ppm")

    done = ask(ship, *(tmp_path / name for name in names), model=tmp_path / "openvino-float32")

    assert done.returncode == 1
    assert [Path(row["image"]).name for row in read_lines(done.stdout)] == ["good.ppm"]
    errors = dict(line.removeprefix(f"{tmp_path}/").split(": ", 1) for line in done.stderr.splitlines())
    assert errors == {
        "missing.jpg": "cannot be opened",
        "deep.png": "16-bit grey, of which the training images had none, so that black and white are not known",
        "cut.png": "Read Error",
        "cut.jpg": "Premature end of JPEG file",
        "text.ppm": "this is no JPEG, PNG or PPM (P6, 8 bits) that this program can read",
    }


def test_metadata_are_encoded_as_by_the_python_program(ship: Path, tmp_path: Path) -> None:
    columns = tuple(column for column in SPEC.metadata.columns if column.name not in IMAGE_FACTS)
    spec = dataclasses.replace(SPEC, metadata=MetadataEncoding(columns))
    document = build_document(spec, bundle_sha256="0") | {"inputs": [], "outputs": [PROBABILITIES]}
    (tmp_path / "model.json").write_text(json.dumps(document), "utf-8")
    write_model(tmp_path / "openvino-float32", spec.metadata.width)
    shutil.copytree(ship / "readers", tmp_path / "readers", ignore=shutil.ignore_patterns("__pycache__"))
    rows = [
        dict(zip(spec.metadata.names, texts, strict=True))
        for texts in (
            ("120", "1", "Delft", "true"),
            (" 1e2 ", "yes", "  UTRECHT  (City) ", "no"),
            ("-9999", "maybe", "1.500", "1.0"),
            ("n/a", "", "constructor", "-"),
            ("1e40", "-.5", "Unknown \t", "FALSE"),
        )
    ]
    paths = [tmp_path / f"{number}.png" for number in range(len(rows))]
    for path in paths:
        PICTURES["small.png"](path)
    with (tmp_path / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, ["image", *spec.metadata.names])
        table.writeheader()
        table.writerows({"image": path.name, **row} for path, row in zip(paths, rows, strict=True))
    python = [sys.executable, str(tmp_path / "readers" / "predict_openvino.py"), "--table", str(tmp_path / "rows.csv")]
    given: list[Path | str] = []
    for path, row in zip(paths, rows, strict=True):
        for name, text in row.items():
            given += ["--metadata", f"{name}={text}"]
        given.append(path)

    native = read_lines(ask(ship, *given, model=tmp_path / "openvino-float32").stdout)
    expected = read_lines(subprocess.run(python, capture_output=True, encoding="utf-8", check=True).stdout)

    answers = [row["probabilities"] for row in native]
    assert [row["image"] for row in native] == [row["image"] for row in expected]
    np.testing.assert_allclose(answers, [row["probabilities"] for row in expected], atol=1e-5)
    assert len({round(answer[0], 4) for answer in answers}) == len(rows)
    lines = write_readme(document, [make_proof("openvino")], "5 photos")
    assert (
        "build/predict openvino-float32 --metadata area= --metadata flag= --metadata town= --metadata sold= photo.jpg"
        in lines
    )
    none = ask(ship, paths[0], model=tmp_path / "openvino-float32")
    assert (none.returncode, none.stdout) == (1, "")
    assert none.stderr == f"{paths[0]}: the model needs --metadata area=VALUE\n"
    foreign = ask(ship, *given[:-1], "--metadata", "town=Zürich", paths[0], model=tmp_path / "openvino-float32")
    assert 'town is "Zürich": this program knows letters beyond ASCII only as they stand in places' in foreign.stderr
