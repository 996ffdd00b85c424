"""LiteRT files: their answers are those of the network, in every precision."""

from __future__ import annotations

import functools
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.exports.conftest import draw_images
from tests.exports.test_shipped import build_case, call
from tlkit.exports import litert
from tlkit.exports.base import CalibrationImages
from tlkit.exports.graph_running import give_inputs
from tlkit.exports.litert_quantization import Content, compute_values, correct_biases
from tlkit.exports.shipped import ShippedModel

interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="pip install 'tlkit[litert]' brings LiteRT")

CASE = "labels, dense, metadata, box"


@pytest.fixture(scope="module")
def model() -> ShippedModel:
    return build_case(CASE)[1]


IMAGES = CalibrationImages(
    np.random.default_rng(1).integers(0, 256, (8, 32, 32, 3), np.uint8), np.full((8, 2), 0.5, np.float32)
)
"""Like those that are asked about."""


@pytest.fixture(scope="module")
def find_file(model: ShippedModel, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`find_file(precision)`: a file, which is written once."""

    @functools.cache
    def write(precision: str) -> Path:
        (path,) = litert.write(model, tmp_path_factory.mktemp(precision), precision, IMAGES)
        return path

    return write


def ask(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Return the outputs of a file for three images at once."""
    run = interpreter.Interpreter(str(path)).get_signature_runner("serving_default")
    given = {"image": draw_images(3).astype(np.float32), "metadata": np.full((3, 2), 0.5, np.float32)}
    outputs: dict[str, np.ndarray[Any, Any]] = run(**given)
    return outputs


@pytest.mark.parametrize(
    ("precision", "largest", "bytes_per_weight"),
    [("float32", 1e-5, 4), ("float16", 0.01, 2), ("dynamic", 0.05, 1), ("int8", 0.05, 1.2)],
)
def test_a_file_answers_as_the_network(
    precision: str, largest: float, bytes_per_weight: float, model: ShippedModel, find_file: Callable[[str], Path]
) -> None:
    path = find_file(precision)

    outputs = ask(path)

    expected = call(model.network, draw_images(3), np.full((3, 2), 0.5, np.float32))
    assert {*outputs} == {*expected}
    for name in ("probabilities", "box", "distance"):
        assert np.abs(outputs[name] - expected[name]).max() < largest, name
    num_weights = sum(np.prod(weight.shape) for weight in model.network.weights)
    assert path.stat().st_size > 0.9 * bytes_per_weight * num_weights
    assert path.stat().st_size < 1.1 * bytes_per_weight * num_weights + 40_000
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("model.json")) == model.document


def test_int8_keeps_small_dense_layers_in_float32(find_file: Callable[[str], Path]) -> None:
    file = Content(bytearray(find_file("int8").read_bytes()))

    layers = [operation for operation in file.operations if operation.has_weights]

    assert [layer.is_convolution for layer in layers] == [file.get_bias(layer) is not None for layer in layers]
    assert sum(layer.is_dense for layer in layers) > 2


def test_a_shift_of_the_mean_is_taken_back(find_file: Callable[[str], Path]) -> None:
    content, exact = bytearray(find_file("int8").read_bytes()), find_file("float32").read_bytes()
    samples = list(give_inputs(IMAGES))
    file = Content(content)
    layer = next(operation for operation in file.operations if operation.is_convolution)
    place = next(each.output for each in Content(bytearray(exact)).operations if each.is_convolution)
    (scale,), zero = file.get_scale(layer.output)
    bias = file.get_bias(layer)
    assert bias is not None

    def find_shift() -> float:
        """Return by how much the channels of the first layer are off in the mean."""
        pairs = zip(compute_values(bytes(content), samples), compute_values(exact, samples), strict=True)
        found = [(rounded(layer.output).astype(float) - zero) * scale - whole(place) for rounded, whole in pairs]
        return float(np.abs(np.mean(found, axis=(0, 1, 2, 3))).mean())

    bias += 300
    before = find_shift()
    correct_biases(content, exact, samples)

    assert find_shift() < 0.5 * before
