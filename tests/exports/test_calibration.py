"""Quantized graphs: near the graph they were made from, also in the mean of each channel."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.exports.base import CalibrationImages
from tlkit.exports.onnx_writer.graph import Graph

pytest.importorskip("onnx", reason="pip install 'tlkit[onnx]' brings onnx and onnxruntime")
pytest.importorskip("onnxruntime", reason="pip install 'tlkit[onnx]' brings onnx and onnxruntime")

from tlkit.exports import calibration
from tlkit.exports.graph_running import compute_values
from tlkit.exports.onnx_writer.quantization import plan_quantization, quantize_graph

IMAGES = CalibrationImages(
    np.random.default_rng(0).integers(100, 256, (8, 6, 6, 3), np.uint8), np.zeros((8, 0), np.float32)
)


def make_graph() -> Graph:
    """Return two convolutions with a ReLU between them, and a last layer."""
    rng = np.random.default_rng(1)
    graph = Graph()
    value = graph.to_channels_first(graph.add_input("image", (None, 6, 6, 3)))
    for channels, size in ((5, 3), (4, 5)):
        kernel = graph.add_constant(rng.normal(size=(channels, size, 3, 3)).astype(np.float32), "kernel")
        bias = graph.add_constant(rng.normal(size=channels).astype(np.float32), "bias")
        shape = (None, 6, 6, channels)
        value = graph.add("Conv", [value, kernel, bias], shape, channels_first=True, pads=(1, 1, 1, 1))
        value = graph.add_like("Relu", value)
    pooled = graph.add("ReduceMean", [value], (None, 4), axes=(2, 3), keepdims=0)
    weights = graph.add_constant((rng.normal(size=(4, 2)) / 100).astype(np.float32), "weights")
    graph.add_output(
        "value", graph.add("Gemm", [pooled, weights, graph.add_constant(np.zeros(2, np.float32), "bias")], (None, 2))
    )
    return graph


def compute(graph: Graph, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return a value of a graph for all images."""
    return np.concatenate([array for (array,) in compute_values(graph, [name], IMAGES)])


def test_a_quantized_graph_answers_nearly_as_the_graph_and_keeps_its_last_layer() -> None:
    graph = make_graph()

    quantized = calibration.quantize(graph, IMAGES)

    exact, rounded = compute(graph, "value"), compute(quantized, "value")
    assert 0 < np.abs(rounded - exact).max() < 0.02 * np.abs(exact).max()
    dtypes = [quantized.constants[name].dtype.name for name in quantized.constants if name.endswith("/quantized")]
    assert dtypes == ["int8", "int32", "int8", "int32"]
    assert quantized.constants["weights"].dtype == np.float32
    np.testing.assert_array_equal(compute(calibration.quantize(graph, IMAGES), "value"), rounded)


def test_ranges_are_those_of_the_images() -> None:
    graph = make_graph()

    ranges = calibration.measure_ranges(graph, ["image", "relu"], IMAGES)

    relu = compute(graph, "relu")
    assert ranges == {"image": (0.0, float(IMAGES.images.max())), "relu": (0.0, float(relu.max()))}


def test_a_shift_of_the_mean_is_taken_back() -> None:
    graph = make_graph()
    plan = plan_quantization(graph, ["value"])
    quantized = quantize_graph(graph, plan, calibration.measure_ranges(graph, plan.values, IMAGES))
    kernel = quantized.constants["kernel/quantized"]
    quantized.constants["kernel/quantized"] = (kernel - np.sign(kernel)).astype(np.int8)  # as if rounded badly

    def find_shifts() -> list[float]:
        """Return by how much each layer is off in the mean, relative to how much its numbers vary."""
        pairs = [(compute(graph, layer), compute(quantized, layer)) for layer in plan.layers]
        return [float((np.abs((b - a).mean((0, 2, 3))) / a.std((0, 2, 3))).max()) for a, b in pairs]

    assert min(find_shifts()) > 0.01
    calibration.correct_biases(quantized, graph, plan.layers, IMAGES)
    assert max(find_shifts()) < 0.001


def test_products_with_two_neighbouring_weights_fit_into_16_bits() -> None:
    graph = make_graph()
    graph.constants["kernel"][0, :2, 1, 1] = 9.0, 8.5

    quantized = calibration.quantize(graph, IMAGES)

    kernel = quantized.constants["kernel/quantized"].transpose(0, 2, 3, 1).reshape(5, -1).astype(int)
    assert 255 * np.abs(kernel[:, 1:] + kernel[:, :-1]).max() < 2**15
    assert np.abs(kernel).max(axis=1).min() > 60


def test_for_openvino_only_the_inputs_of_layers_are_rounded_and_biases_suit_that() -> None:
    graph = make_graph()
    quantized = calibration.quantize(graph, IMAGES)
    layers = plan_quantization(graph, ["value"]).layers
    name = quantized.nodes[layers[-1]].inputs[2].removesuffix("/rounded") + "/quantized"
    quantized.constants[name] = quantized.constants[name] + 1000

    inner = calibration.fit_to_openvino(quantized, graph, IMAGES)

    rounded = [
        [name for name, node in graph.nodes.items() if node.kind == "QuantizeLinear"] for graph in (quantized, inner)
    ]
    assert rounded == [
        ["transpose/quantized", "relu/quantized", "relu_2/quantized"],
        ["transpose/quantized", "relu/quantized"],
    ]
    exact, ours = compute(graph, "value"), compute(inner, "value")
    assert 0 < np.abs(ours - exact).max() < 0.02 * np.abs(exact).max()
    last = [compute(each, layers[-1]) for each in (graph, inner)]
    assert np.abs((last[0] - last[1]).mean((0, 2, 3))).max() < 0.001 * last[0].std()
