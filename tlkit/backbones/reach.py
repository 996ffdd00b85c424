"""From which pixels a feature comes, exactly, with paddings and strides, so that a large picture can be computed in blocks.

A map of a whole picture and a map of a block of it agree at every feature whose pixels all lie in the block, since what
a layer pads with zeros lies outside them. Strides count from the first pixel: a block has to begin, and to end, at a
multiple of the map's step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras

from tlkit.backbones.cutting import record_steps
from tlkit.errors import BackboneError


@dataclass(frozen=True)
class Reach:
    """The pixels behind the features of a map along one axis: feature j comes from `first` + j * `step` to `last` + j * `step`.

    Attributes:
        num_features: Features along the axis.
        step: Pixels from one feature to the next.
        first: The first pixel behind feature 0; negative where that lies in the padding.
        last: The last pixel behind feature 0.
    """

    num_features: int
    step: int = 1
    first: int = 0
    last: int = 0

    def look_through(self, window: int, stride: int, padding: str) -> Reach:
        """Return the reach above a layer with a window of so many features, moved by `stride`."""
        if padding == "valid":
            before, number = 0, (self.num_features - window) // stride + 1
        else:
            number = -(-self.num_features // stride)
            before = max(0, (number - 1) * stride + window - self.num_features) // 2
        first = self.first - before * self.step
        return Reach(number, self.step * stride, first, self.last + (window - 1 - before) * self.step)

    def shift(self, before: int, after: int) -> Reach:
        """Return the reach after that many features were added, or with negative numbers removed, at both ends."""
        by = before * self.step
        return replace(
            self, num_features=self.num_features + before + after, first=self.first - by, last=self.last - by
        )

    def find_clean(self, length_px: int, *, is_start: bool, is_end: bool) -> range:
        """Return the features of a block that are those of the whole picture.

        Args:
            length_px: Length of the block for which this is the reach.
            is_start: Whether the picture begins where the block does, so that its padding belongs there.
            is_end: Whether the picture ends where the block does.
        """
        start = 0 if is_start else max(0, -(self.first // self.step))
        num_inside = max(0, (length_px - 1 - self.last) // self.step + 1)
        return range(start, self.num_features if is_end else min(num_inside, self.num_features))


Reaches = tuple[Reach, Reach]
"""Down and across."""


def find_reach(trunk: keras.Model, size_px: tuple[int, int], *, name: str) -> Reaches:
    """Return the reach of the map of a trunk.

    Args:
        trunk: A functional model from images to a map.
        size_px: (height, width) of the images.
        name: What the network is called, for the message.

    Raises:
        BackboneError: A feature depends on the whole image, whatever its size.
    """
    reaches: dict[int, Reaches] = {}
    steps = record_steps(trunk)[1]
    found = start = (Reach(size_px[0]), Reach(size_px[1]))
    for step in steps:
        found = _join([reaches.get(id(tensor), start) for tensor in step.inputs])
        for layer in step.operation.layers if isinstance(step.operation, keras.Model) else (step.operation,):
            found = _look_through(layer, found, name)
        reaches[id(step.output)] = found
    return found


def free_size(model: keras.Model) -> keras.Model:
    """Return a model on the same layers, and so with the same weights, that takes maps or images of any size.

    Args:
        model: A functional model of one input, float (n, height, width, channels).
    """
    inputs = keras.Input((None, None, model.input.shape[-1]), name="any_size")
    return keras.models.clone_model(model, input_tensors=inputs, clone_function=lambda layer: layer)


def _join(reaches: Sequence[Reaches]) -> Reaches:
    """Return the reach of what is added or concatenated."""
    down, across = (
        replace(axis[0], first=min(each.first for each in axis), last=max(each.last for each in axis))
        for axis in zip(*reaches, strict=True)
    )
    return down, across


def _look_through(layer: Any, below: Reaches, name: str) -> Reaches:
    if isinstance(layer, keras.layers.GlobalAveragePooling2D | keras.layers.Flatten):
        raise BackboneError(
            f"a feature of {name} depends on the whole picture, since its layer {layer.name} takes the mean of all places.",
            expected="a backbone whose features depend on their surroundings, such as MobileNetV2, ResNet, VGG or ConvNeXt",
            fix="leave out --one-pass, so that windows are cut out.",
        )
    if isinstance(layer, keras.layers.ZeroPadding2D | keras.layers.Cropping2D):
        is_padding = isinstance(layer, keras.layers.ZeroPadding2D)
        margins = layer.padding if is_padding else [(-before, -after) for before, after in layer.cropping]
        return below[0].shift(*margins[0]), below[1].shift(*margins[1])
    window = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    if window is None:
        return below
    gaps = getattr(layer, "dilation_rate", (1, 1))
    down, across = (
        reach.look_through((size - 1) * gap + 1, stride, layer.padding)
        for reach, size, gap, stride in zip(below, window, gaps, layer.strides, strict=True)
    )
    return down, across
