"""An ONNX graph in whole numbers: 8-bit weights and maps, with QuantizeLinear and DequantizeLinear around each layer.

Runtimes join a layer and the nodes around it to one operation on whole numbers (Jacob et al. 2018, "Quantization and
Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference"). Weights are symmetric, with a scale per output
channel; maps have one scale and one zero point.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.exports.onnx_writer.graph import Graph, Node, count_readers, drop_unread, find_needed

WEIGHTED = ("Conv", "Gemm", "MatMul")
JOINED = ("Relu", "Clip")
"""Operations that run as a part of the layer before them."""
MAX_SMALL_DENSE = 2**19
"""A dense layer on vectors with at most so many weights stays in float32: it takes little time and space, and what rounding
changes there is not averaged over places."""


@dataclass(frozen=True)
class Plan:
    """What is quantized.

    Attributes:
        layers: Names of the outputs of the layers.
        values: Names of the values before and behind them.
    """

    layers: tuple[str, ...]
    values: tuple[str, ...]


def plan_quantization(graph: Graph, answers: Iterable[str]) -> Plan:
    """Choose what is quantized: the layers on the way to the answers, but the last one before each and small dense ones.

    Args:
        graph: A finished graph.
        answers: Outputs that count; what leads only to others stays in float32.
    """
    needed = find_needed(graph, answers)
    weighted = [name for name in graph.nodes if name in needed and _is_layer(graph, name)]
    inner = find_needed(graph, [graph.nodes[name].inputs[0] for name in weighted])
    layers = [name for name in weighted if name in inner and not _is_small_dense(graph, name)]
    readers = count_readers(graph)
    values: dict[str, None] = {}
    for layer in layers:
        values |= {graph.nodes[layer].inputs[0]: None, _find_joined(graph, layer, readers): None}
    return Plan(tuple(layers), tuple(values))


def quantize_graph(graph: Graph, plan: Plan, ranges: Mapping[str, tuple[float, float]]) -> Graph:
    """Return a graph in which the layers of a plan compute with whole numbers.

    Args:
        graph: A finished graph; it is not changed.
        plan: From `plan_quantization`.
        ranges: The lowest and the highest number of each value of the plan.
    """
    result = Graph(inputs=graph.inputs, outputs=graph.outputs, constants=dict(graph.constants))
    scales = {name: _choose_scale(*ranges[name]) for name in plan.values}
    renamed: dict[str, str] = {}
    for value in graph.inputs:
        if value.name in scales:
            renamed[value.name] = _add_rounding(result, value.name, scales[value.name])
    for output, node in graph.nodes.items():
        inputs = [renamed.get(name, name) for name in node.inputs]
        if output in plan.layers:
            inputs[1:] = _quantize_weights(result, node, scales[node.inputs[0]][0])
        result.nodes[output] = Node(node.kind, tuple(inputs), node.attributes)
        if output in scales:
            renamed[output] = _add_rounding(result, output, scales[output])
    read = count_readers(result)
    result.constants = {name: array for name, array in result.constants.items() if read[name]}
    return result


def shift_bias(graph: Graph, layer: str, shift: NDArray[np.float64]) -> NDArray[np.float32]:
    """Add a shift per channel to the bias of a layer of a quantized graph, and return it as its 32-bit numbers have it."""
    name = graph.nodes[layer].inputs[2].removesuffix("/rounded")
    limit = np.iinfo(np.int32)
    before, scale = graph.constants[f"{name}/quantized"].astype(np.float64), graph.constants[f"{name}/scale"]
    after = np.clip(before + np.rint(shift / scale), limit.min, limit.max)
    graph.constants[f"{name}/quantized"] = after.astype(np.int32)
    added: NDArray[np.float32] = ((after - before) * scale).astype(np.float32)
    return added


def drop_outer_roundings(graph: Graph) -> Graph:
    """Return a quantized graph in which only what a quantized layer reads is rounded.

    onnxruntime computes a layer in whole numbers only if its output is rounded, too. OpenVINO does without, and would
    round what is concatenated by one scale for all, however different the ranges are.
    """
    layers = [node for node in graph.nodes.values() if node.kind in WEIGHTED and node.inputs[1].endswith("/rounded")]
    read = {node.inputs[0] for node in layers}
    outer = {
        output: node.inputs[0].removesuffix("/quantized")
        for output, node in graph.nodes.items()
        if node.kind == "DequantizeLinear" and node.inputs[0] in graph.nodes and output not in read
    }
    nodes = {
        output: Node(node.kind, tuple(outer.get(name, name) for name in node.inputs), node.attributes)
        for output, node in graph.nodes.items()
    }
    result = Graph(inputs=graph.inputs, outputs=graph.outputs, nodes=nodes, constants=dict(graph.constants))
    drop_unread(result)
    return result


def _is_layer(graph: Graph, name: str) -> bool:
    node = graph.nodes[name]
    return node.kind in WEIGHTED and node.inputs[1] in graph.constants


def _is_small_dense(graph: Graph, name: str) -> bool:
    node = graph.nodes[name]
    return node.kind == "Gemm" and graph.constants[node.inputs[1]].size <= MAX_SMALL_DENSE


def _find_joined(graph: Graph, layer: str, readers: Mapping[str, int]) -> str:
    """Return the output of a layer, or of the activation that runs as a part of it."""
    if readers[layer] != 1:
        return layer
    reader = next(output for output, node in graph.nodes.items() if layer in node.inputs)
    return reader if graph.nodes[reader].kind in JOINED else layer


def _choose_scale(low: float, high: float) -> tuple[np.float32, np.uint8]:
    """Return scale and zero point of unsigned 8-bit numbers for a range; 0 is a number of its own."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32((high - low) / 255 or 1.0)
    return scale, np.uint8(np.clip(np.rint(-low / scale), 0, 255))


def _add_rounding(graph: Graph, name: str, scale: tuple[np.float32, np.uint8]) -> str:
    """Round a value to 8 bits, and return the name of the rounded one."""
    names = (f"{name}/scale", f"{name}/zero_point")
    graph.constants |= dict(zip(names, map(np.asarray, scale), strict=True))
    graph.nodes[f"{name}/quantized"] = Node("QuantizeLinear", (name, *names), {})
    graph.nodes[f"{name}/rounded"] = Node("DequantizeLinear", (f"{name}/quantized", *names), {})
    return f"{name}/rounded"


def _quantize_weights(graph: Graph, node: Node, input_scale: np.float32) -> list[str]:
    """Replace the weights of a layer by 8-bit ones and its bias by a 32-bit one, and return their names."""
    weight, *bias = node.inputs[1:]
    axis = 0 if node.kind == "Conv" else 1
    array = graph.constants[weight]
    others = tuple(each for each in range(array.ndim) if each != axis)
    largest = np.maximum(np.abs(array).max(axis=others), _find_largest_sum(array, axis))
    scale = np.maximum(largest / 127, np.finfo(np.float32).tiny).astype(np.float32)
    if bias:  # a scale so small that the bias does not fit into 32 bits would be that of a channel without weights
        smallest = np.abs(graph.constants[bias[0]]) / (input_scale * np.float32(2**30))
        scale = np.maximum(scale, smallest.astype(np.float32))
    shape = [-1 if each == axis else 1 for each in range(array.ndim)]
    rounded = np.clip(np.rint(array / scale.reshape(shape)), -127, 127).astype(np.int8)
    names = [_add_stored(graph, weight, rounded, scale, axis)]
    if bias:
        step = (scale * input_scale).astype(np.float32)
        names.append(_add_stored(graph, bias[0], np.rint(graph.constants[bias[0]] / step).astype(np.int32), step, 0))
    return names


def _find_largest_sum(array: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Return the largest absolute sum of two weights of each output channel that a processor may multiply together.

    Without VNNI it adds the products of two neighbours in 16 bits; they fit if the weights add up to 128 at most.
    """
    rows = np.moveaxis(array, axis, 0)
    if rows.ndim == 4:  # neighbours are channels; a depthwise convolution has none
        rows = rows.transpose(0, 2, 3, 1)
        if rows.shape[3] == 1:
            return np.zeros(len(rows), np.float32)
    rows = rows.reshape(len(rows), -1)
    sums: NDArray[np.float32] = np.abs(rows[:, 1:] + rows[:, :-1]).max(axis=1, initial=0)
    return sums


def _add_stored(graph: Graph, name: str, rounded: NDArray[Any], scale: NDArray[np.float32], axis: int) -> str:
    """Add a constant that is stored as whole numbers, and return the name of what it stands for."""
    names = [f"{name}/{suffix}" for suffix in ("quantized", "scale", "zero_point")]
    zero = np.zeros(len(scale), rounded.dtype)
    graph.constants |= dict(zip(names, (rounded, scale, zero), strict=True))
    graph.nodes[f"{name}/rounded"] = Node("DequantizeLinear", tuple(names), {"axis": axis})
    return f"{name}/rounded"
