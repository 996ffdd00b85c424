"""A graph as a model of the onnx package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkit.exports.onnx_writer.graph import OPSET, Graph, Value

if TYPE_CHECKING:
    import onnx

IR_VERSION = 8
"""That of onnx 1.13, which everything that knows opset 17 reads."""


def build_proto(
    graph: Graph, *, half: bool, properties: Mapping[str, str], producer: str, version: str
) -> onnx.ModelProto:
    """Return a graph as a model of the onnx package.

    Args:
        graph: The finished graph.
        half: Whether weights are stored as float16; they are used as float32.
        properties: Texts for the model's own metadata.
        producer: Name of the program that wrote it.
        version: Its version.
    """
    from onnx import TensorProto, helper, numpy_helper

    nodes, tensors = [], []
    for name, array in graph.constants.items():
        if half and array.dtype == np.float32 and array.ndim > 1:
            tensors.append(numpy_helper.from_array(array.astype(np.float16), f"{name}/float16"))
            nodes.append(
                helper.make_node("Cast", [f"{name}/float16"], [name], name=f"{name}/cast", to=TensorProto.FLOAT)
            )
        else:
            tensors.append(numpy_helper.from_array(array, name))
    for output, node in graph.nodes.items():
        nodes.append(helper.make_node(node.kind, node.inputs, [output], name=output, **node.attributes))
    described = helper.make_graph(
        nodes,
        "tlkit",
        [_describe_port(value) for value in graph.inputs],
        [_describe_port(value) for value in graph.outputs.values()],
        initializer=tensors,
    )
    model = helper.make_model(
        described,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name=producer,
        producer_version=version,
    )
    helper.set_model_props(model, dict(properties))
    return model


def _describe_port(value: Value) -> Any:
    from onnx import TensorProto, helper

    shape = ["batch", *value.shape[1:]]
    return helper.make_tensor_value_info(value.name, TensorProto.FLOAT, shape)
