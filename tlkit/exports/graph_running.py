"""Compute values inside an ONNX graph, or a part of one, with onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.exports.base import CalibrationImages
from tlkit.exports.onnx_writer.graph import Graph, Node, find_needed
from tlkit.exports.onnx_writer.proto import build_proto

Arrays = dict[str, NDArray[np.float32]]
"""Values by name, each for one image, so that the first axis has the length 1."""


def compute_values(
    graph: Graph, names: Sequence[str], images: CalibrationImages
) -> Iterator[list[NDArray[np.float32]]]:
    """Compute values of a graph for one image after the other; they may be inputs."""
    needed = find_needed(graph, names)
    run = compile_part(graph, {output: node for output, node in graph.nodes.items() if output in needed}, names)
    for given in give_inputs(images):
        computed = given | run(given)
        yield [computed[name] for name in names]


def give_inputs(images: CalibrationImages) -> Iterator[Arrays]:
    """Yield a graph's inputs for one image after the other."""
    for image, row in zip(images.images, images.metadata, strict=True):
        yield {"image": image[np.newaxis].astype(np.float32), "metadata": row[np.newaxis].astype(np.float32)}


def cut_after(graph: Graph, layers: Sequence[str]) -> Iterator[tuple[str, dict[str, Node], set[str]]]:
    """Cut a graph into parts, each of which ends with a layer.

    Args:
        graph: A finished graph.
        layers: Names of the outputs of some nodes, in the graph's order.

    Yields:
        The layer, the nodes after the one before it, and the names of all values that later parts read.
    """
    needed = find_needed(graph, layers)
    rest = {output: node for output, node in graph.nodes.items() if output in needed}
    for layer in layers:
        part = {}
        while layer not in part:
            output = next(iter(rest))
            part[output] = rest.pop(output)
        yield layer, part, {name for node in rest.values() for name in node.inputs}


def compile_part(graph: Graph, nodes: Mapping[str, Node], names: Sequence[str]) -> Callable[[Arrays], Arrays]:
    """Return a function that computes values of some nodes of a graph, given those that they read, and maybe others.

    Args:
        graph: The graph.
        nodes: The nodes by the name of their output.
        names: Which of their outputs are wanted; what no node makes is left out.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime reports its use to Microsoft since 1.32
    import onnxruntime
    from onnx import TensorProto, helper

    read = {name for node in nodes.values() for name in node.inputs if name}
    part = Graph(nodes=dict(nodes), constants={name: graph.constants[name] for name in read & {*graph.constants}})
    proto = build_proto(part, half=False, properties={}, producer="tlkit", version="")
    given = sorted(read - {*nodes} - {*graph.constants})
    asked = [name for name in names if name in nodes]
    proto.graph.input.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in given)
    proto.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in asked)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])

    def run(values: Arrays) -> Arrays:
        computed: list[Any] = session.run(asked, {name: values[name] for name in given})
        return dict(zip(asked, computed, strict=True))

    return run
