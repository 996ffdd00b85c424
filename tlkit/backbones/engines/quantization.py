"""Quantize a trunk for OpenVINO: products of 8-bit whole numbers in place of 32-bit floating point.

`FakeQuantize` operations round the weights and the inputs of every convolution and matrix product; OpenVINO computes what
lies between them with whole numbers (Jacob et al. 2018, https://arxiv.org/abs/1712.05877). Weights have a scale for each output
channel, and stay in the file as they are; maps have one scale, from the lowest and the highest number on training images.

Rounding shifts the mean of a channel, and in a network with few weights a channel the shifts add up from layer to layer. So
the mean that each layer lacks on training images is given back to it as a bias (Nagel et al. 2019,
https://arxiv.org/abs/1906.04721), from the first layer to the last, each behind layers that are already corrected.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.engines.openvino_runtime import compile_model, import_openvino

if TYPE_CHECKING:
    import openvino

NUM_MEASURED_IMAGES = 16
"""Images from which ranges and shifts are measured. On 32, 64 or 256, features come no closer to those in float32."""
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
        means: For each of the first batches, the mean of each channel of the output of each layer, float32, in the output's
            shape with 1 for all other axes.
        features: The pooled feature of each image, float32 (n, channels).
    """

    ranges: Mapping[Key, tuple[float, float]]
    means: Sequence[Mapping[Key, NDArray[np.float32]]]
    features: NDArray[np.float32]


def measure(model: openvino.Model, images: NDArray[np.uint8]) -> Statistics:
    """Run a model on training images, and return what `quantize` needs.

    Args:
        model: A trunk of fixed batch size that takes uint8 images and has one output.
        images: uint8 (n, height, width, 3), RGB, 0..255; n is a multiple of the batch size.
    """
    ops = import_openvino().opset13
    watched = model.clone()
    values = _find_values(watched)
    layers = {_key(node.output(0)): node.output(0) for node in _find_layers(watched)}
    asked = [_pool(watched)]
    for value in values.values():
        axes = np.arange(1, value.get_partial_shape().rank.get_length())
        asked += [ops.reduce_min(value, axes).output(0), ops.reduce_max(value, axes).output(0)]
    asked += [_reduce_to_means(layer) for layer in layers.values()]
    first, rest = images[:NUM_MEASURED_IMAGES], images[NUM_MEASURED_IMAGES:]
    batches = list(_run(_make_model(asked, watched.get_parameters()), _split(model, first)))
    features = [pooled for pooled, *_ in batches]
    if len(rest):
        features.append(compute_pooled(model, rest))
    ranges, num_limits = {}, 2 * len(values)
    for place, key in enumerate(values):
        low, high = (np.array([batch[1 + 2 * place + side] for batch in batches]) for side in (0, 1))
        ranges[key] = float(low.min()), float(high.max())
    means = [dict(zip(layers, batch[1 + num_limits :], strict=True)) for batch in batches]
    return Statistics(ranges, means, np.concatenate(features))


def quantize(model: openvino.Model, statistics: Statistics, images: NDArray[np.uint8]) -> openvino.Model:
    """Return a model that computes with whole numbers; `model` is not changed.

    Args:
        model: The model that was measured.
        statistics: From `measure`.
        images: The images that were measured.
    """
    ops = import_openvino().opset13
    result = _round_values(model, statistics.ranges)
    shifts = _find_shifts(result, statistics.means, images)
    for node in _find_layers(result):
        value = node.output(0)
        _redirect(value.get_target_inputs(), ops.add(value, shifts[_key(value)]).output(0))
    result.validate_nodes_and_infer_types()
    return result


def compute_pooled(model: openvino.Model, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the pooled feature of each image, float32 (n, channels); n is a multiple of the batch size."""
    model = model.clone()
    pooled = _make_model([_pool(model)], model.get_parameters())
    return np.concatenate([features for (features,) in _run(pooled, _split(model, images))])


def _round_values(model: openvino.Model, ranges: Mapping[Key, tuple[float, float]]) -> openvino.Model:
    """Return a model with rounded weights, and rounded inputs of layers and of sums of two maps."""
    model = model.clone()
    layers = _find_layers(model)
    readers = {node.get_friendly_name() for node in (*layers, *_find_sums(model))}
    for key, value in _find_values(model).items():
        targets = [each for each in value.get_target_inputs() if each.get_node().get_friendly_name() in readers]
        _redirect(targets, _round(value, *_choose_range(*ranges[key]), _NUM_MAP_LEVELS))
    for node in layers:
        weights = node.input_value(1)
        largest = np.abs(weights.get_node().get_data()).max(axis=_weight_axes(node), keepdims=True)
        largest = np.maximum(largest, _SMALLEST).astype(np.float32)
        node.input(1).replace_source_output(_round(weights, -largest, largest, _NUM_WEIGHT_LEVELS))
    model.validate_nodes_and_infer_types()
    return model


def _find_shifts(
    model: openvino.Model, means: Sequence[Mapping[Key, NDArray[np.float32]]], images: NDArray[np.uint8]
) -> dict[Key, NDArray[np.float32]]:
    """Return what each layer of a rounded model lacks in the mean, when all before it have got what they lack.

    A copy of the network corrects itself while it runs: behind each layer it adds what the batch's mean lacks.
    """
    ops = import_openvino().opset13
    model = model.clone()
    expected: dict[Key, openvino.Node] = {}
    lacking: list[openvino.Output] = []
    for node in _find_layers(model):
        value = node.output(0)
        readers = value.get_target_inputs()
        mean = expected[_key(value)] = ops.parameter(means[0][_key(value)].shape, np.float32)
        lacking.append(ops.subtract(mean, _reduce_to_means(value)).output(0))
        _redirect(readers, ops.add(value, lacking[-1]).output(0))
    corrected = _make_model(lacking, [*model.get_parameters(), *expected.values()])
    inputs = [
        [*batch, *(mean[key] for key in expected)] for batch, mean in zip(_split(model, images), means, strict=False)
    ]
    return {
        key: np.mean(parts, axis=0, dtype=np.float32)
        for key, *parts in zip(expected, *_run(corrected, inputs), strict=True)
    }


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


def _redirect(readers: Iterable[openvino.Input], value: openvino.Output) -> None:
    """Give readers another value."""
    for reader in readers:
        reader.replace_source_output(value)


def _weight_axes(layer: openvino.Node) -> tuple[int, ...]:
    """Return the axes of weights that share a scale: all but that of the output channels."""
    if layer.get_type_name() == "MatMul":
        last = len(layer.input_value(1).get_shape()) - 1
        return (last,) if layer.get_attributes()["transpose_b"] else (last - 1,)
    num_kept = 2 if layer.get_type_name() == "GroupConvolution" else 1
    return tuple(range(num_kept, len(layer.input_value(1).get_shape())))


def _reduce_to_means(value: openvino.Output) -> openvino.Output:
    """Return the mean of each channel of the output of a layer: NCHW of convolutions, (..., channels) of products."""
    number = len(value.get_shape())
    kept = number - 1 if value.get_node().get_type_name() == "MatMul" else 1
    axes = np.array([axis for axis in range(number) if axis != kept])
    return import_openvino().opset13.reduce_mean(value, axes, keep_dims=True).output(0)


def _key(value: openvino.Output) -> Key:
    return value.get_node().get_friendly_name(), value.get_index()


def _make_model(outputs: Sequence[openvino.Output], inputs: Sequence[openvino.Node]) -> openvino.Model:
    openvino = import_openvino()
    return openvino.Model([openvino.opset13.result(output) for output in outputs], list(inputs))


def _pool(model: openvino.Model) -> openvino.Output:
    """Return the spatial mean of a trunk's maps (n, height, width, channels); pooled features unchanged."""
    output = model.output(0).get_node().input_value(0)
    axes = np.arange(1, len(output.get_shape()) - 1)
    return import_openvino().opset13.reduce_mean(output, axes).output(0) if len(axes) else output


def _split(model: openvino.Model, images: NDArray[np.uint8]) -> Iterator[list[NDArray[Any]]]:
    """Yield the images of one batch after the other."""
    size = model.input(0).get_shape()[0]
    for start in range(0, len(images), size):
        yield [images[start : start + size]]


def _run(model: openvino.Model, inputs: Iterable[Sequence[NDArray[Any]]]) -> Iterator[list[NDArray[np.float32]]]:
    """Yield the outputs of a model for one batch after the other, computed in parallel."""
    run, num_parallel = compile_model(model, "float32")
    with ThreadPoolExecutor(num_parallel, thread_name_prefix="calibrate") as pool:
        yield from pool.map(run, inputs)
