"""LiteRT files: their answers are those of the network, in every precision."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.exports.conftest import draw_images, make_classifier
from tests.exports.test_shipped import CASES, call
from tlkit.exports import litert
from tlkit.exports.base import CalibrationImages
from tlkit.exports.shipped import ShippedModel, build_shipped_model

interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="pip install 'tlkit[litert]' brings LiteRT")

CASE = "labels, dense, metadata, box"


@pytest.fixture(scope="module")
def model() -> ShippedModel:
    return build_shipped_model(make_classifier(CASES[CASE]))


def write(model: ShippedModel, folder: Path, precision: str) -> Path:
    """Write a file, for which images like those that are asked about are calibrated."""
    images = np.random.default_rng(1).integers(0, 256, (8, 32, 32, 3), np.uint8)
    metadata = np.full((8, model.spec.metadata.width), 0.5, np.float32)
    (path,) = litert.write(model, folder, precision, CalibrationImages(images, metadata))
    return path


def ask(path: Path, model: ShippedModel) -> dict[str, np.ndarray[Any, Any]]:
    """Return the outputs of a file for three images at once."""
    run = interpreter.Interpreter(str(path)).get_signature_runner("serving_default")
    given = {"image": draw_images(3).astype(np.float32), "metadata": np.full((3, 2), 0.5, np.float32)}
    outputs: dict[str, np.ndarray[Any, Any]] = run(**given)
    return outputs


@pytest.mark.parametrize(
    ("precision", "largest", "bytes_per_weight"),
    [("float32", 1e-5, 4), ("float16", 0.01, 2), ("dynamic", 0.05, 1), ("int8", 0.1, 1)],
)
def test_a_file_answers_as_the_network(
    precision: str, largest: float, bytes_per_weight: int, model: ShippedModel, tmp_path: Path
) -> None:
    path = write(model, tmp_path, precision)

    outputs = ask(path, model)

    expected = call(model.network, draw_images(3), np.full((3, 2), 0.5, np.float32))
    assert {*outputs} == {*expected}
    for name in ("probabilities", "box"):
        assert np.abs(outputs[name] - expected[name]).max() < largest, name
    num_weights = sum(np.prod(weight.shape) for weight in model.network.weights)
    assert path.stat().st_size > 0.9 * bytes_per_weight * num_weights
    assert path.stat().st_size < 1.1 * bytes_per_weight * num_weights + 40_000
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("model.json")) == model.document
