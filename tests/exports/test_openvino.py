"""OpenVINO files with 8-bit numbers: what ONNX files have, with OpenVINO's own input and description."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.exports.conftest import CALIBRATION
from tests.exports.test_shipped import build_case, call
from tlkit.backbones.engines.openvino_runtime import open_core
from tlkit.exports import onnx
from tlkit.exports import openvino as export
from tlkit.exports.onnx_writer.graph import Graph

pytest.importorskip("onnx", reason="pip install 'tlkit[onnx]' brings onnx and onnxruntime")
pytest.importorskip("onnxruntime", reason="pip install 'tlkit[onnx]' brings onnx and onnxruntime")


def test_int8_takes_whole_pixels_and_answers_nearly_as_the_network(openvino: Any, tmp_path: Path) -> None:
    model = build_case("classes, conv, batch norm")[1]
    images, metadata = CALIBRATION.images, CALIBRATION.metadata

    files = export.write(model, tmp_path, "int8", CALIBRATION)

    graph = open_core().read_model(files[0])
    assert [file.name for file in files] == ["model.xml", "model.bin"]
    assert graph.input("image").get_element_type() == openvino.Type.u8
    assert json.loads(graph.get_rt_info(export.DOCUMENT_KEY).astype(str)) == model.document
    outputs = openvino.compile_model(graph, "CPU")(images)
    difference = outputs["probabilities"] - call(model.network, images, metadata)["probabilities"]
    assert 0 < np.abs(difference).max() < 0.05
    num_weights = sum(int(np.prod(weight.shape)) for weight in model.network.weights)
    assert files[1].stat().st_size < 0.35 * 4 * num_weights


def test_a_model_is_quantized_once_for_onnx_and_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_case("classes, conv, batch norm")[1]
    graph, another = onnx.convert(model, CALIBRATION), Graph()
    monkeypatch.setattr("tlkit.exports.calibration.quantize", lambda *_: another)

    assert onnx.convert(model, CALIBRATION) is graph
    assert onnx.convert(model, dataclasses.replace(CALIBRATION)) is another
