"""ONNX files: their answers are those of the network, and all that is known about the model is inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.exports.conftest import CALIBRATION, draw_images
from tests.exports.test_shipped import CASES, CLASSES, build_case, call
from tlkit.errors import NumericsError
from tlkit.exports import onnx
from tlkit.exports.shipped import ShippedModel

onnxruntime = pytest.importorskip("onnxruntime", reason="pip install 'tlkit[onnx]' brings onnx and onnxruntime")
pytest.importorskip("onnx", reason="pip install 'tlkit[onnx]' brings onnx and onnxruntime")


def ask(path: Path, images: np.ndarray[Any, Any], metadata: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Return the outputs of a file."""
    session = onnxruntime.InferenceSession(path)
    given = {"image": images.astype(np.float32), "metadata": metadata}
    names = [output.name for output in session.get_outputs()]
    outputs = session.run(names, {port.name: given[port.name] for port in session.get_inputs()})
    return dict(zip(names, outputs, strict=True))


@pytest.mark.parametrize("case", CASES)
def test_a_file_answers_as_the_network(case: str, tmp_path: Path) -> None:
    spec = CASES[case]
    _, model = build_case(case)
    images, metadata = draw_images(3), np.full((3, spec.metadata.width), 0.5, np.float32)

    (path,) = onnx.write(model, tmp_path, "float32")

    outputs = ask(path, images, metadata)
    expected = call(model.network, images, metadata)
    assert tuple(outputs) == model.output_names
    for name, array in expected.items():
        np.testing.assert_allclose(outputs[name], array, rtol=1e-4, atol=1e-5)


def test_float16_halves_the_weights_and_moves_the_answers_little(tmp_path: Path) -> None:
    model = build_case("classes, conv, batch norm")[1]
    (tmp_path / "full").mkdir()
    images, metadata = draw_images(3), np.zeros((3, 0), np.float32)

    (full,) = onnx.write(model, tmp_path / "full", "float32")
    (half,) = onnx.write(model, tmp_path, "float16")

    assert half.stat().st_size < 0.52 * full.stat().st_size
    difference = ask(half, images, metadata)["probabilities"] - ask(full, images, metadata)["probabilities"]
    assert 0 < np.abs(difference).max() < 0.02


def test_int8_is_small_and_moves_the_answers_little(tmp_path: Path) -> None:
    model = build_case("classes, conv, batch norm")[1]
    (tmp_path / "full").mkdir()
    images, metadata = CALIBRATION.images, CALIBRATION.metadata

    (full,) = onnx.write(model, tmp_path / "full", "float32", CALIBRATION)
    (small,) = onnx.write(model, tmp_path, "int8", CALIBRATION)

    assert small.stat().st_size < 0.35 * full.stat().st_size
    exact, rounded = ask(full, images, metadata), ask(small, images, metadata)
    assert tuple(rounded) == model.output_names
    assert 0 < np.abs(rounded["probabilities"] - exact["probabilities"]).max() < 0.05


def test_the_description_of_the_model_is_in_the_file(tmp_path: Path) -> None:
    model = build_case("classes, linear")[1]
    (path,) = onnx.write(model, tmp_path, "float32")

    metadata = onnxruntime.InferenceSession(path).get_modelmeta()

    assert metadata.producer_name == "tlkit"
    assert json.loads(metadata.custom_metadata_map["model.json"]) == model.document


def test_a_layer_that_onnx_cannot_have_is_an_error(tmp_path: Path) -> None:
    inputs = keras.Input((4, 4, 3), name="image")
    outputs = keras.layers.Conv2DTranspose(2, 3, name="larger")(inputs)
    model = ShippedModel(keras.Model({"image": inputs}, {"probabilities": outputs}), CLASSES, {})

    with pytest.raises(NumericsError) as caught:
        onnx.write(model, tmp_path, "float32")

    assert str(caught.value) == (
        "--format onnx: the layer Conv2DTranspose 'larger' cannot be written.\n"
        "  Expected: layers that tlkit can write as ONNX\n"
        "  Fix: choose another format, and please report this as a bug in tlkit."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_model_beyond_the_limit_of_a_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx, "MAX_BYTES", 1000)
    model = build_case("classes, linear")[1]

    with pytest.raises(NumericsError, match=r"^--format onnx: the model takes \d+ bytes\.") as caught:
        onnx.write(model, tmp_path, "float32")

    assert str(caught.value).endswith(
        "  Expected: at most 1000, the limit of an ONNX file\n"
        "  Fix: give --precision float16, or choose another format."
    )
