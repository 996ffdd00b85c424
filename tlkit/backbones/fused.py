"""Make an equivalent network that trains faster, on the same weights.

Frozen batch norm is a scale and a shift per channel. After a convolution, they are multiplied into the kernel at every
step instead of into the maps, which is much cheaper, forwards and backwards. The original weights are trained at their
own rates and decay; only the order of operations differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tlkit.backbones.cutting import record_steps
from tlkit.backbones.folding import find_joined, has_a_group_for_each_channel
from tlkit.backbones.kernel_gradients import can_multiply, convolve_by_products
from tlkit.backbones.strided_depthwise import convolve_strided
from tlkit.devices import find_practice


class LeanConvolution(keras.layers.Layer):  # type: ignore[misc]
    """A layer and the frozen batch norm after it, fused, with their original weights.

    Args:
        convolution: One of `tlkit.backbones.folding.FOLDABLE`.
        norm: Batch norm over the output channels; None for none.
    """

    def __init__(self, convolution: keras.layers.Layer, norm: keras.layers.BatchNormalization | None) -> None:
        # Weights are read in their own dtype, so that batch norm is multiplied in before they are rounded.
        super().__init__(name=f"lean_{convolution.name}", autocast=False)
        self.convolution = convolution
        self.norm = norm
        self.built = True

    def call(self, maps: Any) -> Any:
        """Return the output of layer and batch norm for maps, float (n, ..., channels)."""
        kernels, bias = self._read_weights()
        maps, *kernels = (ops.cast(each, self.compute_dtype) for each in (maps, *kernels))
        convolved = _convolve(self.convolution, maps, kernels)
        if bias is not None:
            convolved = ops.add(convolved, ops.cast(bias, self.compute_dtype))
        return self.convolution.activation(convolved)

    def _read_weights(self) -> tuple[list[Any], Any]:
        """Return the kernels and the bias, if any, with batch norm applied."""
        layer, norm = self.convolution, self.norm
        kernels = [ops.convert_to_tensor(getattr(layer, name)) for name in _KERNELS.get(type(layer), ("kernel",))]
        bias = ops.convert_to_tensor(layer.bias) if layer.use_bias else None
        if norm is None:
            return kernels, bias
        scale = ops.rsqrt(norm.moving_variance + norm.epsilon)
        if norm.scale:
            scale = scale * norm.gamma
        shift = -norm.moving_mean * scale
        if norm.center:
            shift = shift + norm.beta
        # A depthwise kernel is (height, width, channels, multiplier); the others end with the output channels.
        is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        kernels[-1] = kernels[-1] * (ops.reshape(scale, kernels[-1].shape[2:]) if is_depthwise else scale)
        return kernels, shift if bias is None else bias * scale + shift


_KERNELS = {keras.layers.SeparableConv2D: ("depthwise_kernel", "pointwise_kernel")}


def make_lean(model: keras.Model) -> keras.Model:
    """Return a model with the same layers and weights that computes the same faster, forwards and backwards.

    Args:
        model: A functional model whose layers have their `trainable` set. Trainable batch norm and nested models are
            not changed.
    """
    replay, steps = record_steps(model)
    norm_of = {id(convolution): norm for norm, convolution in find_joined(replay, steps) if not norm.trainable}
    taken_in = {id(norm) for norm in norm_of.values()}
    lean: dict[int, LeanConvolution] = {}

    def call(layer: Any, *arguments: Any, **keywords: Any) -> Any:
        if id(layer) in taken_in:
            return arguments[0]
        norm = norm_of.get(id(layer))
        if norm or _is_slow(layer, arguments[0]):
            made = lean.setdefault(id(layer), LeanConvolution(layer, norm))  # a layer may be called twice
            return made(arguments[0])
        return layer(*arguments, **keywords)

    return keras.models.clone_model(replay, clone_function=lambda layer: layer, call_function=call)


def _is_slow(layer: Any, inputs: Any) -> bool:
    """Return whether there is a faster way to compute a layer or its gradient."""
    return _has_strides(layer) or has_a_group_for_each_channel(layer) or _has_products(layer, inputs)


def _has_strides(layer: Any) -> bool:
    """Return whether a layer is a depthwise convolution that `convolve_strided` computes, faster on this device."""
    return (
        isinstance(layer, keras.layers.DepthwiseConv2D)
        and layer.strides[0] > 1
        and set(layer.dilation_rate) == {1}
        and layer.data_format == "channels_last"
        and find_practice().rewrites_gradients
    )


def _has_products(layer: Any, inputs: Any) -> bool:
    """Return whether a layer is a convolution that `convolve_by_products` computes, faster on this device."""
    return (
        type(layer) is keras.layers.Conv2D
        and layer.groups == 1
        and layer.data_format == "channels_last"
        and set(layer.dilation_rate) == {1}
        and can_multiply(layer.kernel_size, layer.strides, inputs.shape[1:3])
        and find_practice().rewrites_gradients
    )


def _convolve(layer: keras.layers.Layer, maps: Any, kernels: Sequence[Any]) -> Any:
    """Return the output of a layer with other kernels, without bias and activation."""
    if isinstance(layer, keras.layers.Dense):
        return ops.matmul(maps, kernels[0])
    settings = {
        "strides": layer.strides,
        "padding": layer.padding,
        "data_format": layer.data_format,
        "dilation_rate": layer.dilation_rate,
    }
    if isinstance(layer, keras.layers.SeparableConv2D):
        return ops.separable_conv(maps, *kernels, **settings)
    if _has_strides(layer):
        return convolve_strided(maps, kernels[0], stride=layer.strides[0], padding=layer.padding.upper())
    if _has_products(layer, maps):
        return convolve_by_products(maps, kernels[0], stride=layer.strides[0], padding=layer.padding.upper())
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return ops.depthwise_conv(maps, kernels[0], **settings)
    if has_a_group_for_each_channel(layer):
        height, width, _, num_outputs = kernels[0].shape  # a group's outputs stand together, as a channel's do
        kernel = ops.reshape(kernels[0], (height, width, layer.groups, num_outputs // layer.groups))
        return ops.depthwise_conv(maps, kernel, **settings)
    return ops.conv(maps, kernels[0], **settings)
