"""Quantize a trunk for OpenVINO: products of 8-bit whole numbers in place of 32-bit floating point.

`FakeQuantize` operations round the weights and the inputs of every convolution and matrix product; OpenVINO computes what
lies between them with whole numbers (Jacob et al. 2018, https://arxiv.org/abs/1712.05877). Weights have a scale for each output
channel, and stay in the file as they are; maps have one scale, from the lowest and the highest number on training images.

Rounding shifts the mean of a channel, and in a network with few weights a channel the shifts add up from layer to layer. So
the mean that each layer lacks on training images is given back to it as a bias (Nagel et al. 2019,
https://arxiv.org/abs/1906.04721), from the first layer to the last, each behind layers that are already corrected.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.engines.openvino_runtime import import_openvino

if TYPE_CHECKING:
    import openvino

NUM_CORRECTION_IMAGES = 32
"""Images from which shifts are measured. Memory holds the maps between two layers of all of them."""
_WEIGHTED = ("Convolution", "GroupConvolution", "MatMul")
_NUM_WEIGHT_LEVELS, _NUM_MAP_LEVELS = 255, 256
_SMALLEST = 1e-12

Key = tuple[str, int]
"""The friendly name of an operation, and the number of its output. A clone of a model has the same names."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """What a model computes on images.

    Attributes:
        ranges: The lowest and the highest number of each value to round.
        means: The mean of each channel of the output of each layer on the first images, float32 (channels,).
        features: The pooled feature of each image, float32 (n, channels).
    """

    ranges: Mapping[Key, tuple[float, float]]
    means: Mapping[Key, NDArray[np.float32]]
    features: NDArray[np.float32]


def measure(model: openvino.Model, images: NDArray[np.uint8]) -> Statistics:
    """Run a model on training images, and return what `quantize` needs.

    Args:
        model: A trunk of fixed batch size that takes uint8 images and has one output.
        images: uint8 (n, height, width, 3), RGB, 0..255; n is a multiple of the batch size.
    """
    ops = import_openvino().opset13
    model = model.clone()
    values = _find_values(model)
    layers = {_key(node.output(0)): node.output(0) for node in _find_layers(model)}
    asked = [model.output(0).get_node().input_value(0)]
    for value in values.values():
        axes = np.arange(1, value.get_partial_shape().rank.get_length())
        asked += [ops.reduce_min(value, axes).output(0), ops.reduce_max(value, axes).output(0)]
    asked += [ops.reduce_mean(layer, _other_axes(layer)).output(0) for layer in layers.values()]
    num_mean_batches = max(1, NUM_CORRECTION_IMAGES // model.input(0).get_shape()[0])
    features: list[NDArray[np.float32]] = []
    limits, means = np.zeros((len(values), 2)), [np.zeros(1)] * len(layers)
    for number, (output, *rest) in enumerate(_run(_make_model(asked, model.get_parameters()), images)):
        features.append(_pool(output))
        lows, highs = rest[0 : 2 * len(values) : 2], rest[1 : 2 * len(values) : 2]
        limits[:, 0] = np.minimum(limits[:, 0], [low.min() for low in lows])
        limits[:, 1] = np.maximum(limits[:, 1], [high.max() for high in highs])
        if number < num_mean_batches:
            means = [mean + part for mean, part in zip(means, rest[2 * len(values) :], strict=True)]
    num_batches = min(num_mean_batches, len(features))
    return Statistics(
        {key: (float(low), float(high)) for key, (low, high) in zip(values, limits, strict=True)},
        {key: (mean / num_batches).astype(np.float32) for key, mean in zip(layers, means, strict=True)},
        np.concatenate(features),
    )


def quantize(model: openvino.Model, statistics: Statistics, images: NDArray[np.uint8]) -> openvino.Model:
    """Return a model that computes with whole numbers; `model` is not changed.

    Args:
        model: The model that was measured.
        statistics: From `measure`.
        images: The images that were measured.
    """
    result = _round_values(model, statistics.ranges)
    shifts = _find_shifts(result, statistics.means, images[:NUM_CORRECTION_IMAGES])
    for node in _find_layers(result):
        _add_bias(node.output(0), shifts[_key(node.output(0))])
    result.validate_nodes_and_infer_types()
    return result


def compute_pooled(model: openvino.Model, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the pooled feature of each image, float32 (n, channels); n is a multiple of the batch size."""
    return np.concatenate([_pool(output) for (output,) in _run(model, images)])


def _round_values(model: openvino.Model, ranges: Mapping[Key, tuple[float, float]]) -> openvino.Model:
    """Return a model with rounded weights, and rounded inputs of layers and of sums of two maps."""
    model = model.clone()
    layers = _find_layers(model)
    readers = {node.get_friendly_name() for node in (*layers, *_find_sums(model))}
    for key, value in _find_values(model).items():
        targets = [each for each in value.get_target_inputs() if each.get_node().get_friendly_name() in readers]
        rounded = _round(value, *_choose_range(*ranges[key]), _NUM_MAP_LEVELS)
        for target in targets:
            target.replace_source_output(rounded)
    for node in layers:
        weights = node.input_value(1)
        largest = np.abs(weights.get_node().get_data()).max(axis=_weight_axes(node), keepdims=True)
        largest = np.maximum(largest, _SMALLEST).astype(np.float32)
        node.input(1).replace_source_output(_round(weights, -largest, largest, _NUM_WEIGHT_LEVELS))
    model.validate_nodes_and_infer_types()
    return model


def _find_shifts(
    model: openvino.Model, means: Mapping[Key, NDArray[np.float32]], images: NDArray[np.uint8]
) -> dict[Key, NDArray[np.float32]]:
    """Return what each layer of a rounded model lacks in the mean, when all before it have got what they lack.

    The network runs once, layer by layer: a model for each part from one layer to the next takes what the part before it
    has given, its shift included.
    """
    size = model.input(0).get_shape()[0]
    held: list[dict[Key, NDArray[Any]]] = [
        {_key(model.input(0)): images[start : start + size]} for start in range(0, len(images), size)
    ]
    shifts: dict[Key, NDArray[np.float32]] = {}
    for layer, ends in _list_parts(model):
        part = model.clone()
        given = {key: _cut(part, key) for key in held[0]}
        found = {key: _find_output(part, key) for key in [layer, *(end for end in ends if end not in held[0])]}
        compiled = _compile(_make_model(list(found.values()), list(given.values())))
        for values in held:
            computed = compiled([values[key] for key in given])
            values.update({key: np.array(computed[number]) for number, key in enumerate(found)})
        axes = _other_axes(found[layer])
        shift = means[layer] - np.mean([values[layer].mean(axis=tuple(axes)) for values in held], axis=0)
        shifts[layer] = shift.astype(np.float32)
        shape = _bias_shape(found[layer])
        for number, values in enumerate(held):
            values[layer] = values[layer] + shifts[layer].reshape(shape)
            held[number] = {key: values[key] for key in ends}
    return shifts


def _list_parts(model: openvino.Model) -> Iterator[tuple[Key, list[Key]]]:
    """Yield each layer, with those of its values and of all before it that are read behind it."""
    nodes = model.get_ordered_ops()
    places = {node.get_friendly_name(): place for place, node in enumerate(nodes)}
    layers = {node.get_friendly_name() for node in _find_layers(model)}
    computed: set[str] = set()
    last_reads: dict[Key, int] = {}
    for place, node in enumerate(nodes):
        name = node.get_friendly_name()
        sources = [each.get_node().get_friendly_name() for each in node.input_values()]
        if node.get_type_name() != "Parameter" and computed.isdisjoint(sources):
            continue  # of weights alone
        computed.add(name)
        for output in node.outputs():
            readers = [places[target.get_node().get_friendly_name()] for target in output.get_target_inputs()]
            last_reads[_key(output)] = max(readers, default=-1)
        if name in layers:
            yield _key(node.output(0)), [key for key, last in last_reads.items() if last > place]


def _find_layers(model: openvino.Model) -> list[openvino.Node]:
    """Return the convolutions and products with constant weights, in order."""
    return [
        node
        for node in model.get_ordered_ops()
        if node.get_type_name() in _WEIGHTED and _read_constant(node.input_value(1)) is not None
    ]


def _find_sums(model: openvino.Model) -> list[openvino.Node]:
    """Return the sums of two maps."""
    return [
        node
        for node in model.get_ordered_ops()
        if node.get_type_name() == "Add"
        and len(node.output(0).get_shape()) == 4
        and all(
            _read_constant(each) is None and each.get_shape() == node.output(0).get_shape()
            for each in node.input_values()
        )
    ]


def _find_values(model: openvino.Model) -> dict[Key, openvino.Output]:
    """Return the values that are rounded: the inputs of layers, and of sums of two maps."""
    inputs = [node.input_value(0) for node in _find_layers(model)]
    inputs += [each for node in _find_sums(model) for each in node.input_values()]
    return {_key(value): value for value in inputs}


def _read_constant(value: openvino.Output) -> NDArray[Any] | None:
    """Return a constant, rounded or not; None for a computed value."""
    node = value.get_node()
    if node.get_type_name() == "FakeQuantize":
        node = node.input_value(0).get_node()
    return node.get_data() if node.get_type_name() == "Constant" else None


def _choose_range(low: float, high: float) -> tuple[float, float]:
    """Return a range that holds another and in which 0 is one of 256 steps, so that padding stays 0."""
    low, high = min(low, 0.0), max(high, _SMALLEST)
    if low == 0:
        return low, high
    num_below = min(max(round(-low / (high - low) * 255), 1), 254)
    step = max(-low / num_below, high / (255 - num_below))
    return -num_below * step, (255 - num_below) * step


def _round(value: openvino.Output, low: Any, high: Any, levels: int) -> openvino.Output:
    """Return a value rounded to evenly spaced levels of a range."""
    ops = import_openvino().opset13
    shape = (1,) * value.get_partial_shape().rank.get_length()
    limits = [each if np.ndim(each) else np.full(shape, each) for each in (low, high)]
    low, high = (ops.constant(each.astype(np.float32)) for each in limits)
    return ops.fake_quantize(value, low, high, low, high, levels).output(0)


def _add_bias(value: openvino.Output, bias: NDArray[np.float32]) -> None:
    """Add a bias to each channel of the output of a layer."""
    ops = import_openvino().opset13
    targets = value.get_target_inputs()
    shifted = ops.add(value, ops.constant(bias.reshape(_bias_shape(value)))).output(0)
    for target in targets:
        target.replace_source_output(shifted)


def _weight_axes(layer: openvino.Node) -> tuple[int, ...]:
    """Return the axes of weights that share a scale: all but that of the output channels."""
    if layer.get_type_name() == "MatMul":
        last = len(layer.input_value(1).get_shape()) - 1
        return (last,) if layer.get_attributes()["transpose_b"] else (last - 1,)
    num_kept = 2 if layer.get_type_name() == "GroupConvolution" else 1
    return tuple(range(num_kept, len(layer.input_value(1).get_shape())))


def _bias_shape(value: openvino.Output) -> tuple[int, ...]:
    axes = set(_other_axes(value))
    return tuple(1 if axis in axes else size for axis, size in enumerate(value.get_shape()))


def _other_axes(value: openvino.Output) -> NDArray[np.int64]:
    """Return the axes of the output of a layer other than its channels: NCHW of convolutions, (..., channels) of products."""
    number = len(value.get_shape())
    is_map = value.get_node().get_type_name() != "MatMul"
    return np.array([axis for axis in range(number) if axis != (1 if is_map else number - 1)])


def _cut(model: openvino.Model, key: Key) -> openvino.Node:
    """Give a value to its readers from outside, and return the new input."""
    value = _find_output(model, key)
    parameter = import_openvino().opset13.parameter(value.get_shape(), value.get_element_type())
    for target in value.get_target_inputs():
        target.replace_source_output(parameter.output(0))
    return parameter


def _find_output(model: openvino.Model, key: Key) -> openvino.Output:
    name, number = key
    return next(node for node in model.get_ops() if node.get_friendly_name() == name).output(number)


def _key(value: openvino.Output) -> Key:
    return value.get_node().get_friendly_name(), value.get_index()


def _make_model(outputs: Sequence[openvino.Output], inputs: Sequence[openvino.Node]) -> openvino.Model:
    openvino = import_openvino()
    return openvino.Model([openvino.opset13.result(output) for output in outputs], list(inputs))


def _compile(model: openvino.Model) -> openvino.CompiledModel:
    return import_openvino().Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def _pool(output: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the spatial mean of maps (n, height, width, channels); pooled features unchanged."""
    pooled: NDArray[np.float32] = output.reshape(len(output), -1, output.shape[-1]).mean(axis=1)
    return pooled


def _run(model: openvino.Model, images: NDArray[np.uint8]) -> Iterator[list[NDArray[np.float32]]]:
    """Yield the outputs of a model for one batch after the other."""
    compiled, size = _compile(model), model.input(0).get_shape()[0]
    for start in range(0, len(images), size):
        computed = compiled([images[start : start + size]])
        yield [np.array(computed[number]) for number in range(len(model.outputs))]
