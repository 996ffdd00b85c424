"""Pooling layers in ONNX, and how far windows reach over a map."""

from __future__ import annotations

from typing import Any

from tlkit.exports.onnx_writer.graph import Graph, Value


def write_max_pool(graph: Graph, layer: Any, x: Value) -> Value:
    """Write MaxPooling2D."""
    return _write_pool(graph, layer, x, "MaxPool")


def write_average_pool(graph: Graph, layer: Any, x: Value) -> Value:
    """Write AveragePooling2D; its mean leaves out the padding."""
    return _write_pool(graph, layer, x, "AveragePool", count_include_pad=0)


def write_global_average(graph: Graph, layer: Any, x: Value) -> Value:
    """Write GlobalAveragePooling2D."""
    return write_global_pool(graph, x, "GlobalAveragePool", keepdims=layer.keepdims)


def write_global_max(graph: Graph, layer: Any, x: Value) -> Value:
    """Write GlobalMaxPooling2D."""
    return write_global_pool(graph, x, "GlobalMaxPool", keepdims=layer.keepdims)


def write_global_pool(graph: Graph, x: Value, kind: str, *, keepdims: bool) -> Value:
    """Write a pooling of all places of a map."""
    batch, channels = x.shape[0], x.shape[-1]
    pooled = graph.add(kind, [graph.to_channels_first(x)], (batch, 1, 1, channels), channels_first=True)
    return pooled if keepdims else graph.add("Flatten", [pooled], (batch, channels), axis=1)


def _write_pool(graph: Graph, layer: Any, x: Value, kind: str, **settings: int) -> Value:
    batch, height, width, channels = get_sizes(x)
    top, bottom, num_rows = find_extent(layer, 0, height, layer.pool_size[0])
    left, right, num_columns = find_extent(layer, 1, width, layer.pool_size[1])
    return graph.add(
        kind,
        [graph.to_channels_first(x)],
        (batch, num_rows, num_columns, channels),
        channels_first=True,
        kernel_shape=tuple(layer.pool_size),
        strides=tuple(layer.strides),
        pads=(top, left, bottom, right),
        **settings,
    )


def find_extent(
    layer: Any, axis: int, size: int, window: int, around: tuple[int, int] = (0, 0)
) -> tuple[int, int, int]:
    """Return the padding before and behind along an axis of a map, and the size of the output.

    Args:
        layer: A convolution or a pooling.
        axis: 0 for the height, 1 for the width.
        size: Of the input.
        window: Size of the kernel.
        around: Zeros that a layer before it has added before and behind.
    """
    stride = layer.strides[axis]
    reach = (window - 1) * getattr(layer, "dilation_rate", (1, 1))[axis] + 1
    if layer.padding == "valid":
        return *around, (size + sum(around) - reach) // stride + 1
    num_outputs = -(-size // stride)
    missing = max((num_outputs - 1) * stride + reach - size, 0)
    return missing // 2, missing - missing // 2, num_outputs


def get_sizes(x: Value) -> tuple[int | None, int, int, int]:
    """Return the shape of a map, whose height, width and channels are known."""
    batch, height, width, channels = x.shape
    assert height is not None, "an export has one image size"
    assert width is not None, "an export has one image size"
    assert channels is not None, "a layer with weights knows its channels"
    return batch, height, width, channels
