"""Quantize a graph: 8-bit numbers get their scales from training images, and the mean error that they cause is taken back.

The mean by which 8-bit weights and maps shift a layer's output, channel by channel, is added to its bias (Nagel et al.
2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", https://arxiv.org/abs/1906.04721; here it
is measured on images). Without it, the shifts add up over the layers of a network with few weights per channel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.exports.base import CalibrationImages
from tlkit.exports.onnx_writer.graph import Graph, Value, drop_unread
from tlkit.exports.onnx_writer.proto import build_proto
from tlkit.exports.onnx_writer.quantization import plan_quantization, quantize_graph, shift_bias
from tlkit.exports.shipped import DISTANCE, MAP

NUM_CORRECTION_IMAGES = 32
"""Images from which shifts are measured; each layer of the quantized graph runs on them, with all before it."""


def quantize(graph: Graph, images: CalibrationImages) -> Graph:
    """Return a graph whose layers compute with 8-bit numbers.

    The last layer before each answer, and what leads only to a map or a distance, stay in float32.

    Args:
        graph: A finished graph of a shipped model; it is not changed.
        images: Training images. Memory holds the maps of one.
    """
    plan = plan_quantization(graph, [name for name in graph.outputs if name not in (MAP, DISTANCE)])
    ranges = measure_ranges(graph, plan.values, images)
    result = quantize_graph(graph, plan, ranges)
    correct_biases(result, graph, plan.layers, images)
    return result


def measure_ranges(graph: Graph, names: Sequence[str], images: CalibrationImages) -> dict[str, tuple[float, float]]:
    """Return the lowest and the highest number of each value of a graph on images; 0 lies within."""
    limits = np.zeros((len(names), 2))
    for arrays in _run(graph, names, images):
        for row, array in zip(limits, arrays, strict=True):
            row[:] = min(row[0], float(array.min())), max(row[1], float(array.max()))
    return {name: (float(low), float(high)) for name, (low, high) in zip(names, limits, strict=True)}


def correct_biases(quantized: Graph, graph: Graph, layers: Sequence[str], images: CalibrationImages) -> None:
    """Add to the bias of each layer of a quantized graph what its output lacks in the mean, channel by channel.

    Layers are corrected in order, so that each makes up for its own error and for what is left of those before it.

    Args:
        quantized: A graph from `quantize_graph`; its biases change.
        graph: The graph that was quantized.
        layers: Names of the outputs of its layers, in order.
        images: Training images, some of which are used.
    """
    step = -(-len(images.images) // NUM_CORRECTION_IMAGES)
    some = CalibrationImages(images.images[::step], images.metadata[::step])
    biased = [layer for layer in layers if len(quantized.nodes[layer].inputs) > 2]
    wanted = _measure_means(graph, biased, some)
    for layer, mean in zip(biased, wanted, strict=True):
        shift_bias(quantized, layer, mean - _measure_means(quantized, [layer], some)[0])


def _measure_means(graph: Graph, layers: Sequence[str], images: CalibrationImages) -> list[NDArray[np.float64]]:
    """Return the mean output of each channel of some layers."""
    sums: list[Any] = [0.0] * len(layers)
    for arrays in _run(graph, layers, images):
        for index, array in enumerate(arrays):
            others = (0, 2, 3) if array.ndim == 4 else tuple(range(array.ndim - 1))
            sums[index] = sums[index] + array.mean(axis=others, dtype=np.float64)
    return [np.asarray(each) / len(images.images) for each in sums]


def _run(graph: Graph, names: Sequence[str], images: CalibrationImages) -> Iterator[list[NDArray[np.float32]]]:
    """Compute values of a graph for one image after the other."""
    import onnxruntime
    from onnx import helper

    part = Graph(
        inputs=graph.inputs,
        outputs={name: Value(name, ()) for name in names},
        nodes=dict(graph.nodes),
        constants=dict(graph.constants),
    )
    drop_unread(part)
    proto = build_proto(part, half=False, properties={}, producer="tlkit", version="")
    del proto.graph.output[:]
    inputs = {value.name for value in graph.inputs}
    proto.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names if name not in inputs)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    used = [port.name for port in session.get_inputs()]
    asked = [port.name for port in session.get_outputs()]
    for image, row in zip(images.images, images.metadata, strict=True):
        given = {"image": image[np.newaxis].astype(np.float32), "metadata": row[np.newaxis].astype(np.float32)}
        computed = dict(zip(asked, session.run(asked, {name: given[name] for name in used}), strict=True)) | given
        yield [computed[name] for name in names]
