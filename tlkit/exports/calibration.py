"""Quantize a graph: 8-bit numbers get their scales from training images, and the mean error that they cause is taken back.

The mean by which 8-bit weights and maps shift a layer's output, channel by channel, is added to its bias (Nagel et al.
2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", https://arxiv.org/abs/1906.04721; here it
is measured on images). Without it, the shifts add up over the layers of a network with few weights per channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from tlkit.exports.base import CalibrationImages
from tlkit.exports.graph_running import compile_part, compute_values, cut_after, give_inputs
from tlkit.exports.onnx_writer.graph import Graph
from tlkit.exports.onnx_writer.quantization import (
    Plan,
    drop_outer_roundings,
    plan_quantization,
    quantize_graph,
    shift_bias,
)
from tlkit.exports.shipped import DISTANCE, MAP

NUM_CORRECTION_IMAGES = 32
MAX_CORRECTION_PIXELS = 2**21
"""Images from which shifts are measured, and their pixels, in all: maps take up to 300 bytes of memory per pixel."""


def quantize(graph: Graph, images: CalibrationImages) -> Graph:
    """Return a graph whose layers compute with 8-bit numbers.

    The last layer before each answer, and what leads only to a map or a distance, stay in float32.

    Args:
        graph: A finished graph of a shipped model; it is not changed.
        images: Training images. Memory holds the maps of one.
    """
    plan = _plan(graph)
    ranges = measure_ranges(graph, plan.values, images)
    result = quantize_graph(graph, plan, ranges)
    correct_biases(result, graph, plan.layers, images)
    return result


def fit_to_openvino(quantized: Graph, graph: Graph, images: CalibrationImages) -> Graph:
    """Return a quantized graph without the roundings that OpenVINO does without, and with biases that suit the rest.

    Args:
        quantized: From `quantize`; it is not changed.
        graph: The graph that was quantized.
        images: The training images.
    """
    result = drop_outer_roundings(quantized)
    correct_biases(result, graph, _plan(graph).layers, images)
    return result


def _plan(graph: Graph) -> Plan:
    return plan_quantization(graph, [name for name in graph.outputs if name not in (MAP, DISTANCE)])


def measure_ranges(graph: Graph, names: Sequence[str], images: CalibrationImages) -> dict[str, tuple[float, float]]:
    """Return the lowest and the highest number of each value of a graph on images; 0 lies within."""
    limits = np.zeros((len(names), 2))
    for arrays in compute_values(graph, names, images):
        for row, array in zip(limits, arrays, strict=True):
            row[:] = min(row[0], float(array.min())), max(row[1], float(array.max()))
    return {name: (float(low), float(high)) for name, (low, high) in zip(names, limits, strict=True)}


def correct_biases(quantized: Graph, graph: Graph, layers: Sequence[str], images: CalibrationImages) -> None:
    """Add to the bias of each layer of a quantized graph what its output lacks in the mean, channel by channel.

    Layers are corrected in order, so that each makes up for its own error and for what is left of those before it. The
    quantized graph runs once, in parts that end with a layer.

    Args:
        quantized: A graph from `quantize_graph`; its biases change.
        graph: The graph that was quantized.
        layers: Names of the outputs of its layers, in order.
        images: Training images, some of which are used. Memory holds, for those, the maps that later parts need.
    """
    biased = [layer for layer in layers if len(quantized.nodes[layer].inputs) > 2]
    some = _choose_some(images)
    means = _average(compute_values(graph, biased, some))
    rows = list(give_inputs(some))
    for mean, (layer, nodes, later) in zip(means, cut_after(quantized, biased), strict=True):
        run = compile_part(quantized, nodes, [name for name in nodes if name in later or name == layer])
        for number, row in enumerate(rows):
            computed = row | run(row)
            rows[number] = {name: computed[name] for name in computed if name in later or name == layer}
        (found,) = _average([row[layer]] for row in rows)
        shift = shift_bias(quantized, layer, mean - found)
        for row in rows:
            row[layer] += shift.reshape(-1, 1, 1) if row[layer].ndim == 4 else shift


def _choose_some(images: CalibrationImages) -> CalibrationImages:
    """Return up to 32 images, evenly spread, but fewer large ones."""
    total, height, width, _ = images.images.shape
    number = max(1, min(NUM_CORRECTION_IMAGES, MAX_CORRECTION_PIXELS // (height * width)))
    step = -(-total // number)
    return CalibrationImages(images.images[::step], images.metadata[::step])


def _average(rows: Iterable[Sequence[NDArray[np.float32]]]) -> list[NDArray[np.float64]]:
    """Return the mean of each channel of some values, which come image by image."""
    found = [
        [
            array.mean(axis=(0, 2, 3) if array.ndim == 4 else (*range(array.ndim - 1),), dtype=np.float64)
            for array in row
        ]
        for row in rows
    ]
    return [np.mean(means, axis=0) for means in zip(*found, strict=True)]
