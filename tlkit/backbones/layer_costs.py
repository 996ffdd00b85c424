"""What the layers of a network cost, and how much of the image each number has seen. Only the graph is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from tlkit.backbones.cutting import Step

Pair = tuple[int, int]


@dataclass(frozen=True)
class Field:
    """The part of the image that a number of a map depends on.

    Attributes:
        size_px: Its height and width.
        step_px: How far it moves from a number to the next one, down and to the right.
    """

    size_px: Pair = (1, 1)
    step_px: Pair = (1, 1)

    def slide(self, window: Pair, strides: Pair) -> Field:
        """Return the field of a number above, which depends on a window of these.

        Args:
            window: (height, width) that the window covers, in numbers.
            strides: Numbers by which it moves.
        """
        size_px = tuple(
            size + (extent - 1) * step for size, extent, step in zip(self.size_px, window, self.step_px, strict=True)
        )
        step_px = tuple(step * stride for step, stride in zip(self.step_px, strides, strict=True))
        return Field((size_px[0], size_px[1]), (step_px[0], step_px[1]))


WHOLE = Field((2**31, 2**31))


def find_receptive_fields(steps: Sequence[Step]) -> list[Field]:
    """Return the receptive field of the output of each step, the largest of those that lead to it.

    Padding counts as image, so that fields may be larger than the image (Araujo et al. 2019,
    https://doi.org/10.23915/distill.00021). What has been averaged or connected over all places has seen everything: WHOLE.

    Args:
        steps: A graph in running order, from `record_steps`.
    """
    fields: dict[int, Field] = {}
    found = []
    for step in steps:
        field = _join([fields.get(id(tensor), Field()) for tensor in step.inputs])
        for layer in _list_layers(step.operation):
            field = _look_through(layer, field)
        fields[id(step.output)] = field
        found.append(field)
    return found


def _list_layers(operation: Any) -> Sequence[Any]:
    """Return the layers of a nested model, or the operation itself."""
    return operation.layers if isinstance(operation, keras.Model) else (operation,)


def _join(fields: Sequence[Field]) -> Field:
    sizes, steps = zip(*((field.size_px, field.step_px) for field in fields), strict=True)
    (height, width), (down, right) = (tuple(map(max, zip(*pairs, strict=True))) for pairs in (sizes, steps))
    return Field((height, width), (down, right))


def _look_through(layer: Any, field: Field) -> Field:
    """Return the field above a layer, given the one below."""
    if isinstance(layer, keras.layers.GlobalAveragePooling2D | keras.layers.Flatten):
        return WHOLE
    size = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    if size is None or field == WHOLE:
        return field
    dilation = getattr(layer, "dilation_rate", (1, 1))
    height, width = ((edge - 1) * gap + 1 for edge, gap in zip(size, dilation, strict=True))
    return field.slide((height, width), tuple(layer.strides))


def count_multiply_adds(step: Step) -> int:
    """Return the multiplications of a step for one image, each with an addition: convolutions and dense layers."""
    layers = _list_layers(step.operation)
    if len(layers) > 1:  # a nested model of layers in a row
        return sum(_count(layer, layer.output.shape) for layer in layers)
    return _count(layers[0], step.output.shape)


def _count(layer: Any, output_shape: Sequence[int | None]) -> int:
    """Return the multiplications of a layer: those of a number of its output, for each number of it."""
    _, *shape = (length or 1 for length in output_shape)
    if isinstance(layer, keras.layers.SeparableConv2D):
        height, width, *_ = shape
        return height * width * (_num_weights(layer.depthwise_kernel) + _num_weights(layer.pointwise_kernel))
    num_read = 0
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        num_read = math.prod(layer.kernel_size)
    elif isinstance(layer, keras.layers.Conv2D):
        num_read = math.prod(layer.kernel.shape[:-1])
    elif isinstance(layer, keras.layers.Dense):
        num_read = layer.kernel.shape[0]
    return math.prod(shape) * num_read


def _num_weights(kernel: Any) -> int:
    return math.prod(kernel.shape)
