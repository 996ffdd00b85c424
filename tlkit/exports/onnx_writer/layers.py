"""Keras layers in ONNX: one function per kind of layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.exports.onnx_writer.activations import ACTIVATIONS, write_relu, write_softmax
from tlkit.exports.onnx_writer.elementwise import write_binary, write_scale_and_shift
from tlkit.exports.onnx_writer.graph import Graph, Value
from tlkit.exports.onnx_writer.pooling import (
    find_extent,
    get_sizes,
    write_average_pool,
    write_global_average,
    write_global_max,
    write_max_pool,
)

Pads = tuple[int, int, int, int]
"""Rows above, columns on the left, rows below, columns on the right: the order of ONNX."""


def write_conv(graph: Graph, layer: Any, x: Value) -> Value | None:
    """Write Conv2D, grouped or not."""
    kernel = np.asarray(layer.kernel).transpose(3, 2, 0, 1)
    return _write_activation(
        graph, layer, _write_convolution(graph, layer, x, kernel, _bias(layer, len(kernel)), layer.groups)
    )


def write_depthwise_conv(graph: Graph, layer: Any, x: Value) -> Value | None:
    """Write DepthwiseConv2D."""
    kernel = _depthwise(layer.kernel)
    num_groups = get_sizes(x)[3]
    return _write_activation(
        graph, layer, _write_convolution(graph, layer, x, kernel, _bias(layer, len(kernel)), num_groups)
    )


def write_separable_conv(graph: Graph, layer: Any, x: Value) -> Value | None:
    """Write SeparableConv2D as its two convolutions."""
    depthwise = _depthwise(layer.depthwise_kernel)
    spread = _write_convolution(graph, layer, x, depthwise, np.zeros(len(depthwise), np.float32), get_sizes(x)[3])
    kernel = np.asarray(layer.pointwise_kernel).transpose(3, 2, 0, 1)
    mixed = _add_conv(graph, spread, kernel, _bias(layer, len(kernel)), shape=(*spread.shape[:3], len(kernel)))
    return _write_activation(graph, layer, mixed)


def write_dense(graph: Graph, layer: Any, x: Value) -> Value | None:
    """Write Dense, on vectors or on the last axis of a map."""
    x = graph.to_channels_last(x)
    shape = (*x.shape[:-1], layer.units)
    kernel = graph.add_constant(np.asarray(layer.kernel), "kernel")
    if len(shape) == 2:
        bias = graph.add_constant(_bias(layer, layer.units), "bias")
        return _write_activation(graph, layer, graph.add("Gemm", [x, kernel, bias], shape))
    product = graph.add("MatMul", [x, kernel], shape)
    return _write_activation(graph, layer, write_scale_and_shift(graph, product, 1.0, _bias(layer, layer.units)))


def write_batch_norm(graph: Graph, layer: Any, x: Value) -> Value | None:
    """Write BatchNormalization over the channels, in inference."""
    if layer.axis not in (-1, len(x.shape) - 1):
        return None
    num_channels = x.shape[-1] or 0
    arrays = {
        "gamma": np.asarray(layer.gamma) if layer.scale else np.ones(num_channels, np.float32),
        "beta": np.asarray(layer.beta) if layer.center else np.zeros(num_channels, np.float32),
        "mean": np.asarray(layer.moving_mean),
        "variance": np.asarray(layer.moving_variance),
    }
    names = [graph.add_constant(array, name) for name, array in arrays.items()]
    return graph.add_like("BatchNormalization", graph.to_channels_first(x), *names, epsilon=float(layer.epsilon))


def write_layer_norm(graph: Graph, layer: Any, x: Value) -> Value | None:
    """Write LayerNormalization over the channels."""
    if list(layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]) not in ([-1], [len(x.shape) - 1]):
        return None
    num_channels = x.shape[-1] or 0
    scale = np.asarray(layer.gamma) if layer.scale else np.ones(num_channels, np.float32)
    shift = np.asarray(layer.beta) if layer.center else np.zeros(num_channels, np.float32)
    names = [graph.add_constant(array, name) for name, array in (("gamma", scale), ("beta", shift))]
    x = graph.to_channels_last(x)
    return graph.add_like("LayerNormalization", x, *names, axis=-1, epsilon=float(layer.epsilon))


def write_normalization(graph: Graph, layer: Any, x: Value) -> Value | None:
    """Write Normalization with its fixed mean and variance."""
    if layer.invert:
        return None
    mean, variance = (np.asarray(array, np.float64) for array in (layer.mean, layer.variance))
    deviation = np.maximum(np.sqrt(variance), 1e-7)
    return write_scale_and_shift(graph, x, 1 / deviation, -mean / deviation)


def write_zero_padding(graph: Graph, layer: Any, x: Value) -> Value:
    """Write ZeroPadding2D."""
    (top, bottom), (left, right) = layer.padding
    x = graph.to_channels_first(x)
    pads = graph.add_constant(np.array([0, 0, top, left, 0, 0, bottom, right], np.int64), "pads")
    batch, height, width, channels = get_sizes(x)
    shape = (batch, height + top + bottom, width + left + right, channels)
    return graph.add("Pad", [x, pads], shape, channels_first=True)


def write_cropping(graph: Graph, layer: Any, x: Value) -> Value:
    """Write Cropping2D."""
    (top, bottom), (left, right) = layer.cropping
    x = graph.to_channels_first(x)
    batch, height, width, channels = get_sizes(x)
    limits = {"starts": (top, left), "ends": (height - bottom, width - right), "axes": (2, 3)}
    names = [graph.add_constant(np.array(values, np.int64), name) for name, values in limits.items()]
    shape = (batch, height - top - bottom, width - left - right, channels)
    return graph.add("Slice", [x, *names], shape, channels_first=True)


def write_concatenate(graph: Graph, layer: Any, xs: Sequence[Value]) -> Value | None:
    """Write Concatenate along any axis but the batch's."""
    return write_joined(graph, xs, layer.axis)


def write_joined(graph: Graph, xs: Sequence[Value], axis: int) -> Value | None:
    """Write tensors side by side along their last axis or, if they are no maps, another one; None for other axes."""
    num_axes = len(xs[0].shape)
    axis %= num_axes
    if axis == 0 or (axis < num_axes - 1 and num_axes == 4):
        return None
    aligned = [graph.to_layout_of(x, xs[0]) for x in xs]
    shape = list(xs[0].shape)
    shape[axis] = sum(x.shape[axis] or 0 for x in xs)
    in_first = xs[0].channels_first
    return graph.add("Concat", aligned, shape, channels_first=in_first, axis=1 if in_first else axis)


_INTERPOLATIONS = {
    "nearest": {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    "bilinear": {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
}
"""Attributes of Resize that do what Keras does."""


def write_up_sampling(graph: Graph, layer: Any, x: Value) -> Value | None:
    """Write UpSampling2D that repeats cells, or interpolates between their centres."""
    if layer.interpolation not in _INTERPOLATIONS:
        return None
    x = graph.to_channels_first(x)
    batch, height, width, channels = get_sizes(x)
    down, across = layer.size
    scales = graph.add_constant(np.array([1, 1, down, across], np.float32), "scales")
    return graph.add(
        "Resize",
        [x, "", scales],
        (batch, height * down, width * across, channels),
        channels_first=True,
        **_INTERPOLATIONS[layer.interpolation],
    )


def write_reshape(graph: Graph, x: Value, sizes: Sequence[int]) -> Value:
    """Write another shape, without the batch axis, for the same numbers in Keras' order."""
    assert -1 not in sizes, "an export has one image size"
    flattened = graph.made_by(x, "Flatten")
    if flattened and tuple(sizes) == flattened[1].shape[1:]:
        return flattened[1]
    if len(sizes) == 3 and tuple(sizes[:2]) == (1, 1) and len(x.shape) == 2:
        target = graph.add_constant(np.array([0, sizes[2], 1, 1], np.int64), "shape")
        return graph.add("Reshape", [x, target], (x.shape[0], *sizes), channels_first=True)
    target = graph.add_constant(np.array([0, *sizes], np.int64), "shape")
    return graph.add("Reshape", [graph.to_channels_last(x), target], (x.shape[0], *sizes))


def _write_reshape_layer(graph: Graph, layer: Any, x: Value) -> Value:
    return write_reshape(graph, x, tuple(layer.compute_output_shape(x.shape)[1:]))


def _write_fold(kind: str) -> Callable[[Graph, Any, Sequence[Value]], Value]:
    def write(graph: Graph, layer: Any, xs: Sequence[Value]) -> Value:
        total = xs[0]
        for x in xs[1:]:
            total = write_binary(graph, kind, total, x)
        return total

    return write


def _write_activation(graph: Graph, layer: Any, x: Value) -> Value | None:
    """Write the activation of a layer."""
    write = ACTIVATIONS.get(layer.activation.__name__)
    return write(graph, x) if write is not None else None


def _write_convolution(
    graph: Graph, layer: Any, x: Value, kernel: NDArray[Any], bias: NDArray[Any], groups: int
) -> Value:
    """Write a convolution with a layer's strides, padding and dilation.

    Args:
        graph: The graph.
        layer: A convolution, of any kind.
        x: Its input.
        kernel: float32 (outputs, inputs of a group, height, width).
        bias: float32 (outputs,).
        groups: Number of groups.
    """
    padding = graph.made_by(x, "Pad")
    around: Pads = (0, 0, 0, 0)
    if padding and layer.padding == "valid":
        node, x = padding
        _, _, top, left, _, _, bottom, right = (int(size) for size in graph.constants[node.inputs[1]])
        around = (top, left, bottom, right)
    _, height, width, _ = get_sizes(x)
    top, bottom, num_rows = find_extent(layer, 0, height, kernel.shape[2], (around[0], around[2]))
    left, right, num_columns = find_extent(layer, 1, width, kernel.shape[3], (around[1], around[3]))
    return _add_conv(
        graph,
        x,
        kernel,
        bias,
        shape=(x.shape[0], num_rows, num_columns, len(kernel)),
        pads=(top, left, bottom, right),
        strides=tuple(layer.strides),
        dilations=tuple(layer.dilation_rate),
        group=groups,
    )


def _add_conv(
    graph: Graph, x: Value, kernel: NDArray[Any], bias: NDArray[Any], *, shape: Sequence[int | None], **settings: Any
) -> Value:
    names = [graph.add_constant(array, name) for array, name in ((kernel, "kernel"), (bias, "bias"))]
    settings = {"kernel_shape": kernel.shape[2:], **settings}
    return graph.add("Conv", [graph.to_channels_first(x), *names], shape, channels_first=True, **settings)


def _depthwise(kernel: Any) -> NDArray[np.float32]:
    """Return a depthwise kernel, (height, width, channels, multiplier), as that of a grouped convolution."""
    array = np.asarray(kernel)
    height, width, channels, multiplier = array.shape
    return array.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width)


def _bias(layer: Any, num_outputs: int) -> NDArray[np.float32]:
    """Return the bias of a layer, zeros if it has none."""
    return np.asarray(layer.bias) if layer.use_bias else np.zeros(num_outputs, np.float32)


def _write_relu_layer(graph: Graph, layer: Any, x: Value) -> Value | None:
    settings = {"max_value": layer.max_value, "negative_slope": layer.negative_slope, "threshold": layer.threshold}
    return write_relu(graph, x, **settings)


def _write_layer_scale(graph: Graph, layer: Any, x: Value) -> Value:
    return write_binary(graph, "Mul", x, np.asarray(layer.gamma))


def _write_scaled_sum(graph: Graph, layer: Any, xs: Sequence[Value]) -> Value:
    return write_binary(graph, "Add", xs[0], write_binary(graph, "Mul", xs[1], layer.scale))


LAYERS: dict[str, Callable[[Graph, Any, Any], Value | None]] = {
    "Activation": _write_activation,
    "Add": _write_fold("Add"),
    "AveragePooling2D": write_average_pool,
    "BatchNormalization": write_batch_norm,
    "Concatenate": write_concatenate,
    "Conv2D": write_conv,
    "Cropping2D": write_cropping,
    "CustomScaleLayer": _write_scaled_sum,  # of Keras' InceptionResNet
    "Dense": write_dense,
    "DepthwiseConv2D": write_depthwise_conv,
    "Dropout": lambda graph, layer, x: x,
    "Flatten": _write_reshape_layer,
    "GlobalAveragePooling2D": write_global_average,
    "GlobalMaxPooling2D": write_global_max,
    "LayerNormalization": write_layer_norm,
    "LayerScale": _write_layer_scale,  # of Keras' ConvNeXt
    "MaxPooling2D": write_max_pool,
    "Multiply": _write_fold("Mul"),
    "Normalization": write_normalization,
    "ReLU": _write_relu_layer,
    "Rescaling": lambda graph, layer, x: write_scale_and_shift(graph, x, layer.scale, layer.offset),
    "Reshape": _write_reshape_layer,
    "SeparableConv2D": write_separable_conv,
    "Softmax": lambda graph, layer, x: write_softmax(graph, x, layer.axis),
    "SpatialDropout2D": lambda graph, layer, x: x,
    "UpSampling2D": write_up_sampling,
    "ZeroPadding2D": write_zero_padding,
}
"""Writes a layer of each kind, given its input or inputs; None if it cannot with the layer's settings."""
