"""Convert a functional Keras model to an ONNX graph."""

from __future__ import annotations

from typing import Any

import keras

from tlkit.exports.onnx_writer.graph import Graph, Value, drop_unread, fold_norms
from tlkit.exports.onnx_writer.layers import LAYERS
from tlkit.exports.onnx_writer.operations import OPERATIONS


class UnknownLayerError(Exception):
    """A layer that no function writes; its text names it."""


def convert_model(model: keras.Model) -> Graph:
    """Return the graph of a model in inference, with batch norm folded.

    Args:
        model: A functional model of known sizes but the batch's, with float32 inputs. Its outputs are a mapping by name.

    Raises:
        UnknownLayerError: There is no way to write a layer, or not with its settings.
    """
    graph = Graph()
    inputs = {tensor.name: graph.add_input(tensor.name, tensor.shape) for tensor in keras.tree.flatten(model.input)}
    outputs = _write_functional(graph, model, inputs)
    graph.scope = ""
    for name in model.output:
        graph.add_output(name, outputs[name])
    drop_unread(graph)
    fold_norms(graph)
    drop_unread(graph)
    return graph


def _write_functional(graph: Graph, model: keras.Model, inputs: dict[str, Value]) -> Any:
    """Write a functional model, and return its outputs in their structure.

    Args:
        graph: The graph.
        model: The model.
        inputs: The values of its inputs by name.
    """
    values: dict[int, Value] = {}

    def find(tensor: Any) -> Any:
        if not isinstance(tensor, keras.KerasTensor):
            return tensor
        return values[id(tensor)] if id(tensor) in values else inputs[tensor.name]

    def call(operation: Any, *arguments: Any, **keywords: Any) -> Any:
        output = operation(*arguments, **keywords)
        given = keras.tree.map_structure(find, arguments)
        graph.scope = operation.name
        written = _write_call(graph, operation, given)
        for tensor, value in zip(keras.tree.flatten(output), keras.tree.flatten(written), strict=True):
            values[id(tensor)] = value
        return output

    replay = keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)
    return keras.tree.map_structure(find, replay.output)


def _write_call(graph: Graph, operation: Any, arguments: tuple[Any, ...]) -> Any:
    """Write one call of a layer, an operation or a nested model, and return its output or outputs."""
    if isinstance(operation, keras.Sequential):
        value = arguments[0]
        for layer in operation.layers:
            graph.scope = layer.name
            value = _write_call(graph, layer, (value,))
        return value
    if isinstance(operation, keras.Model):
        names = [tensor.name for tensor in keras.tree.flatten(operation.input)]
        return _write_functional(graph, operation, dict(zip(names, keras.tree.flatten(arguments), strict=True)))
    table: Any = LAYERS if isinstance(operation, keras.Layer) else OPERATIONS
    kind = type(operation)
    write = table.get(kind.__name__) if kind.__module__.startswith("keras.") else None
    value = write(graph, operation, *arguments) if write is not None else None
    if value is None:
        raise UnknownLayerError(f"{kind.__name__} {operation.name!r}")
    return value
